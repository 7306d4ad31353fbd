"""What the token endpoint answers to codes and refresh tokens: RFC 6749 §5.1 and §5.2."""

from __future__ import annotations

import re

import pytest
from tests.browsing import a_code, a_public_app, address_of, an_app, asking, redeem, refresh, sent_back, tokens

TEXT = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


@pytest.fixture(params=["jwt", "opaque"])
def client(request, doorward):
    return an_app(doorward, api=doorward.an_api(token_format=request.param, token_lifetime=120)["identifier"])


@pytest.fixture(params=["code", "refresh"])
def reply(request, doorward, browser, client):
    if request.param == "code":
        return redeem(doorward, client, a_code(browser, client))
    return refresh(doorward, client, tokens(browser, client)["refresh_token"])


def test_5_1_it_has_these_members_and_no_others(reply):
    assert reply.status_code == 200
    assert reply.json().keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}


def test_5_1_each_is_of_its_type(reply):
    got = reply.json()
    assert (got["token_type"], got["expires_in"]) == ("Bearer", 120)
    assert all(isinstance(got[name], str) and got[name] for name in ("access_token", "refresh_token", "scope"))


def test_5_1_it_is_json_and_never_stored(reply):
    """The authorization server MUST include the "Cache-Control" response header field with a value of "no-store"."""
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"


def test_5_1_the_lifetime_that_is_told_is_the_tokens(reply, doorward, client):
    claims = doorward.introspect(client, reply.json()["access_token"])
    assert claims["exp"] - claims["iat"] == reply.json()["expires_in"]


def test_5_1_the_scope_that_is_told_is_the_tokens(reply, doorward, client):
    assert doorward.introspect(client, reply.json()["access_token"])["scope"] == reply.json()["scope"]


def test_5_1_a_client_that_may_not_refresh_has_nothing_to_do_it_with(doorward, browser):
    client = an_app(doorward, grant_types=["authorization_code"])
    assert "refresh_token" not in redeem(doorward, client, a_code(browser, client)).json()


# error -> what is sent, beside the right credentials
WRONG = {
    "invalid_request": [
        {"grant_type": "refresh_token"},
        {"grant_type": "authorization_code", "code_verifier": "x" * 43},
    ],
    "invalid_grant": [
        {"grant_type": "refresh_token", "refresh_token": "x"},
        {"grant_type": "refresh_token", "refresh_token": "dwr_live_" + "0" * 50},
        {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43},
    ],
    "unsupported_grant_type": [{"grant_type": "urn:ietf:params:oauth:grant-type:saml2-bearer", "assertion": "x"}],
}


@pytest.mark.parametrize("error", WRONG)
def test_5_2_what_is_wrong_has_a_word_and_a_status(doorward, error):
    client = an_app(doorward)
    for form in WRONG[error]:
        reply = doorward.post("token", client, **form)
        assert (reply.status_code, reply.json()["error"]) == (400, error), form
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        assert TEXT.fullmatch(reply.json()["error_description"])


def test_5_2_a_scope_that_exceeds_what_was_granted_is_invalid(doorward, browser):
    client = an_app(doorward)
    token = tokens(browser, client, scope="invoices:read")["refresh_token"]
    assert refresh(doorward, client, token, scope="invoices:write").json()["error"] == "invalid_scope"
    assert refresh(doorward, client, token, scope="invoices:read  x").json()["error"] == "invalid_scope"


def test_5_2_a_client_that_failed_by_basic_is_challenged_by_basic(doorward, browser):
    """401 MUST include the "WWW-Authenticate" response header field matching the scheme used by the client."""
    client = an_app(doorward)
    code = a_code(browser, client)
    failed = redeem(doorward, {**client, "client_secret": "wrong"}, code)
    assert (failed.status_code, failed.json()["error"]) == (401, "invalid_client")
    assert failed.headers["www-authenticate"] == f'Basic realm="{doorward.issuer}"'


def test_5_2_nothing_that_was_sent_is_repeated(doorward, browser):
    client = a_public_app(doorward)
    for sent in ('"><script>', "räksmörgås", "a" * 300):
        for reply in (redeem(doorward, client, sent), refresh(doorward, client, sent)):
            assert reply.json()["error"] == "invalid_grant"
            assert sent not in reply.text
        told = sent_back(browser.get(address_of(asking(client, scope=sent))))
        assert sent not in told["error_description"]
