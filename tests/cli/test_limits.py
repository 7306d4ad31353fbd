"""Rates and quotas as they are typed, shown and taken away."""

from __future__ import annotations

import pytest

OF = ("--account", "acme", "--api", "Invoices", "--scope", "invoices:read")


def test_a_key_is_made_with_limits_and_shown_with_what_is_left(acme):
    words = ("--rate", "burst=100/minute", "--quota", "monthly=100_000/month")
    made = acme("keys", "create", *OF, *words, "--json").json
    assert [(one["name"], one["amount"], one["per"], one["type"]) for one in made["limits"]] == [
        ("burst", 100, "minute", "rate"), ("monthly", 100_000, "month", "quota"),
    ]  # fmt: skip
    assert acme("keys", "verify", made["key"], "--cost", "7").code == 0
    shown = acme("keys", "show", made["id"]).out
    assert "burst: 100 a minute: " in shown
    assert "monthly: 100,000 a month (quota): 99,993 left, all again in " in shown


def test_asking_takes_nothing_unless_it_is_said(acme):
    made = acme("keys", "create", *OF, "--quota", "daily=5/day", "--json").json
    for _ in range(7):
        assert acme("keys", "verify", made["key"]).code == 0
    assert acme("keys", "verify", made["key"], "--cost", "5").code == 0
    refused = acme("keys", "verify", made["key"], "--cost", "1")
    assert (refused.code, "A quota of the key is used up." in refused.out) == (1, True)


def test_limits_are_taken_away_and_stay_when_nothing_is_said_of_them(acme):
    made = acme("keys", "create", *OF, "--rate", "burst=5/second", "--json").json
    assert acme("keys", "update", made["id"], "--name", "other", "--json").json["limits"] == made["limits"]
    assert acme("keys", "update", made["id"], "--no-limits", "--json").json["limits"] == []


def test_accounts_and_apis_have_limits_too(acme):
    changed = acme("accounts", "update", "acme", "--rate", "all=1000/minute", "--json").json
    assert changed["limits"][0]["name"] == "all"
    assert "all: 1,000 a minute" in acme("accounts", "show", "acme").out
    words = ("--rate", "burst=60/minute", "--quota", "total=5000000/day/api")
    assert [one["each"] for one in acme("apis", "update", "Invoices", *words, "--json").json["limits"]] == [
        "key",
        "api",
    ]
    shown = acme("apis", "show", "Invoices").out
    assert "burst: 60 a minute, for each key" in shown
    assert "total: 5,000,000 a day (quota), for all together" in shown
    for noun, name in (("apis", "Invoices"), ("accounts", "acme")):
        assert acme(noun, "update", name, "--no-limits", "--json").json["limits"] == []


@pytest.mark.parametrize("wrong", ["burst", "burst=x/minute", "burst=5/year", "=5/minute", "burst=5/minute/all"])
def test_what_is_no_limit_is_said_to_be_none_with_an_example(acme, wrong):
    ran = acme("keys", "create", *OF, "--rate", wrong)
    assert (ran.code, "burst=100/minute" in ran.err) == (2, True)


def test_limits_and_no_limits_are_not_both_meant(acme):
    assert acme("accounts", "update", "acme", "--no-limits", "--rate", "a=1/minute").code == 2
