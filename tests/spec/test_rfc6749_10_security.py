"""Security considerations of RFC 6749 §10 that bind an authorization server, as far as no other file here has them."""

from __future__ import annotations

import math
import string

import pytest
from tests.browsing import (
    Browser,
    a_code,
    a_public_app,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    refresh,
    sent_back,
    tokens,
)

EVIL = "https://evil.example/"
BITS = 160


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


def test_10_1_a_public_client_proves_its_identity_by_no_secret(doorward):
    """The authorization server MUST NOT issue client passwords to native or user-agent-based applications."""
    client = a_public_app(doorward)
    assert client["client_secret"] is None
    shown = refresh(doorward, {**client, "client_secret": an_app(doorward)["client_secret"]}, "x")
    assert (shown.status_code, shown.json()["error"]) == (401, "invalid_client")


def test_10_2_without_proof_of_its_identity_a_client_is_not_answered_without_its_user(doorward, browser):
    """It SHOULD NOT process repeated authorization requests automatically."""
    client = a_public_app(doorward, redirect_uris=["http://127.0.0.1/cb"])
    for _ in range(2):
        asked = asking(client, redirect_uri="http://127.0.0.1:5000/cb")
        page = consent_page(browser, browser.get(address_of(asked)))
        assert "code" in sent_back(browser.submit(page, answer="allow"), "http://127.0.0.1:5000/cb")


@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_10_4_a_refresh_token_keeps_its_client(doorward, browser, app):
    """The authorization server MUST maintain the binding between a refresh token and the client."""
    client, other = app(doorward), app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert refresh(doorward, other, token).json()["error"] == "invalid_grant"
    assert doorward.introspect(an_app(doorward), token) == {"active": False}
    assert refresh(doorward, client, token).status_code == 200


def test_10_5_a_code_that_is_tried_again_ends_what_it_gave(doorward, browser):
    """It SHOULD attempt to revoke all access tokens already granted based on the compromised authorization code."""
    client = an_app(doorward)
    code = a_code(browser, client)
    got = redeem(doorward, client, code).json()
    assert redeem(doorward, client, code).json()["error"] == "invalid_grant"
    for name in ("access_token", "refresh_token"):
        assert doorward.introspect(client, got[name]) == {"active": False}


def test_10_6_the_address_of_a_code_cannot_be_manipulated(doorward, browser):
    """It MUST ensure that the redirection URI used to obtain the code is identical to the one provided."""
    client = an_app(doorward, redirect_uris=["https://client.example/callback", "https://client.example/other"])
    code = a_code(browser, client)
    assert redeem(doorward, client, code, redirect_uri="https://client.example/other").status_code == 400


def test_10_10_whatever_gives_access_is_too_random_to_be_guessed(doorward, browser):
    """The probability of guessing SHOULD be less than or equal to 2^(-160)."""
    client = an_app(doorward, api=doorward.an_api(token_format="opaque")["identifier"])
    got = tokens(browser, client)
    for text in (got["access_token"], got["refresh_token"], client["client_secret"]):
        secret = text.rpartition("_")[2][12:-6]
        assert set(secret) <= set(string.ascii_letters + string.digits)
        assert len(secret) * math.log2(62) > BITS
    assert len(a_code(browser, client)) * 6 > BITS


def test_10_12_nobody_answers_for_the_user(doorward, browser):
    """The authorization server MUST implement CSRF protection for its authorization endpoint."""
    client = an_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    for fields, headers in (
        ({"csrf": ""}, {}), ({"csrf": "0" * 64}, {}), ({}, {"origin": EVIL}), ({}, {"sec_fetch_site": "cross-site"}),
    ):  # fmt: skip
        reply = browser.post("/consent", {**page.fields, "answer": "allow", **fields}, **headers)
        assert (reply.status_code, "location" in reply.headers) == (403, False)
    items = doorward.v1("GET", f"/grants?client={client['client_id']}").json()["items"]
    assert [one for one in items if one["user"]] == []


def test_10_13_no_page_of_the_way_stands_in_a_frame(doorward, browser):
    client = an_app(doorward)
    address = address_of(asking(client))
    asks, signs_in = browser.get(address), Browser(doorward).get(address)
    shown = [browser.get(asks.headers["location"]), Browser(doorward).get(signs_in.headers["location"])]
    for reply in (*shown, browser.get(address_of(asking(client, redirect_uri=EVIL)))):
        assert reply.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("text", ['"><img src=x onerror=alert(1)>', "\r\nset-cookie: a=b", "{{ 7 * 7 }}", "%(client)s"])
def test_10_14_what_is_received_is_shown_and_does_nothing(doorward, browser, text):
    """It MUST sanitize (and validate when possible) any value received - in particular "state" and "redirect_uri"."""
    client = an_app(doorward, name=text.strip().replace("\r\n", " ") or "x")
    reply = browser.get(address_of(asking(client, state=text)))
    page = consent_page(browser, reply)
    assert "<img src=x" not in page.text
    told = browser.submit(page, answer="deny")
    assert "set-cookie" not in told.headers or "a=b" not in told.headers["set-cookie"]
    assert sent_back(told)["state"] == text
    refused = browser.get(address_of(asking(client, redirect_uri=f"https://client.example/{text}")))
    assert refused.status_code == 400
    assert "<img src=x" not in refused.text


@pytest.mark.parametrize(
    "changed", [{}, {"prompt": "none"}, {"scope": "no:such"}, {"response_type": "x"}, {"response_mode": "form_post"}]
)
def test_10_15_it_is_no_open_redirector(doorward, browser, changed):
    reply = browser.get(address_of(asking(an_app(doorward), redirect_uri=EVIL, **changed)))
    assert (reply.status_code, "location" in reply.headers, "evil" in reply.text) == (400, False, False)


def test_10_16_a_token_names_who_it_was_issued_to(doorward, browser):
    """So that no client takes a token of another one for a sign-in."""
    client = an_app(doorward)
    got = tokens(browser, client)
    assert doorward.introspect(client, got["access_token"])["client_id"] == client["client_id"]
