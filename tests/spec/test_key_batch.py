"""Many keys checked at once: each as it would be alone, in the order of the request."""

from __future__ import annotations

import pytest


def batch(doorward, *keys):
    return doorward.v1("POST", "/keys/verify/batch", {"keys": list(keys)})


def one(doorward, **body):
    return doorward.v1("POST", "/keys/verify", body).json()


def test_each_key_is_answered_as_it_would_be_alone(doorward):
    good, revoked = doorward.a_key(), doorward.a_key()
    doorward.v1("POST", f"/keys/{revoked['id']}/revoke")
    asked = [
        {"key": good["key"]},
        {"key": revoked["key"]},
        {"key": good["key"][:-1] + ("0" if good["key"][-1] != "0" else "1")},
        {"key": good["key"], "scope": "invoices:write"},
        {"key": good["key"], "api": "https://other.example.com"},
    ]
    reply = batch(doorward, *asked)
    assert reply.status_code == 200, reply.text
    assert reply.json()["results"] == [one(doorward, **body) for body in asked]
    assert [answer["reason"] for answer in reply.json()["results"]] == [
        None, "credential_revoked", "credential_malformed", "insufficient_scope", "wrong_audience",
    ]  # fmt: skip


def test_a_hundred_keys_are_checked_and_no_more(doorward):
    key = doorward.a_key()["key"]
    assert len(batch(doorward, *[{"key": key}] * 100).json()["results"]) == 100
    for wrong in (0, 101):
        reply = batch(doorward, *[{"key": key}] * wrong)
        assert reply.status_code == 422
        assert [error["field"] for error in reply.json()["errors"]] == ["keys"]


def test_a_new_secret_that_is_named_twice_begins_its_overlap_once(doorward):
    old = doorward.a_key()
    new = doorward.create(f"/keys/{old['id']}/rotate", overlap=3600)
    answers = batch(doorward, {"key": new["key"]}, {"key": old["key"]}, {"key": new["key"]}).json()["results"]
    assert [answer["active"] for answer in answers] == [True, True, True]
    assert doorward.v1("GET", f"/keys/{old['id']}").json()["secrets"][0]["state"] == "superseded"


@pytest.mark.parametrize("scope", ["accounts:read", "keys:write"])
def test_it_needs_the_scope_that_a_single_check_needs(doorward, scope):
    reply = doorward.v1("POST", "/keys/verify/batch", {"keys": [{"key": "x"}]}, key=doorward.an_admin_key(scope))
    assert reply.status_code == 403
