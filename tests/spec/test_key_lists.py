"""Keys that somebody should look at are listed: unused, old, or about to end; and an api rules how long they live."""

from __future__ import annotations

import pytest

DAY = 86_400


@pytest.fixture
def given(doorward):
    """An account of its own, so that lists hold what a test made."""
    api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
    return {"api": api, "account": account}


def listed(doorward, given, query):
    reply = doorward.v1("GET", f"/keys?account={given['account']}&{query}")
    assert reply.status_code == 200, reply.text
    return [item["id"] for item in reply.json()["items"]]


def test_keys_are_found_by_their_end(doorward, given):
    soon = doorward.a_key(**given, expires_in=10 * DAY)
    never = doorward.a_key(**given, no_expiry=True)
    doorward.a_key(**given)
    revoked = doorward.a_key(**given, expires_in=10 * DAY)
    assert doorward.v1("POST", f"/keys/{revoked['id']}/revoke").status_code == 200
    assert listed(doorward, given, f"expiring_within={11 * DAY}") == [soon["id"]]
    assert listed(doorward, given, f"expiring_within={9 * DAY}") == []
    assert listed(doorward, given, "no_expiry=true") == [never["id"]]
    assert listed(doorward, given, f"older_than={DAY}") == listed(doorward, given, f"unused_for={DAY}") == []
    assert listed(doorward, given, f"no_expiry=true&expiring_within={DAY}") == []


def test_pages_of_a_choice_follow_each_other(doorward, given):
    made = [doorward.a_key(**given, expires_in=DAY)["id"] for _ in range(3)]
    path = f"/keys?account={given['account']}&expiring_within={2 * DAY}&limit=2"
    first = doorward.v1("GET", path).json()
    second = doorward.v1("GET", f"{path}&cursor={first['next_cursor']}").json()
    assert len(first["items"]) == 2
    assert sorted(item["id"] for page in (first, second) for item in page["items"]) == sorted(made)
    assert second["next_cursor"] is None
    other = path.replace(str(2 * DAY), str(3 * DAY))
    assert doorward.v1("GET", f"{other}&cursor={first['next_cursor']}").status_code == 400


SPANS = ("unused_for=90d", "older_than=0", "expiring_within=-5", "no_expiry=1", "unused_for=")


@pytest.mark.parametrize("query", SPANS)
def test_what_is_no_span_is_refused(doorward, query):
    reply = doorward.v1("GET", f"/keys?{query}")
    assert (reply.status_code, reply.json()["reason"]) == (422, "field_invalid")


def test_an_api_limits_how_long_its_keys_live(doorward, given):
    api = doorward.v1("GET", f"/apis/{given['api']}").json()
    assert (api["key_lifetime_limit"], api["unused_key_lifetime"]) == (None, None)
    rules = {"key_lifetime_limit": 30 * DAY, "unused_key_lifetime": 60 * DAY}
    changed = doorward.v1("PATCH", f"/apis/{api['id']}", rules).json()
    assert {name: changed[name] for name in rules} == rules
    body = {"account": given["account"], "api": given["api"], "scope": "invoices:read"}
    for wrong in ({"no_expiry": True}, {"expires_in": 31 * DAY}):
        reply = doorward.v1("POST", "/keys", {**body, **wrong})
        assert (reply.status_code, reply.json()["reason"]) == (422, "field_invalid")
    key = doorward.a_key(**given)
    assert key["expires_at"] == key["created_at"] + 30 * DAY
    lifted = doorward.v1("PATCH", f"/apis/{api['id']}", dict.fromkeys(rules, 0)).json()
    assert {name: lifted[name] for name in rules} == dict.fromkeys(rules)
    assert doorward.a_key(**given, no_expiry=True)["expires_at"] is None
