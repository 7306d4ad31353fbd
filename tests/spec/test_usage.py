"""Usage: a verifier that answers from memory says now and then what was used: counted, clamped, of its api alone."""

from __future__ import annotations

import time

import pytest

HOUR = 3600


def used(id_, kind="api_key", count=1, at=None):
    return {"kind": kind, "id": id_, "count": count, "last_used_at": int(time.time()) if at is None else at}


def tell(doorward, verifier, *usage, **options):
    auth = (verifier["client_id"], verifier["client_secret"])
    return doorward.http.post("/usage", **{"json": {"usage": list(usage)}, "auth": auth, **options})


def shown(doorward, api_key):
    found = doorward.v1("GET", f"/keys/{api_key['id']}").json()
    return found["uses"], found["last_used_at"]


@pytest.fixture
def api(doorward):
    return doorward.an_api()["identifier"]


@pytest.fixture
def verifier(doorward, api):
    return doorward.a_verifier(api=api)


@pytest.fixture
def api_key(doorward, api):
    return doorward.a_key(api=api)


def test_what_was_used_is_added_and_shown(doorward, api, verifier, api_key):
    client, now = doorward.a_client(api=api), int(time.time())
    grant_id = client["apis"][0]["grant_id"]
    assert shown(doorward, api_key) == (0, None)
    reply = tell(doorward, verifier, used(api_key["id"], count=41), used(grant_id, "grant", 3))
    assert (reply.status_code, reply.content) == (204, b"")
    assert tell(doorward, verifier, used(api_key["id"], count=1)).status_code == 204
    uses, last_used_at = shown(doorward, api_key)
    assert uses == 42
    assert now <= last_used_at <= int(time.time())
    (granted,) = doorward.v1("GET", f"/clients/{client['client_id']}").json()["apis"]
    assert granted["uses"] == 3
    assert now <= granted["last_used_at"] <= int(time.time())


def test_no_time_lies_in_the_future_nor_before_the_key_was_made_nor_goes_back(doorward, verifier, api_key):
    assert tell(doorward, verifier, used(api_key["id"], at=0)).status_code == 204
    assert shown(doorward, api_key) == (1, api_key["created_at"])
    assert tell(doorward, verifier, used(api_key["id"], at=2**53)).status_code == 204
    latest = shown(doorward, api_key)[1]
    assert latest <= int(time.time())
    assert tell(doorward, verifier, used(api_key["id"], at=latest - HOUR)).status_code == 204
    assert shown(doorward, api_key) == (3, latest)


def test_only_what_is_of_the_verifiers_api_counts(doorward, verifier, api_key):
    foreign = doorward.a_key()
    assert tell(doorward, verifier, used(foreign["id"]), used("key_unknown"), used(api_key["id"])).status_code == 204
    assert shown(doorward, foreign) == (0, None)
    assert shown(doorward, api_key)[0] == 1
    assert tell(doorward, verifier, used(foreign["id"], "grant")).status_code == 204
    assert shown(doorward, foreign) == (0, None)


def test_one_thing_may_be_named_twice(doorward, verifier, api_key):
    assert tell(doorward, verifier, used(api_key["id"], count=2), used(api_key["id"], count=3)).status_code == 204
    assert shown(doorward, api_key)[0] == 5


def test_nothing_is_lost_when_many_tell_at_once(doorward, verifier, api_key):
    replies = doorward.at_once(16, lambda _: tell(doorward, verifier, used(api_key["id"], count=5)))
    assert {reply.status_code for reply in replies} == {204}
    assert shown(doorward, api_key)[0] == 80


def test_nothing_used_is_nothing_added(doorward, verifier):
    assert tell(doorward, verifier).status_code == 204


def test_usage_makes_no_event(doorward, verifier, api_key):
    def audit():
        return doorward.v1("GET", "/audit").json()["items"][0]

    before = audit()
    assert tell(doorward, verifier, used(api_key["id"])).status_code == 204
    assert audit() == before


@pytest.mark.parametrize(
    "item",
    [
        {"kind": "client"}, {"kind": None}, {"kind": ["grant"]}, {"id": ""}, {"id": "x" * 101}, {"id": 1},
        {"count": 0}, {"count": -1}, {"count": 1.5}, {"count": True}, {"count": 10**9 + 1}, {"count": "1"},
        {"last_used_at": -1}, {"last_used_at": None}, {"last_used_at": 1e9}, {"last_used_at": 2**53 + 1}, {"more": 1},
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused_as_a_whole(doorward, verifier, api_key, item):
    reply = tell(doorward, verifier, used(api_key["id"]), {**used(api_key["id"]), **item})
    assert (reply.status_code, reply.json()["reason"]) == (400, "request_malformed")
    assert shown(doorward, api_key) == (0, None)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"usage": {}}', b'{"usage": [1]}', b'{"usage": [], "x": 1}', b'{"usage": [], "usage": []}'],
)
def test_a_body_of_another_shape_is_refused(doorward, verifier, body):
    reply = tell(doorward, verifier, json=None, content=body, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["reason"]) == (400, "request_malformed")


def test_a_batch_has_bounds(doorward, verifier):
    many = [used(f"key_{number}") for number in range(501)]
    assert tell(doorward, verifier, *many[:500]).status_code == 204
    assert tell(doorward, verifier, *many).status_code == 400
    assert tell(doorward, verifier, used("x" * 70_000)).status_code == 413
    form = tell(doorward, verifier, json=None, data={"usage": "1"})
    assert form.status_code == 415


def test_it_is_for_verifiers(doorward, verifier, api, api_key):
    body = used(api_key["id"])
    assert doorward.http.post("/usage", json={"usage": [body]}).status_code == 401
    assert tell(doorward, doorward.a_client(api=api), body).status_code == 401
    assert tell(doorward, {**verifier, "client_secret": "wrong"}, body).status_code == 401
    assert doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke").status_code == 200
    assert tell(doorward, verifier, body).status_code == 401
    assert shown(doorward, api_key) == (0, None)


def test_nothing_but_post_is_allowed(doorward):
    for method in ("GET", "PUT", "DELETE"):
        reply = doorward.http.request(method, "/usage")
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
