"""`doorward grants`: what clients were allowed, and its end, as it is typed."""

from __future__ import annotations

import pytest


@pytest.fixture
def worker(acme):
    """A client with the grant that its administrator gave it."""
    words = ("--account", "acme", "--name", "worker", "--grant-type", "client_credentials", "--api", "Invoices")
    return acme("clients", "create", *words, "--scope", "invoices:read", "--json").json


def test_a_grant_is_listed_and_shown(acme, worker):
    (grant,) = acme("grants", "list", "--json").json["items"]
    assert (grant["client"], grant["user"], grant["scope"]) == (worker["client_id"], None, "invoices:read")
    header, line = acme("grants", "list").out.splitlines()
    assert header.split() == ["ID", "CLIENT", "USER", "API", "SCOPE", "STATE"]
    assert line.split()[:3] == [grant["id"], worker["client_id"], "-"]
    assert line.split()[-1] == "live"
    shown = acme("grants", "show", grant["id"]).out
    assert "an administrator" in shown
    assert acme("grants", "show", grant["id"], "--json").json == grant


def test_a_list_is_narrowed(acme, worker):
    acme("users", "create", "ada")
    assert acme("grants", "list", "--user", "ada", "--json").json["items"] == []
    assert len(acme("grants", "list", "--client", worker["client_id"], "--json").json["items"]) == 1
    assert acme("grants", "list", "--client", "client_other", "--json").json["items"] == []


def test_a_grant_ends_and_a_second_time_is_no_error(acme, worker):
    (grant,) = acme("grants", "list", "--json").json["items"]
    assert acme("grants", "revoke", grant["id"], "--json").json == {"kind": "grant", "id": grant["id"], "changed": True}
    assert acme("grants", "list").out.split()[-1] == "revoked"
    ran = acme("grants", "revoke", grant["id"])
    assert (ran.code, "had ended before" in ran.out) == (0, True)


def test_a_grant_that_is_not_there_is_said_not_to_be(acme):
    for words in (("show", "grant_unknown"), ("revoke", "grant_unknown")):
        ran = acme("grants", *words)
        assert (ran.code, ran.out) == (1, "")
