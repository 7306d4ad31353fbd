"""The claims parameter: OpenID Connect Core §5.5, and whose consent covers what it asks for."""

from __future__ import annotations

import json

import pytest
from tests.browsing import Browser, Page, address_of, an_app, asking, sent_back, signed_in
from tests.openid import authorize, identified, identity, known, redeemed, somebody, walk

ACR = {"essential": True, "values": ["1"]}


@pytest.fixture
def doorward(on_sqlite):
    """What is decided here rests on few rows: one database is enough."""
    return on_sqlite


@pytest.fixture
def user(ada):
    return ada


@pytest.fixture
def client(doorward):
    return an_app(doorward)


@pytest.fixture
def own_client(doorward):
    return an_app(doorward, first_party=True)


def asked_for(**places):
    return json.dumps(places)


# Which are told


def test_a_name_is_told_where_it_was_asked_for(doorward, browser, own_client):
    claims = asked_for(userinfo={"phone_number": None}, id_token={"email": {"essential": True}, "name": None})
    tokens = identified(browser, own_client, claims=claims)
    found = identity(doorward, tokens, own_client)
    assert (found["email"], found["name"], "phone_number" in found) == ("ada@example.com", "Ada Lovelace", False)
    assert known(doorward, tokens["access_token"]).keys() == {"sub", "phone_number"}


def test_a_claim_without_the_users_consent_to_its_scope_is_left_out(doorward, browser, client):
    """The consent page shows scopes; what it did not show no third party learns."""
    claims = asked_for(userinfo={"email": {"essential": True}, "name": None}, id_token={"email": None, "name": None})
    tokens = identified(browser, client, claims=claims, scope="openid profile")
    assert "email" not in identity(doorward, tokens, client)
    assert "email" not in known(doorward, tokens["access_token"])
    assert identity(doorward, tokens, client)["name"] == "Ada Lovelace"


def test_a_user_who_allows_less_is_believed(doorward, ada):
    client, browser = an_app(doorward), signed_in(doorward, ada)
    asked = asking(client, scope="openid email", claims=asked_for(id_token={"email": {"essential": True}}))
    page = Page(browser.get(browser.get(address_of(asked)).headers["location"]).text)
    fields = {name: value for name, value in page.fields.items() if name != "scope.email"}
    tokens = redeemed(doorward, client, sent_back(browser.post(page.action, {**fields, "answer": "allow"}))["code"])
    assert tokens["scope"] == "openid"
    assert "email" not in identity(doorward, tokens, client, nonce=None)
    assert known(doorward, tokens["access_token"]) == {"sub": ada["id"]}


def test_claims_that_nobody_knows_are_ignored(doorward, browser, own_client, ada):
    """§5.5.1: not even an essential one that cannot be told is an error; §5.2: nor one in another language."""
    claims = asked_for(
        userinfo={"groups": {"essential": True}, "name#de": None, "https://example.com/x": None, "role": None},
        id_token={"password": None, "username": None, "acr": None}, verified_claims={},
    )  # fmt: skip
    tokens = identified(browser, own_client, claims=claims)
    assert known(doorward, tokens["access_token"]) == {"sub": ada["id"]}
    assert identity(doorward, tokens, own_client)["acr"] == "1"


def test_no_claim_of_ours_can_be_asked_into_another_value(doorward, browser, own_client, ada):
    wanted = {name: {"value": "x"} for name in ("iss", "aud", "nonce", "at_hash", "sid", "email", "exp")}
    tokens = identified(browser, own_client, claims=asked_for(id_token=wanted))
    assert identity(doorward, tokens, own_client)["email"] == "ada@example.com"


@pytest.mark.parametrize(
    "claims",
    [
        "x", "[]", '"openid"', "1", "{", '{"id_token": []}', '{"userinfo": "email"}', '{"id_token": {"email": true}}',
        '{"id_token": {"email": {"essential": 1}}}', '{"id_token": {"acr": {"values": "1"}}}',
        '{"id_token": {}, "id_token": {}}', '{"id_token": {"sub": {"value": 7}}}', "[" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_request_for_claims_is_refused(browser, client, claims):
    assert authorize(browser, client, claims=claims).told["error"] == "invalid_request"


# Of whom alone (§3.1.2.2, §5.5.1)


class TestSubject:
    def named(self, user):
        return asked_for(id_token={"sub": {"value": user["id"]}})

    def test_who_is_meant_is_told_of(self, doorward, browser, client, ada):
        for prompt in ("", "none"):
            tokens = identified(browser, client, claims=self.named(ada), prompt=prompt)
            assert identity(doorward, tokens, client)["sub"] == ada["id"]

    def test_of_another_nothing_is_told_without_a_page(self, doorward, browser, client):
        other = somebody(doorward)
        assert authorize(browser, client, claims=self.named(other), prompt="none").told["error"] == "login_required"

    def test_who_is_meant_may_sign_in_instead(self, doorward, client, ada):
        browser, other = signed_in(doorward, ada), somebody(doorward)
        arrival = authorize(browser, client, other, claims=self.named(other))
        assert arrival.pages[0] == "/login"
        tokens = redeemed(doorward, client, arrival.code)
        assert identity(doorward, tokens, client)["sub"] == other["id"]

    def test_whoever_else_signs_in_ends_it(self, doorward, client, ada):
        """The client MUST NOT get a token for a different user."""
        browser, other = signed_in(doorward, ada), somebody(doorward)
        reply = browser.get(address_of(asking(client, scope="openid", claims=self.named(other))))
        entered = browser.sign_in(ada["username"], reply.headers["location"])
        assert walk(browser, entered).told["error"] == "access_denied"
        assert browser.get(entered.headers["location"]).status_code == 400

    def test_a_new_browser_is_asked_for_him_too(self, doorward, client, ada):
        other, browser = somebody(doorward), Browser(doorward)
        arrival = authorize(browser, client, ada, claims=self.named(other))
        assert arrival.told["error"] == "access_denied"
        assert arrival.told["state"] == "af0ifjsldkj"


# How strongly (§5.5.1.1)


def test_an_essential_acr_that_we_have_is_told(doorward, browser, client):
    tokens = identified(browser, client, claims=asked_for(id_token={"acr": ACR}))
    assert identity(doorward, tokens, client)["acr"] == "1"


@pytest.mark.parametrize("acr", [{"essential": True, "values": ["2", "phr"]}, {"essential": True, "value": "phr"}])
def test_one_that_nobody_can_reach_is_a_failed_sign_in(doorward, browser, client, acr):
    """It MUST be treated as a failed authentication attempt; nobody is bothered with a page first."""
    for who in (browser, Browser(doorward)):
        arrival = authorize(who, client, claims=asked_for(id_token={"acr": acr}))
        assert (arrival.told["error"], arrival.pages) == ("unmet_authentication_requirements", ())


def test_a_voluntary_one_is_told_as_it_is(doorward, browser, client):
    for more in ({"claims": asked_for(id_token={"acr": {"values": ["phr"]}})}, {"acr_values": "phr"}):
        assert identity(doorward, identified(browser, client, **more), client)["acr"] == "1"
