"""Revocation by the client: RFC 7009 §2.1 and §2.2 (T102; decision 9)."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["jwt", "opaque"])
def api(request, doorward):
    return doorward.an_api(token_format=request.param)


@pytest.fixture
def client(doorward, api):
    return doorward.a_client(api=api["identifier"])


@pytest.fixture
def verifier(doorward, api):
    return doorward.a_verifier(api=api["identifier"])


def silent(reply):
    """§2.2: 200, and the content is of no interest."""
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    return True


def test_a_revoked_token_is_inactive_in_the_next_request(doorward, client, verifier):
    token = doorward.token(client)
    assert doorward.introspect(verifier, token)["active"] is True
    assert silent(doorward.post("revoke", client, token=token))
    assert doorward.introspect(verifier, token) == {"active": False}
    assert doorward.introspect(client, token) == {"active": False}


def test_other_tokens_of_the_grant_live_on(doorward, client):
    revoked, other = doorward.token(client), doorward.token(client)
    assert silent(doorward.post("revoke", client, token=revoked))
    assert doorward.introspect(client, other)["active"] is True
    assert doorward.introspect(client, doorward.token(client))["active"] is True


def test_revoking_twice_is_fine(doorward, client):
    token = doorward.token(client)
    for _ in range(3):
        assert silent(doorward.post("revoke", client, token=token))


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "jwt", "no such hint"])
def test_the_hint_is_but_a_hint(doorward, client, hint):
    """§2.1: the server MUST extend its search when the hint does not help, and may ignore it."""
    token = doorward.token(client)
    assert silent(doorward.post("revoke", client, token=token, token_type_hint=hint))
    assert doorward.introspect(client, token) == {"active": False}


@pytest.mark.parametrize("token", ["x", "a.b.c", "dwo_live_" + "0" * 50, "dwr_live_" + "0" * 50, "ü", "a" * 8000])
def test_an_unknown_token_is_no_error(doorward, client, token):
    assert silent(doorward.post("revoke", client, token=token))


def test_a_cut_or_edited_token_revokes_nothing(doorward, client):
    token = doorward.token(client)
    for wrong in (token[:-1], token + "A", token[:40], token.swapcase()):
        assert silent(doorward.post("revoke", client, token=wrong))
    assert doorward.introspect(client, token)["active"] is True


def test_the_token_of_another_client_is_not_touched_and_not_told_of(doorward, api, client):
    other = doorward.a_client(api=api["identifier"])
    token = doorward.token(client)
    foreign = doorward.post("revoke", other, token=token)
    unknown = doorward.post("revoke", other, token="x")
    assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content) == (200, b"{}")
    assert doorward.introspect(client, token)["active"] is True


def test_an_api_key_is_not_revoked_here(doorward, api, client):
    key = doorward.a_key(api=api["identifier"])
    assert silent(doorward.post("revoke", client, token=key["key"]))
    assert doorward.v1("POST", "/keys/verify", {"key": key["key"]}).json()["active"] is True


def test_who_asks_must_authenticate(doorward, client):
    token = doorward.token(client)
    for reply in (
        doorward.post("revoke", token=token),
        doorward.post("revoke", {**client, "client_secret": "wrong"}, token=token),
        doorward.http.post("/oauth/revoke", data={"token": token, "client_id": client["client_id"]}),
    ):
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert doorward.introspect(client, token)["active"] is True


def test_a_verifier_or_an_administrator_is_no_client(doorward, client, verifier):
    token = doorward.token(client)
    assert doorward.post("revoke", verifier, token=token).status_code == 401
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    assert doorward.http.post("/oauth/revoke", data={"token": token}, headers=headers).status_code == 401
    assert doorward.introspect(client, token)["active"] is True


def test_the_token_is_required(doorward, client):
    for form in ({}, {"token": ""}):
        reply = doorward.post("revoke", client, **form)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_post_is_served(doorward, method):
    reply = doorward.http.request(method, "/oauth/revoke")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


def test_a_revocation_is_in_the_audit_log_without_the_token(doorward, client):
    token = doorward.token(client)
    reply = doorward.post("revoke", client, token=token)
    page = doorward.v1("GET", "/audit?order=desc&limit=10&type=TokenRevoked")
    entry = next(one for one in page.json()["items"] if one["request_id"] == reply.headers["x-request-id"])
    assert entry["actor"] == client["client_id"]
    assert token not in page.text
