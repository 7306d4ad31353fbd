"""Introspection of all three credentials: RFC 7662 §2.1 to §2.3 and §4 (T100, T101; decision 13)."""

from __future__ import annotations

import base64
import hashlib

import pytest

INACTIVE = {"active": False}


@pytest.fixture(params=["jwt", "opaque"])
def api(request, doorward):
    return doorward.an_api(token_format=request.param)


@pytest.fixture
def client(doorward, api):
    return doorward.a_client(api=api["identifier"])


@pytest.fixture
def verifier(doorward, api):
    return doorward.a_verifier(api=api["identifier"])


@pytest.fixture
def key(doorward, api, client):
    return doorward.a_key(api=api["identifier"], account=client["account"])


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def by_admin(doorward, form, key=None):
    headers = {"authorization": f"Bearer {key or doorward.admin_key}"}
    return doorward.http.post("/oauth/introspect", data=form, headers=headers)


def test_an_access_token_is_told_as_2_2_says(doorward, api, client, verifier):
    answer = doorward.introspect(verifier, doorward.token(client, scope="invoices:read"))
    assert answer["active"] is True
    assert answer["scope"] == "invoices:read"
    assert answer["client_id"] == answer["sub"] == client["client_id"]
    assert (answer["iss"], answer["aud"]) == (doorward.issuer, api["identifier"])
    assert answer["exp"] - answer["iat"] == 300
    assert answer["token_type"] == "Bearer"
    assert answer["jti"]
    assert (answer["account"], answer["credential"]) == (client["account"], api["token_format"])


def test_an_api_key_is_told_in_the_same_words(doorward, api, key, verifier):
    answer = doorward.introspect(verifier, key["key"])
    assert answer["active"] is True
    assert (answer["scope"], answer["aud"], answer["iss"]) == ("invoices:read", api["identifier"], doorward.issuer)
    assert (answer["sub"], answer["account"]) == (key["account"], key["account"])
    assert (answer["key_id"], answer["environment"], answer["credential"]) == (key["id"], "live", "api_key")
    assert answer["exp"] == key["expires_at"]


def test_the_answer_is_json_and_not_stored(doorward, client, verifier):
    for token in (doorward.token(client), "x"):
        reply = doorward.post("introspect", verifier, token=token)
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        epoch, _, seq = reply.headers["doorward-position"].partition(":")
        assert (int(epoch), int(seq) > 0) == (1, True)


@pytest.mark.parametrize("token", ["x", "a.b.c", "dw_live_" + "0" * 50, "dwo_live_" + "0" * 50, "ü\u2028", "." * 2])
def test_an_unknown_token_is_inactive_and_nothing_more(doorward, verifier, token):
    """§2.2: the server SHOULD NOT include any additional information."""
    assert doorward.introspect(verifier, token) == INACTIVE


def test_a_token_of_another_api_is_inactive(doorward, client, key):
    stranger = doorward.a_verifier()
    assert doorward.introspect(stranger, doorward.token(client)) == INACTIVE
    assert doorward.introspect(stranger, key["key"]) == INACTIVE


def test_a_client_sees_its_own_tokens_alone(doorward, api, client, key):
    other = doorward.a_client(api=api["identifier"], account=client["account"])
    token = doorward.token(client)
    assert doorward.introspect(client, token)["active"] is True
    assert doorward.introspect(other, token) == INACTIVE
    assert doorward.introspect(client, key["key"]) == INACTIVE


def test_an_administrator_sees_all(doorward, client, key):
    for text in (doorward.token(client), key["key"]):
        assert by_admin(doorward, {"token": text}).json()["active"] is True


def test_an_admin_key_needs_the_scope_for_it(doorward, client):
    form = {"token": doorward.token(client)}
    assert by_admin(doorward, form, doorward.an_admin_key("keys:read")).json()["active"] is True
    assert by_admin(doorward, form, doorward.an_admin_key("apis:read audit:read")).status_code == 403


def test_an_admin_key_of_a_network_asks_from_there(doorward, client):
    form = {"token": doorward.token(client)}
    near = doorward.an_admin_key("keys:read", networks=["127.0.0.0/8"])
    far = doorward.an_admin_key("keys:read", networks=["192.0.2.0/24"])
    assert by_admin(doorward, form, near).json()["active"] is True
    assert by_admin(doorward, form, far).status_code == 401


def test_secrets_that_are_no_credential_for_an_api_are_inactive(doorward, client, verifier):
    for text in (client["client_secret"], verifier["client_secret"], doorward.admin_key):
        assert doorward.introspect(verifier, text) == INACTIVE
        assert by_admin(doorward, {"token": text}).json() == INACTIVE


def test_the_caller_must_authenticate(doorward, client, verifier, key):
    """§2.1: to prevent token scanning attacks."""
    token = doorward.token(client)
    replies = [
        doorward.post("introspect", token=token),
        doorward.post("introspect", {**verifier, "client_secret": client["client_secret"]}, token=token),
        doorward.post("introspect", {**verifier, "client_secret": "x"}, token=token),
        doorward.post("introspect", {**verifier, "client_id": "verifier_unknown"}, token=token),
    ]
    for reply in replies:
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), reply.text
        assert reply.headers["www-authenticate"].startswith("Basic ")


def test_a_bearer_that_is_no_admin_key_is_answered_as_a_bearer(doorward, client, verifier, key):
    token = doorward.token(client)
    for text in (token, key["key"], client["client_secret"], verifier["client_secret"], "x"):
        reply = by_admin(doorward, {"token": token}, text)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token"), reply.text
        assert reply.headers["www-authenticate"].startswith("Bearer ")


def test_a_revoked_verifier_learns_nothing(doorward, client, verifier):
    token = doorward.token(client)
    assert doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke").status_code == 200
    assert doorward.post("introspect", verifier, token=token).status_code == 401


class TestByDigest:
    """For verifiers: the raw key stays in the service."""

    def test_the_answer_is_the_same(self, doorward, client, verifier, key):
        texts = [key["key"]]
        token = doorward.token(client)
        texts += [token] if token.startswith("dwo_") else []
        for text in texts:
            by_text = doorward.introspect(verifier, text)
            by_digest = doorward.post("introspect", verifier, token_sha256=digest(text)).json()
            assert by_digest == by_text
            assert by_text["active"] is True

    def test_it_is_for_the_verifiers_own_api(self, doorward, key):
        stranger = doorward.a_verifier()
        assert doorward.post("introspect", stranger, token_sha256=digest(key["key"])).json() == INACTIVE

    def test_it_is_for_verifiers_only(self, doorward, client, key):
        form = {"token_sha256": digest(key["key"])}
        assert doorward.post("introspect", client, **form).status_code == 400
        assert by_admin(doorward, form).status_code == 400

    def test_it_finds_neither_secrets_nor_administrators(self, doorward, client, verifier):
        for text in (client["client_secret"], verifier["client_secret"], doorward.admin_key):
            assert doorward.post("introspect", verifier, token_sha256=digest(text)).json() == INACTIVE

    def test_a_digest_is_a_credential_nowhere(self, doorward, client, verifier, key):
        """It is a public value."""
        for text in (digest(key["key"]), hashlib.sha256(key["key"].encode()).hexdigest()):
            assert doorward.introspect(verifier, text) == INACTIVE
            assert doorward.v1("POST", "/keys/verify", {"key": text}).json()["active"] is False
        for text in (digest(doorward.admin_key), hashlib.sha256(doorward.admin_key.encode()).hexdigest()):
            assert doorward.v1("GET", "/apis", key=text).status_code == 401
        for path in ("token", "introspect", "revoke"):
            posing = {**client, "client_secret": digest(client["client_secret"])}
            reply = doorward.post(path, posing, grant_type="client_credentials", token=key["key"])
            assert reply.status_code == 401

    @pytest.mark.parametrize("change", [str.upper, lambda text: text[:-1], lambda text: text + "=", lambda text: "*"])
    def test_another_spelling_is_an_invalid_request_or_unknown(self, doorward, verifier, key, change):
        reply = doorward.post("introspect", verifier, token_sha256=change(digest(key["key"])))
        assert reply.status_code == 400 or reply.json() == INACTIVE


def test_exactly_one_of_token_and_digest_is_needed(doorward, verifier, key):
    for form in ({}, {"token": ""}, {"token": key["key"], "token_sha256": digest(key["key"])}):
        reply = doorward.post("introspect", verifier, **form)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


def test_the_hint_is_ignored(doorward, client, verifier):
    token = doorward.token(client)
    for hint in ("access_token", "refresh_token", "nonsense"):
        reply = doorward.post("introspect", verifier, token=token, token_type_hint=hint)
        assert reply.json()["active"] is True


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_only_post_is_served(doorward, method):
    """§4: a token in a URL would be logged, so GET is not offered."""
    reply = doorward.http.request(method, "/oauth/introspect", params={"token": "x"})
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


def test_custom_claims_of_the_api_are_told(doorward):
    api = doorward.an_api(claims={"tier": "account.metadata.tier", "contact": "key.metadata.contact"})
    account = doorward.an_account(metadata={"tier": "gold"})
    client = doorward.a_client(api=api["identifier"], account=account["id"])
    key = doorward.a_key(api=api["identifier"], account=account["id"], metadata={"contact": "ada"})
    verifier = doorward.a_verifier(api=api["identifier"])
    assert doorward.introspect(verifier, doorward.token(client))["tier"] == "gold"
    answer = doorward.introspect(verifier, key["key"])
    assert (answer["tier"], answer["contact"]) == ("gold", "ada")
