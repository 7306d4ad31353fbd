"""The userinfo endpoint, OpenID Connect Core §5.3 with RFC 6750: which token opens it, what it tells, who may ask."""

from __future__ import annotations

import pytest
from tests.browsing import a_public_app, an_app, signed_in
from tests.deployment import FORM
from tests.openid import EVERYTHING, PROFILE, identified, known, somebody, userinfo
from tests.verify.bad_tokens import bad, good

PATH = "/oauth/userinfo"
ORIGIN = {"origin": "https://spa.example"}


@pytest.fixture
def user(ada):
    return ada


@pytest.fixture
def client(doorward):
    return an_app(doorward)


@pytest.fixture
def token(browser, client):
    return identified(browser, client)["access_token"]


def refused(reply, status, error):
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["access-control-allow-origin"] == "*"
    return reply.headers.get("www-authenticate", "")


# How it is asked (§5.3.1)


def test_by_get_and_by_post_in_the_header_and_in_the_body(doorward, token, ada):
    """The UserInfo Endpoint MUST support GET and POST, and MUST accept bearer tokens."""
    replies = [
        userinfo(doorward, token), userinfo(doorward, token, "POST"), doorward.post("userinfo", access_token=token),
        userinfo(doorward, token, "POST", **FORM), userinfo(doorward, token, authorization=f"bearer {token}"),
    ]  # fmt: skip
    for reply in replies:
        assert (reply.status_code, reply.json()) == (200, {"sub": ada["id"]}), reply.text
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
def test_by_nothing_else(doorward, token, method):
    reply = userinfo(doorward, token, method)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, POST")


def test_never_in_the_url(doorward, token):
    """OAuth 2.1 §5.1; T042: logs keep it."""
    for method in ("GET", "POST"):
        reply = doorward.http.request(method, f"{PATH}?access_token={token}")
        refused(reply, 400, "invalid_request")
        assert reply.json()["reason"] == "secret_in_query"


def test_never_in_two_places(doorward, token):
    """RFC 6750 §2."""
    reply = doorward.http.post(
        PATH, content=f"access_token={token}", headers={**FORM, "authorization": f"Bearer {token}"}
    )
    refused(reply, 400, "invalid_request")
    fields = [("authorization", f"Bearer {token}")] * 2
    refused(doorward.http.get(PATH, headers=fields), 400, "invalid_request")
    refused(
        doorward.http.post(PATH, content=f"access_token={token}&access_token=x", headers=FORM), 400, "invalid_request"
    )


def test_a_body_of_another_type_holds_no_token(doorward, token):
    reply = doorward.http.post(PATH, json={"access_token": token})
    assert (reply.status_code, reply.json()["reason"]) == (401, "credential_missing")


# What it tells (§5.3.2)


def test_all_that_the_scopes_are_about(doorward, browser, client, ada):
    found = known(doorward, identified(browser, client, scope=EVERYTHING)["access_token"])
    assert abs(found.pop("updated_at") - ada["updated_at"]) < 60
    assert found == {
        "sub": ada["id"], "name": "Ada Lovelace", "preferred_username": ada["username"], "email": "ada@example.com",
        "email_verified": True, **PROFILE,
    }  # fmt: skip


def test_what_is_not_known_is_absent(doorward):
    """It SHOULD NOT be present with a null or empty string value."""
    nobody = somebody(doorward, name=None, email=None, email_verified=False, profile={"nickname": ""})
    token = identified(signed_in(doorward, nobody), an_app(doorward), scope=EVERYTHING)["access_token"]
    assert known(doorward, token).keys() == {"sub", "name", "preferred_username", "updated_at"}
    assert known(doorward, token)["name"] == nobody["username"]


def test_what_changes_is_told_at_once(doorward):
    user = somebody(doorward)
    token = identified(signed_in(doorward, user), an_app(doorward), scope="openid email")["access_token"]
    assert known(doorward, token)["email"] == "ada@example.com"
    doorward.v1("PATCH", f"/users/{user['id']}", {"email": "new@example.com"})
    found = known(doorward, token)
    assert (found["email"], found["email_verified"]) == ("new@example.com", False)


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_an_apis_token_is_asked_with_as_well(doorward, browser, ada, token_format):
    """Decision 11: whatever its audience."""
    api = doorward.an_api(token_format=token_format)["identifier"]
    client = an_app(doorward, api=api)
    tokens = identified(browser, client, scope="openid invoices:read email", resource=api)
    assert known(doorward, tokens["access_token"]) == {
        "sub": ada["id"], "email": "ada@example.com", "email_verified": True
    }  # fmt: skip


def test_a_token_for_nothing_else_is_asked_with_too(doorward, browser, ada):
    client = an_app(doorward, api=None, scope=None)
    assert known(doorward, identified(browser, client)["access_token"]) == {"sub": ada["id"]}


# Whom it refuses (§5.3.3)


def test_without_a_token_there_is_no_error_code(doorward):
    """RFC 6750 §3.1."""
    for reply in (doorward.http.get(PATH), doorward.http.post(PATH), doorward.http.get(PATH, auth=("a", "b"))):
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == f'Bearer realm="{doorward.issuer}"'


@pytest.mark.parametrize("scope", ["invoices:read", "profile email", "offline_access invoices:read"])
def test_without_openid_the_scope_that_is_needed_is_named(doorward, browser, client, scope):
    token = identified(browser, client, scope=scope)["access_token"]
    challenge = refused(userinfo(doorward, token), 403, "insufficient_scope")
    assert challenge == f'Bearer realm="{doorward.issuer}", error="insufficient_scope", scope="openid"'


def test_a_client_of_its_own_is_no_user(doorward):
    """And no api can have a scope of that name."""
    refused(userinfo(doorward, doorward.token(doorward.a_client())), 403, "insufficient_scope")
    named_so = {"identifier": "https://api.example.com/names", "name": "Names", "scopes": {"openid": "x"}}
    assert doorward.v1("POST", "/apis", named_so).status_code == 422


def test_no_other_credential_opens_it(doorward, client, browser):
    tokens = identified(browser, client, scope="openid offline_access")
    others = (
        tokens["refresh_token"], tokens["id_token"], client["client_secret"], doorward.admin_key,
        doorward.a_key()["key"], "x", "a.b.c", tokens["access_token"][:-1], tokens["access_token"] + "x",
    )  # fmt: skip
    said = set()
    for text in others:
        reply = userinfo(doorward, text)
        challenge = refused(reply, 401, "invalid_token")
        assert 'error="invalid_token"' in challenge
        assert len(text) < 10 or text not in reply.text + challenge
        said.add((challenge, *(reply.json()[name] for name in ("error_description", "reason", "docs"))))
    assert len(said) == 1
    assert userinfo(doorward, tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("kind", bad())
def test_t070_no_bad_token_opens_it(on_sqlite, kind):
    texts = bad()[kind] if kind != "control" else good()
    for name, text in texts.items():
        if text.isascii() and text.isprintable() and 0 < len(text) < 12_000:
            reply = userinfo(on_sqlite, text)
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token"), name


ENDS = {
    "grant": lambda doorward, at: doorward.v1("POST", f"/grants/{at['grant_id']}/revoke"),
    "user": lambda doorward, at: doorward.v1("POST", f"/users/{at['sub']}/disable"),
    "session": lambda doorward, at: doorward.v1("POST", f"/sessions/{at['sid']}/revoke"),
    "client": lambda doorward, at: doorward.v1("PATCH", f"/clients/{at['client_id']}", {"state": "disabled"}),
    "client's account": lambda doorward, at: doorward.v1("POST", f"/accounts/{at['client_account']}/suspend"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_has_ended_tells_nothing_from_that_moment_on(doorward, end):
    client, browser = an_app(doorward), signed_in(doorward, somebody(doorward))
    token = identified(browser, client)["access_token"]
    at = doorward.introspect(client, token)
    assert userinfo(doorward, token).status_code == 200
    assert end(doorward, at).status_code == 200
    refused(userinfo(doorward, token), 401, "invalid_token")


@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_a_token_that_its_client_gave_back_tells_nothing(doorward, browser, token_format):
    client = an_app(doorward, api=doorward.an_api(token_format=token_format)["identifier"])
    token = identified(browser, client)["access_token"]
    assert userinfo(doorward, token).status_code == 200
    assert doorward.post("revoke", client, token=token).status_code == 200
    refused(userinfo(doorward, token), 401, "invalid_token")


def test_a_refusal_of_a_token_that_there_was_is_in_the_journal(doorward, browser, client):
    """Decision 23."""
    token = identified(browser, client)["access_token"]
    grant_id = doorward.introspect(client, token)["grant_id"]
    doorward.v1("POST", f"/grants/{grant_id}/revoke")
    request_id = userinfo(doorward, token).json()["request_id"]
    told = doorward.v1("GET", "/audit?order=desc&type=CredentialRefused&limit=5").json()["items"]
    assert request_id in {one["request_id"] for one in told}


# Other origins (T182)


def test_a_single_page_app_of_any_origin_may_ask_without_cookies(doorward, browser):
    """§5.3: the UserInfo Endpoint SHOULD support CORS."""
    token = identified(browser, a_public_app(doorward))["access_token"]
    asked = {**ORIGIN, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    preflight = doorward.http.options(PATH, headers=asked)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-methods"] == "GET, POST"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    replies = (preflight, userinfo(doorward, token, **ORIGIN), doorward.http.get(PATH, headers=ORIGIN))
    assert [reply.status_code for reply in replies] == [204, 200, 401]
    for reply in replies:
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers


def test_its_cookies_say_nothing(doorward, browser):
    """Who is signed in at his browser is told to nobody who shows no token."""
    assert browser.get(PATH).status_code == 401
