"""A question that was asked before is answered from memory, and no longer than it is true."""

from __future__ import annotations

import json
import re

import pytest


def check(doorward, key, **more):
    return doorward.v1("POST", "/keys/verify", {"key": key["key"], **more}).json()


@pytest.fixture
def warm(doorward):
    """A key whose check was asked for, answered and remembered."""
    key = doorward.a_key(account=doorward.an_account()["id"])
    assert [check(doorward, key)["active"] for _ in range(4)] == [True] * 4
    return key


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/keys/{id}/revoke", "credential_revoked"),
        ("/keys/{id}/deactivate", "credential_inactive"),
        ("/accounts/{account}/suspend", "account_suspended"),
    ],
)
def test_what_ends_it_holds_at_once(doorward, warm, path, reason):
    assert doorward.v1("POST", path.format(**warm)).status_code == 200
    assert check(doorward, warm)["reason"] == reason


def test_what_changes_it_shows_at_once(doorward, warm):
    doorward.v1("PATCH", f"/keys/{warm['id']}", {"limits": [{"name": "one", "amount": 1, "per": "day"}]})
    assert [check(doorward, warm)["reason"] for _ in range(2)] == [None, "rate_limited"]
    doorward.v1("PATCH", f"/keys/{warm['id']}", {"networks": ["192.0.2.0/24"], "limits": []})
    assert check(doorward, warm)["reason"] == "network_not_allowed"


def test_another_question_is_another_question(doorward, warm):
    assert check(doorward, warm, scope="invoices:write")["reason"] == "insufficient_scope"
    assert check(doorward, warm, api="https://other.example.com")["reason"] == "wrong_audience"


def test_who_asks_is_looked_at_each_time(doorward, warm):
    body = {"key": warm["key"]}
    made = doorward.create("/admin-keys", name="ci", scope="keys:read")
    assert [doorward.v1("POST", "/keys/verify", body, key=made["key"]).status_code for _ in range(4)] == [200] * 4
    doorward.v1("POST", f"/admin-keys/{made['id']}/revoke")
    assert doorward.v1("POST", "/keys/verify", body, key=made["key"]).status_code == 401
    assert doorward.v1("POST", "/keys/verify", body, key=doorward.an_admin_key("apis:read")).status_code == 403
    assert doorward.v1("POST", "/keys/verify", body, key="nobody").status_code == 401


def test_a_limit_is_counted_each_time(doorward):
    key = doorward.a_key(limits=[{"name": "six", "amount": 6, "per": "day"}])
    assert [check(doorward, key)["active"] for _ in range(8)] == [True] * 6 + [False] * 2


def test_a_new_secret_begins_the_overlap_of_the_old_one(doorward, warm):
    new = doorward.create(f"/keys/{warm['id']}/rotate", overlap=3600)
    assert check(doorward, warm)["active"]
    assert [check(doorward, new)["active"] for _ in range(4)] == [True] * 4
    assert doorward.v1("GET", f"/keys/{warm['id']}").json()["secrets"][0]["state"] == "superseded"


@pytest.mark.parametrize("limits", [[], [{"name": "burst", "amount": 90, "per": "day"}]], ids=["free", "limited"])
def test_it_is_told_in_the_same_words(doorward, limits):
    key = doorward.a_key(limits=limits)
    texts = [doorward.v1("POST", "/keys/verify", {"key": key["key"]}).text for _ in range(5)]
    told = {re.sub(r'"(remaining|resets_in)":[0-9]+', r'"\1":N', text) for text in texts}
    assert len(told) == 1
    assert [[one["remaining"] for one in json.loads(text)["limits"]] for text in texts] == [
        [number] * len(limits) for number in range(89, 84, -1)
    ]
