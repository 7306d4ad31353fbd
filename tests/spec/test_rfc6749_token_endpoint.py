"""The token endpoint as a client sees it: RFC 6749 §2.3.1, §3.2, §4.4, §5.1 and §5.2."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

GRANT = {"grant_type": "client_credentials"}
ERROR_TEXT = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")  # §5.2: what error and error_description may contain


@pytest.fixture
def client(doorward):
    return doorward.a_client()


def refused(reply, error, status=400):
    """RFC 6749 §5.2, to the letter."""
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert ERROR_TEXT.fullmatch(reply.json()["error_description"])
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert "access_token" not in reply.json()
    return True


def test_a_token_response_has_the_members_of_5_1_and_is_not_stored(doorward, client):
    reply = doorward.post("token", client, **GRANT)
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json()
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 300
    assert answer["scope"] == "invoices:read invoices:write"


def test_the_client_credentials_grant_gives_no_refresh_token(doorward, client):
    """§4.4.3: A refresh token SHOULD NOT be included."""
    assert "refresh_token" not in doorward.post("token", client, **GRANT).json()


def test_an_opaque_token_is_issued_where_the_api_says_so(doorward):
    client = doorward.a_client(api=doorward.an_api(token_format="opaque")["identifier"])
    assert re.fullmatch(r"dwo_live_[0-9A-Za-z]{50}", doorward.token(client))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"])
def test_only_post_is_served(doorward, method):
    reply = doorward.http.request(method, "/oauth/token")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


def test_basic_carries_the_form_encoded_id_and_secret(doorward, client):
    """§2.3.1: both are form-encoded before they are put together; here every character is."""
    encoded = ["".join(f"%{byte:02x}" for byte in client[part].encode()) for part in ("client_id", "client_secret")]
    assert doorward.http.post("/oauth/token", data=GRANT, auth=(encoded[0], encoded[1])).status_code == 200


def test_basic_is_written_in_any_case(doorward, client):
    header = doorward.http.build_request("POST", "/", headers={}).headers
    reply = doorward.post("token", client, **GRANT)
    header["authorization"] = reply.request.headers["authorization"].replace("Basic ", "bASIC ")
    assert doorward.http.post("/oauth/token", data=GRANT, headers=header).status_code == 200


def test_the_secret_may_come_in_the_body(doorward, client):
    form = {**GRANT, "client_id": client["client_id"], "client_secret": client["client_secret"]}
    assert doorward.http.post("/oauth/token", data=form).status_code == 200


def test_a_media_type_parameter_is_not_another_type(doorward, client):
    reply = doorward.http.post(
        "/oauth/token",
        content="grant_type=client_credentials",
        headers={"content-type": "Application/X-WWW-Form-URLencoded; charset=UTF-8"},
        auth=(client["client_id"], client["client_secret"]),
    )
    assert reply.status_code == 200


def test_an_empty_value_counts_as_absent(doorward, client):
    """§3.2: Parameters sent without a value MUST be treated as if they were omitted."""
    assert doorward.post("token", client, **GRANT, scope="", resource="").json()["scope"]
    assert refused(doorward.post("token", client, grant_type=""), "invalid_request")


def test_unknown_parameters_are_ignored(doorward, client):
    assert doorward.post("token", client, **GRANT, colour="blue", audience="x").status_code == 200


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "colour"])
def test_no_parameter_is_included_twice(doorward, client, name):
    values = {"grant_type": "client_credentials", "scope": "invoices:read", "client_id": client["client_id"]}
    twice = [*values.items(), *[(name, values.get(name, "blue"))] * (1 if name in values else 2)]
    body = "&".join(f"{key}={quote(value, safe='')}" for key, value in twice)
    reply = doorward.http.post(
        "/oauth/token",
        content=body,
        headers={"content-type": "application/x-www-form-urlencoded"},
        auth=(client["client_id"], client["client_secret"]),
    )
    assert refused(reply, "invalid_request")


def test_without_a_grant_type_the_request_is_invalid(doorward, client):
    assert refused(doorward.post("token", client), "invalid_request")


@pytest.mark.parametrize(
    "grant_type",
    ["password", "implicit", "device_code", "CLIENT_CREDENTIALS", "client_credentials ", "authorization_code\n"],
)
def test_other_grant_types_are_unsupported(doorward, client, grant_type):
    reply = doorward.post("token", client, grant_type=grant_type, username="ada", password="secret", code="x")
    assert refused(reply, "unsupported_grant_type")


def test_a_client_that_fails_is_answered_401_with_a_challenge(doorward, client):
    """§5.2: for one that tried the Authorization field, in the scheme that it used."""
    tried_basic = doorward.post("token", {**client, "client_secret": "wrong"}, **GRANT)
    assert refused(tried_basic, "invalid_client", 401)
    assert tried_basic.headers["www-authenticate"] == f'Basic realm="{doorward.issuer}"'
    for form in ({}, {"client_id": client["client_id"], "client_secret": "wrong"}):
        reply = doorward.post("token", **GRANT, **form)
        assert refused(reply, "invalid_client", 401)
        assert reply.headers["www-authenticate"]


def test_authentication_comes_before_everything_that_it_protects(doorward, client):
    stranger = {"client_id": "client_unknown", "client_secret": "wrong"}
    for form in ({**GRANT, "scope": "no:such"}, {**GRANT, "resource": "https://elsewhere.example"}):
        assert refused(doorward.post("token", stranger, **form), "invalid_client", 401)


class TestScope:
    """§3.3 and §4.4.2."""

    def test_none_asked_for_is_all_that_was_granted(self, doorward, client):
        assert doorward.post("token", client, **GRANT).json()["scope"] == "invoices:read invoices:write"

    def test_what_is_asked_for_is_given_and_no_more(self, doorward, client):
        answer = doorward.post("token", client, **GRANT, scope="invoices:read").json()
        assert answer["scope"] == "invoices:read"
        assert doorward.introspect(client, answer["access_token"])["scope"] == "invoices:read"

    def test_the_order_does_not_matter(self, doorward, client):
        answer = doorward.post("token", client, **GRANT, scope="invoices:write invoices:read").json()
        assert answer["scope"].split() == sorted(["invoices:read", "invoices:write"])

    def test_more_than_was_granted_is_invalid(self, doorward):
        client = doorward.a_client(scope="invoices:read")
        for scope in ("invoices:write", "invoices:read invoices:write", "admin", "openid", "INVOICES:READ"):
            assert refused(doorward.post("token", client, **GRANT, scope=scope), "invalid_scope")

    @pytest.mark.parametrize(
        "scope",
        [" ", " invoices:read", "invoices:read ", "invoices:read  invoices:write", "invoices:read\tinvoices:write",
         "invoices:read\ninvoices:write", "invoices:read\u00a0invoices:write", 'in"voices', "in\\voices", "räksmörgås",
         "a" * 4097, " ".join(["invoices:read"] * 400)],
    )  # fmt: skip
    def test_a_malformed_scope_is_invalid(self, doorward, client, scope):
        assert refused(doorward.post("token", client, **GRANT, scope=scope), "invalid_scope")

    def test_a_scope_that_the_api_gave_up_is_no_longer_granted(self, doorward):
        api = doorward.an_api()
        client = doorward.a_client(api=api["identifier"])
        doorward.v1("PATCH", f"/apis/{api['id']}", {"scopes": {"invoices:read": "Read your invoices"}})
        assert doorward.post("token", client, **GRANT).json()["scope"] == "invoices:read"
        assert refused(doorward.post("token", client, **GRANT, scope="invoices:write"), "invalid_scope")


def test_every_token_is_another_one(doorward, client):
    tokens = {doorward.token(client) for _ in range(20)}
    assert len(tokens) == 20
