"""Best current practice, RFC 9700: what of it binds an authorization server and has no other file here."""

from __future__ import annotations

import re

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    Page,
    Proof,
    a_code,
    a_public_app,
    a_user,
    address_of,
    allowed,
    an_app,
    ask_token,
    asking,
    redeem,
    refresh,
    sent_back,
    signed_in,
    tokens,
)


def test_2_1_1_codes_are_bound_to_a_verifier_for_every_client(doorward, browser):
    """Authorization servers MUST support PKCE; ours lets nobody do without."""
    for app in (an_app, a_public_app):
        assert (
            sent_back(browser.get(address_of(asking(app(doorward), code_challenge=""))))["error"] == "invalid_request"
        )


def test_2_1_1_a_challenge_that_was_sent_is_enforced(doorward, browser):
    """The authorization server MUST enforce the correct usage of code_verifier at the token endpoint."""
    client = an_app(doorward)
    code = a_code(browser, client)
    for verifier in ("", "x" * 43, PROOF.challenge):
        assert redeem(doorward, client, code, code_verifier=verifier).json()["error"] == "invalid_grant"
    assert redeem(doorward, client, code).status_code == 200


def test_2_1_1_and_that_it_is_supported_can_be_detected(doorward):
    """Authorization servers MUST provide a way to detect their support for PKCE."""
    metadata = doorward.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["code_challenge_methods_supported"] == ["S256"]


def test_2_1_redirect_addresses_are_compared_exactly(doorward, browser):
    """Except for port numbers in localhost redirection URIs of native apps."""
    client = a_public_app(doorward, redirect_uris=[CALLBACK, "http://127.0.0.1/cb"])
    for uri in (CALLBACK + "?x", CALLBACK + "/x", "https://sub.client.example/callback", "http://127.0.0.1:5000/cb/x"):
        assert browser.get(address_of(asking(client, redirect_uri=uri))).status_code == 400
    assert browser.get(address_of(asking(client, redirect_uri="http://127.0.0.1:5000/cb"))).status_code == 303


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


def test_2_3_a_token_of_one_resource_is_refused_by_the_verifiers_of_another(doorward, browser):
    client, foreign = an_app(doorward), doorward.a_verifier()
    assert doorward.introspect(foreign, tokens(browser, client)["access_token"]) == {"active": False}


def test_2_4_there_is_no_grant_by_password(doorward):
    reply = ask_token(doorward, an_app(doorward), grant_type="password", username="ada", password="x")
    assert reply.json()["error"] == "unsupported_grant_type"


def test_2_5_clients_authenticate_wherever_they_can(doorward, browser):
    client = an_app(doorward)
    bare, code = {**client, "client_secret": None}, a_code(browser, client)
    token = tokens(browser, client)["refresh_token"]
    for reply in (redeem(doorward, bare, code), refresh(doorward, bare, token)):
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


def test_2_6_the_answer_travels_encrypted_or_not_at_all(doorward):
    """The authorization server MUST NOT allow redirection URIs that use the http scheme except for loopback."""
    client = an_app(doorward)
    for uri, status in (("http://client.example/cb", 422), ("http://127.0.0.1/cb", 200), (CALLBACK, 200)):
        reply = doorward.v1("PATCH", f"/clients/{client['client_id']}", {"redirect_uris": [uri]})
        assert reply.status_code == status


def test_2_6_the_authorization_endpoint_knows_no_cors(doorward, browser):
    """CORS MUST NOT be supported at the authorization endpoint."""
    asked = address_of(asking(an_app(doorward)))
    for reply in (browser.get(asked, origin="https://client.example"), doorward.http.options("/oauth/authorize")):
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_4_2_4_no_referrer_carries_a_code_and_no_page_loads_from_elsewhere(doorward, browser):
    client = an_app(doorward)
    asks = browser.get(browser.get(address_of(asking(client))).headers["location"])
    answers = browser.submit(Page(asks.text), answer="allow")
    assert {reply.headers["referrer-policy"] for reply in (asks, answers)} == {"no-referrer"}
    assert not re.search(r"(?:src|href)=\"(?!/[a-z])", asks.text)


def test_4_2_4_a_code_that_leaked_from_the_history_was_used_already(doorward, browser):
    client = an_app(doorward)
    code = a_code(browser, client)
    assert redeem(doorward, client, code).status_code == 200
    assert redeem(doorward, client, code).json()["error"] == "invalid_grant"


def test_4_4_2_the_answer_names_its_issuer_so_that_two_are_not_mixed_up(doorward, browser):
    client = an_app(doorward)
    for reply in (allowed(browser, client), sent_back(browser.get(address_of(asking(client, scope="no:such"))))):
        assert reply["iss"] == doorward.issuer


def test_4_5_3_a_code_from_another_browser_is_worth_nothing_in_this_one(doorward, browser):
    """Code injection: it is bound to the transaction by the challenge."""
    client = a_public_app(doorward)
    stolen = a_code(browser, client, code_challenge=Proof().challenge)
    assert redeem(doorward, client, stolen).json()["reason"] == "pkce_failed"


def test_4_8_2_pkce_cannot_be_left_out_on_the_way(doorward, browser):
    """A request whose challenge an attacker removed is refused, so that no code without one exists."""
    client = an_app(doorward)
    for gone in ({"code_challenge": ""}, {"code_challenge_method": ""}, {"code_challenge_method": "plain"}):
        told = sent_back(browser.get(address_of(asking(client, **gone))))
        assert (told["error"], "code" in told) == ("invalid_request", False)


def test_4_11_2_no_error_sends_a_browser_where_nobody_is_registered(doorward, browser):
    client = an_app(doorward)
    for changed in ({}, {"scope": "no:such"}, {"prompt": "none"}, {"response_type": "token"}):
        reply = browser.get(address_of(asking(client, **changed, redirect_uri="https://evil.example/")))
        assert (reply.status_code, "location" in reply.headers) == (400, False)


def test_4_12_a_redirect_after_a_post_is_a_303(browser, doorward):
    assert browser.post("/oauth/authorize", asking(an_app(doorward))).status_code == 303


def test_4_14_2_a_refresh_token_is_bound_to_what_the_user_consented_to(doorward, browser):
    """Scope and resource servers as consented by the resource owner."""
    client = an_app(doorward)
    token = tokens(browser, client, scope="invoices:read")["refresh_token"]
    assert refresh(doorward, client, token, scope="invoices:write").json()["error"] == "invalid_scope"
    other = doorward.an_api()["identifier"]
    assert refresh(doorward, client, token, resource=other).json()["error"] == "invalid_target"


@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_4_14_2_a_replay_ends_the_active_token_and_the_grant(doorward, browser, app):
    """The authorization server SHOULD revoke the active refresh token and the access authorization grant."""
    client = app(doorward)
    first = tokens(browser, client)["refresh_token"]
    second = refresh(doorward, client, first).json()["refresh_token"]
    active = refresh(doorward, client, second).json()["refresh_token"]
    assert refresh(doorward, client, first).json()["reason"] == "refresh_token_replayed"
    assert refresh(doorward, client, active).json()["reason"] == "grant_ended"


def test_4_14_2_a_sign_out_ends_it_unless_the_user_said_otherwise(doorward):
    """Refresh tokens MAY be revoked in case of a security event such as a logout."""
    browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
    short, lasting = tokens(browser, client), tokens(browser, client, scope="invoices:read offline_access")
    leave = Page(browser.get("/logout").text)
    assert browser.post("/logout", leave.fields).status_code == 303
    assert refresh(doorward, client, short["refresh_token"]).json()["reason"] == "grant_ended"
    assert refresh(doorward, client, lasting["refresh_token"]).status_code == 200


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
