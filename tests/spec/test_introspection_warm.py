"""An answer to introspection is given again from memory, and no longer than it is true."""

from __future__ import annotations

import pytest


@pytest.fixture
def api(doorward):
    return doorward.an_api()["identifier"]


@pytest.fixture
def client(doorward, api):
    return doorward.a_client(api=api)


@pytest.fixture
def verifier(doorward, api):
    return doorward.a_verifier(api=api)


def warmed(doorward, caller, text):
    """The text, once it was asked about, answered and remembered."""
    assert [doorward.introspect(caller, text)["active"] for _ in range(4)] == [True] * 4
    return text


def is_active(doorward, caller, text):
    return doorward.introspect(caller, text)["active"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/grants/{grant_id}/revoke", {}),
        ("PATCH", "/clients/{client_id}", {"state": "disabled"}),
        ("POST", "/accounts/{account}/suspend", {}),
        ("POST", "/revocations", {"client": "{client_id}"}),
    ],
)
def test_what_ends_a_token_holds_at_once(doorward, client, verifier, method, path, body):
    token = warmed(doorward, verifier, doorward.token(client))
    names = {**client, "grant_id": client["apis"][0]["grant_id"]}
    named = {name: value.format(**names) for name, value in body.items()}
    assert doorward.v1(method, path.format(**names), named).status_code < 300
    assert not is_active(doorward, verifier, token)


def test_a_revoked_token_is_inactive_at_once_and_the_next_one_is_not(doorward, client, verifier):
    first, second = (warmed(doorward, verifier, doorward.token(client)) for _ in range(2))
    assert doorward.post("revoke", client, token=first).status_code == 200
    assert [is_active(doorward, verifier, text) for text in (first, second)] == [False, True]


def test_what_ends_or_changes_a_key_shows_at_once(doorward, api, verifier):
    key = doorward.a_key(api=api)
    warmed(doorward, verifier, key["key"])
    doorward.v1("PATCH", f"/keys/{key['id']}", {"scope": "invoices:write"})
    assert doorward.introspect(verifier, key["key"])["scope"] == "invoices:write"
    warmed(doorward, verifier, key["key"])
    doorward.v1("POST", f"/keys/{key['id']}/revoke")
    assert not is_active(doorward, verifier, key["key"])


def test_who_asks_is_authenticated_each_time(doorward, client, verifier):
    token = warmed(doorward, verifier, doorward.token(client))
    wrong = {**verifier, "client_secret": client["client_secret"]}
    for caller in (wrong, None):
        assert doorward.post("introspect", caller, token=token).status_code == 401
    auth = (verifier["client_id"], verifier["client_secret"])
    in_url = doorward.http.post("/oauth/introspect?client_secret=x", data={"token": token}, auth=auth)
    assert (in_url.status_code, in_url.json()["reason"]) == (400, "secret_in_query")
    new = doorward.create(f"/verifiers/{verifier['client_id']}/rotate", overlap=0)
    assert is_active(doorward, verifier, token)
    assert is_active(doorward, new, token)
    assert doorward.post("introspect", verifier, token=token).status_code == 401


def test_a_verifier_that_was_revoked_learns_nothing_more(doorward, client, verifier):
    token = warmed(doorward, verifier, doorward.token(client))
    doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke")
    assert doorward.post("introspect", verifier, token=token).status_code == 401


def test_every_question_is_counted_and_told_as_new(doorward, api, verifier):
    key = doorward.a_key(api=api, limits=[{"name": "six", "amount": 6, "per": "day"}])
    replies = [doorward.post("introspect", verifier, token=key["key"]) for _ in range(8)]
    assert [reply.json()["active"] for reply in replies] == [True] * 6 + [False] * 2
    assert len({reply.headers["x-request-id"] for reply in replies}) == 8
    assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}


def test_it_tells_a_position_that_is_as_new_as_the_memory_that_it_is_from(doorward, client, verifier):
    token = warmed(doorward, verifier, doorward.token(client))
    doorward.a_key()
    replies = [doorward.post("introspect", verifier, token=text) for text in (doorward.token(client), token)]
    read, recalled = (int(reply.headers["doorward-position"].partition(":")[2]) for reply in replies)
    assert recalled == read
