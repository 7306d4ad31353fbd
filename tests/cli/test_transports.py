"""How an api's keys may arrive, and where a key was seen, as it is typed and shown."""

from __future__ import annotations

import pytest


@pytest.fixture
def key(acme):
    words = ("--account", "acme", "--api", "Invoices", "--scope", "invoices:read")
    return acme("keys", "create", *words, "--json").json


def test_an_api_says_how_its_keys_may_arrive(acme):
    shown = acme("apis", "show", "Invoices").out
    assert "bearer header" in shown
    chosen = ("--transport", "query", "--transport", "bearer", "--browsers", "refuse")
    changed = acme("apis", "update", "Invoices", *chosen, "--json").json
    assert (changed["transports"], changed["browsers"]) == (["bearer", "query"], "refuse")
    again = acme("apis", "update", "Invoices", "--name", "Invoices", "--json").json
    assert (again["transports"], again["browsers"]) == (["bearer", "query"], "refuse")


def test_what_is_no_way_is_a_wrong_use(acme):
    assert acme("apis", "update", "Invoices", "--transport", "cookie").code == 2


def test_a_key_is_asked_about_as_it_was_sent_and_shows_where_it_was_seen(acme, key):
    assert "seen in a URL" not in acme("keys", "show", key["id"]).out
    ran = acme("keys", "verify", "-", "--transport", "query", stdin=key["key"])
    assert (ran.code, "was sent in a way that the api does not take" in ran.out) == (1, True)
    assert acme("keys", "verify", "-", "--transport", "header", stdin=key["key"]).code == 0
    assert "seen in a URL" in acme("keys", "show", key["id"]).out
