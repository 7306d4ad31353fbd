"""Creations under an Idempotency-Key: repeated without a second effect, and never mixed up (decision 18)."""

from __future__ import annotations

import pytest


def create(doorward, path, body, key, admin_key=None):
    headers = {"authorization": f"Bearer {admin_key or doorward.admin_key}", "idempotency-key": key}
    return doorward.http.post(f"/v1{path}", json=body, headers=headers)


def count(doorward, path, body):
    """How many there are of those that this test makes; others are left aside by the filters of the list."""
    filters = {"/keys": "account", "/clients": "account", "/verifiers": "api", "/apis": "identifier"}
    query = f"{filters[path]}={body[filters[path]]}&" if path in filters else ""
    total, cursor = 0, ""
    while cursor is not None:
        reply = doorward.v1("GET", f"{path}?{query}limit=200{cursor and '&cursor=' + cursor}")
        assert reply.status_code == 200, reply.text
        page = reply.json()
        total, cursor = total + len(page["items"]), page["next_cursor"]
    return total


@pytest.fixture
def bodies(doorward):
    """A creation of every kind."""
    api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
    return {
        "/accounts": {"id": f"{account}-twice"},
        "/apis": {"identifier": f"{api}/twice", "name": f"Twice {account}"},
        "/keys": {"account": account, "api": api, "scope": "invoices:read"},
        "/clients": {"account": account, "api": api, "scope": "", "name": "worker"},
        "/verifiers": {"api": api},
        "/admin-keys": {"name": "ci", "scope": "apis:read"},
    }


def test_the_same_request_gets_the_same_reply_secret_included(doorward, bodies):
    for path, body in bodies.items():
        before = count(doorward, path, body)
        first, *more = (create(doorward, path, body, f"same-{path}-{bodies['/keys']['account']}") for _ in range(3))
        assert first.status_code == 201
        assert "idempotent-replay" not in first.headers
        for reply in more:
            assert (reply.status_code, reply.content) == (201, first.content)
            assert reply.headers["idempotent-replay"] == "true"
            assert reply.headers["cache-control"] == "no-store"
        assert count(doorward, path, body) == before + 1


def test_the_order_of_members_does_not_matter(doorward, bodies):
    body = bodies["/keys"]
    backwards = dict(reversed(body.items()))
    first = create(doorward, "/keys", body, "order-" + body["account"])
    assert create(doorward, "/keys", backwards, "order-" + body["account"]).content == first.content


def test_another_body_under_the_same_key_is_refused(doorward, bodies):
    body = bodies["/keys"]
    key = "other-" + body["account"]
    first = create(doorward, "/keys", body, key)
    for other in ({**body, "scope": ""}, {**body, "name": "x"}, {**body, "expires_in": 60}):
        reply = create(doorward, "/keys", other, key)
        assert (reply.status_code, reply.json()["reason"]) == (422, "idempotency_mismatch")
    assert create(doorward, "/keys", body, key).content == first.content


def test_another_path_under_the_same_key_is_refused(doorward, bodies):
    key = "path-" + bodies["/keys"]["account"]
    assert create(doorward, "/accounts", bodies["/accounts"], key).status_code == 201
    reply = create(doorward, "/verifiers", bodies["/verifiers"], key)
    assert (reply.status_code, reply.json()["reason"]) == (422, "idempotency_mismatch")


def test_another_caller_has_keys_of_his_own(doorward, bodies):
    body, key = bodies["/keys"], "caller-" + bodies["/keys"]["account"]
    other = doorward.an_admin_key("keys:write keys:read")
    mine, theirs = create(doorward, "/keys", body, key), create(doorward, "/keys", body, key, other)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]
    assert mine.json()["key"] != theirs.json()["key"]


def test_who_lost_the_scope_or_the_key_gets_no_reply_from_before(doorward, bodies):
    made = doorward.create("/admin-keys", name="ci", scope="keys:write")
    body, key = bodies["/keys"], "lost-" + bodies["/keys"]["account"]
    assert create(doorward, "/keys", body, key, made["key"]).status_code == 201
    doorward.v1("POST", f"/admin-keys/{made['id']}/revoke")
    assert create(doorward, "/keys", body, key, made["key"]).status_code == 401


def test_a_refused_creation_may_be_mended_under_the_same_key(doorward, bodies):
    body, key = bodies["/keys"], "mended-" + bodies["/keys"]["account"]
    assert create(doorward, "/keys", {**body, "scope": "none"}, key).status_code == 422
    assert create(doorward, "/keys", body, key).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "ä", "a\tb"])
def test_a_key_that_is_none_is_refused(doorward, bodies, key):
    reply = create(doorward, "/accounts", bodies["/accounts"], key.encode("latin-1"))
    assert (reply.status_code, reply.json()["reason"]) == (400, "request_malformed")


def test_a_repeated_key_is_refused(doorward, bodies):
    fields = [("authorization", f"Bearer {doorward.admin_key}"), ("idempotency-key", "a"), ("idempotency-key", "b")]
    assert doorward.http.post("/v1/accounts", json=bodies["/accounts"], headers=fields).status_code == 400


@pytest.mark.parametrize("path", ["/keys", "/accounts", "/clients"])
def test_of_32_at_once_one_is_created_and_all_get_its_reply(doorward, bodies, path):
    body, key = bodies[path], f"race-{path}-{bodies['/keys']['account']}"
    before = count(doorward, path, body)
    replies = doorward.at_once(32, lambda _: create(doorward, path, body, key))
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.content for reply in replies}) == 1
    assert count(doorward, path, body) == before + 1


def test_32_different_bodies_under_one_key_create_one(doorward, bodies):
    body, key = bodies["/keys"], "mixed-" + bodies["/keys"]["account"]
    before = count(doorward, "/keys", body)
    replies = doorward.at_once(32, lambda n: create(doorward, "/keys", {**body, "name": f"Key {n}"}, key))
    assert sorted(reply.status_code for reply in replies) == [201] + [422] * 31
    assert count(doorward, "/keys", body) == before + 1


def test_the_kept_reply_is_sealed(on_sqlite):
    """Neither the secret nor anything else of the reply can be read in the database."""
    made = on_sqlite.a_key()
    body = {"account": made["account"], "api": made["api"], "scope": "invoices:read", "name": "sealed canary"}
    assert create(on_sqlite, "/keys", body, "sealed-key").status_code == 201
    rows = on_sqlite.sql("SELECT * FROM idempotency")
    assert rows
    for row in rows:
        kept = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
        assert b"sealed" not in kept
        assert b"dw_live" not in kept


def test_changes_that_may_be_repeated_as_they_are_need_none(doorward, bodies):
    headers = {"authorization": f"Bearer {doorward.admin_key}", "idempotency-key": "update"}
    account = doorward.an_account()["id"]
    for name in ("One", "Two"):
        reply = doorward.http.patch(f"/v1/accounts/{account}", json={"name": name}, headers=headers)
        assert (reply.status_code, reply.json()["name"]) == (200, name)
