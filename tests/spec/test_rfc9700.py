"""Best current practice, RFC 9700: what of it binds an authorization server and has no other file here."""

from __future__ import annotations

import pytest
from tests.browsing import (
    a_public_app,
    a_user,
    address_of,
    an_app,
    ask_token,
    asking,
    refresh,
    sent_back,
    signed_in,
    tokens,
)


@pytest.fixture(scope="module")
def people():
    return {}


@pytest.fixture
def browser(doorward, people):
    if doorward.directory not in people:
        people[doorward.directory] = signed_in(doorward, a_user(doorward))
    return people[doorward.directory]


def test_2_1_1_codes_are_bound_to_a_verifier_for_every_client(doorward, browser):
    """Authorization servers MUST support PKCE; ours lets nobody do without."""
    for app in (an_app, a_public_app):
        assert (
            sent_back(browser.get(address_of(asking(app(doorward), code_challenge=""))))["error"] == "invalid_request"
        )


def test_2_1_2_no_token_ever_stands_in_a_redirect(doorward, browser):
    """Clients SHOULD NOT use the implicit grant: they cannot."""
    client = an_app(doorward)
    for kind in ("token", "id_token token", "code token"):
        told = sent_back(browser.get(address_of(asking(client, response_type=kind))))
        assert "access_token" not in told
    metadata = doorward.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["response_types_supported"] == ["code"]


def test_2_2_2_refresh_tokens_of_public_clients_rotate(doorward, browser):
    client = a_public_app(doorward)
    first = tokens(browser, client)["refresh_token"]
    assert refresh(doorward, client, first).json()["refresh_token"] != first


def test_2_3_an_access_token_is_for_one_resource_and_its_scope(doorward, browser):
    client = an_app(doorward)
    claims = doorward.introspect(client, tokens(browser, client, scope="invoices:read")["access_token"])
    assert (claims["aud"], claims["scope"]) == (client["apis"][0]["api"], "invoices:read")


def test_2_4_there_is_no_grant_by_password(doorward):
    reply = ask_token(doorward, an_app(doorward), grant_type="password", username="ada", password="x")
    assert reply.json()["error"] == "unsupported_grant_type"


def test_4_11_2_no_error_sends_a_browser_where_nobody_is_registered(doorward, browser):
    client = an_app(doorward)
    for changed in ({}, {"scope": "no:such"}, {"prompt": "none"}, {"response_type": "token"}):
        reply = browser.get(address_of(asking(client, **changed, redirect_uri="https://evil.example/")))
        assert (reply.status_code, "location" in reply.headers) == (400, False)


def test_4_12_a_redirect_after_a_post_is_a_303(browser, doorward):
    assert browser.post("/oauth/authorize", asking(an_app(doorward))).status_code == 303


def test_4_15_a_client_that_acts_for_itself_is_never_taken_for_a_user(doorward, browser):
    """`sub` of a client is its own id, of a user the user's: neither can be chosen."""
    client = an_app(doorward, grant_types=["authorization_code", "client_credentials"])
    own = doorward.introspect(client, doorward.token(client))
    users = doorward.introspect(client, tokens(browser, client)["access_token"])
    assert own["sub"] == client["client_id"]
    assert users["sub"].startswith("user_")


def test_4_16_no_page_of_ours_stands_in_a_frame(doorward, browser):
    client = an_app(doorward)
    shown = browser.get(browser.get(address_of(asking(client))).headers["location"])
    assert shown.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]
