"""The authorization code grant sentence by sentence: RFC 6749 §4.1.1 to §4.1.4."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
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
)

OTHER = "https://client.example/other"


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


def refused(reply, error="invalid_grant", status=400):
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert reply.headers["cache-control"] == "no-store"
    return True


class TestRequest:
    """§4.1.1."""

    @pytest.mark.parametrize("name", ["scope", "state"])
    def test_what_is_optional_may_be_missing(self, doorward, browser, name):
        told = sent_back(browser.get(address_of(asking(an_app(doorward, first_party=True), **{name: ""}))))
        assert "code" in told
        assert ("state" in told) is (name != "state")

    def test_the_decision_is_the_users_and_comes_from_our_page(self, doorward, browser):
        """The authorization server authenticates the resource owner and obtains an authorization decision."""
        page = consent_page(browser, browser.get(address_of(asking(an_app(doorward)))))
        assert page.action == "/consent"
        reply = browser.post("/consent", {name: value for name, value in page.fields.items() if name != "csrf"})
        assert reply.status_code == 403


class TestResponse:
    """§4.1.2."""

    def test_the_code_stands_in_the_query(self, doorward, browser):
        client = an_app(doorward, first_party=True)
        parts = urlsplit(browser.get(address_of(asking(client))).headers["location"])
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
        assert parts.fragment == ""
        assert parts.query.startswith("code=")

    def test_it_expires_soon(self, doorward, browser):
        """A maximum authorization code lifetime of 10 minutes is RECOMMENDED; ours is one."""
        client = an_app(doorward)
        code = a_code(browser, client)
        # The clock of the test is the row.
        doorward.sql("UPDATE codes SET expires_at = created_at WHERE client_id = :id", id=client["client_id"])
        assert refused(redeem(doorward, client, code))

    def test_it_is_used_once(self, doorward, browser):
        """The client MUST NOT use the authorization code more than once."""
        client = an_app(doorward)
        code = a_code(browser, client)
        got = redeem(doorward, client, code).json()
        assert refused(redeem(doorward, client, code))
        assert doorward.introspect(client, got["access_token"]) == {"active": False}

    def test_it_is_bound_to_the_client_and_to_the_address(self, doorward, browser):
        client = an_app(doorward, redirect_uris=[CALLBACK, OTHER])
        code = a_code(browser, client)
        assert refused(redeem(doorward, an_app(doorward), code))
        assert refused(redeem(doorward, client, code, redirect_uri=OTHER))
        assert redeem(doorward, client, code, redirect_uri=CALLBACK).status_code == 200

    def test_the_exact_state_comes_back(self, doorward, browser):
        """REQUIRED if the "state" parameter was present. The exact value received from the client."""
        client = an_app(doorward, first_party=True)
        for state in ("xyz", "a%2Bb+c d", "é\u2028", "{}[]|\\^`"):
            assert sent_back(browser.get(address_of(asking(client, state=state))))["state"] == state


ERRORS = {
    "invalid_request": {"code_challenge": ""},
    "unsupported_response_type": {"response_type": "token"},
    "invalid_scope": {"scope": "no:such"},
    "login_required": {"prompt": "none"},
}


class TestErrors:
    """§4.1.2.1."""

    @pytest.mark.parametrize("error", ERRORS)
    def test_what_is_wrong_has_a_word(self, doorward, error):
        """Values MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E."""
        client = an_app(doorward)
        told = sent_back(Browser(doorward).get(address_of(asking(client, **ERRORS[error]))))
        assert told.keys() == {"error", "error_description", "state", "iss"}
        assert (told["error"], told["state"]) == (error, "af0ifjsldkj")
        assert all(" " <= letter <= "~" and letter not in '"\\' for letter in told["error_description"])

    def test_a_client_that_may_not_ask_so_is_unauthorized(self, doorward, browser):
        client = an_app(doorward, grant_types=["client_credentials"])
        assert sent_back(browser.get(address_of(asking(client))))["error"] == "unauthorized_client"

    def test_a_user_who_says_no_denied_access(self, doorward, browser):
        page = consent_page(browser, browser.get(address_of(asking(an_app(doorward)))))
        assert sent_back(browser.submit(page, answer="deny"))["error"] == "access_denied"

    @pytest.mark.parametrize(
        "wrong", [{"redirect_uri": OTHER}, {"redirect_uri": ""}, {"client_id": "x"}, {"client_id": ""}]
    )
    def test_without_a_valid_address_or_client_nobody_is_sent_anywhere(self, doorward, browser, wrong):
        """The authorization server MUST NOT automatically redirect the user-agent to the invalid redirection URI."""
        asked = {**asking(an_app(doorward)), **wrong}
        reply = browser.get(address_of(asked))
        assert (reply.status_code, "location" in reply.headers) == (400, False)


class TestTokenRequest:
    """§4.1.3."""

    def test_the_code_is_required(self, doorward):
        form = {"grant_type": "authorization_code", "code_verifier": PROOF.verifier}
        assert refused(doorward.post("token", an_app(doorward), **form), "invalid_request")

    def test_a_confidential_client_authenticates(self, doorward, browser):
        """Require client authentication for confidential clients."""
        client = an_app(doorward)
        code = a_code(browser, client)
        assert refused(redeem(doorward, {**client, "client_secret": None}, code), "invalid_client", 401)
        assert refused(redeem(doorward, {**client, "client_secret": "x"}, code), "invalid_client", 401)
        assert redeem(doorward, client, code).status_code == 200

    @pytest.mark.parametrize("app", [an_app, a_public_app])
    def test_the_code_was_issued_to_this_client(self, doorward, browser, app):
        client, other = app(doorward), app(doorward)
        assert refused(redeem(doorward, other, a_code(browser, client)))

    @pytest.mark.parametrize("uri", [OTHER, CALLBACK + "/", CALLBACK.upper(), "https://evil.example/"])
    def test_an_address_that_is_sent_is_the_one_of_the_request(self, doorward, browser, uri):
        """Their values MUST be identical."""
        client = an_app(doorward, redirect_uris=[CALLBACK, OTHER])
        assert refused(redeem(doorward, client, a_code(browser, client), redirect_uri=uri))

    def test_it_need_not_be_sent_since_pkce_binds_the_code(self, doorward, browser):
        """Here we depart from RFC 6749, as OAuth 2.1 does: without the verifier the code is worth nothing."""
        client = an_app(doorward)
        code = a_code(browser, client)
        assert refused(redeem(doorward, client, code, code_verifier="", redirect_uri=CALLBACK))
        assert redeem(doorward, client, code).status_code == 200


def test_4_1_4_the_response_is_that_of_5_1_with_a_refresh_token(doorward, browser):
    client = an_app(doorward)
    reply = redeem(doorward, client, a_code(browser, client))
    assert reply.headers["cache-control"] == "no-store"
    got = reply.json()
    assert (got["token_type"], got["expires_in"]) == ("Bearer", 300)
    assert refresh(doorward, client, got["refresh_token"]).status_code == 200
