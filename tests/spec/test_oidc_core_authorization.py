"""Authentication requests: OpenID Connect Core §3.1.2, as far as they are more than OAuth's."""

from __future__ import annotations

import pytest
from tests.browsing import CALLBACK, Browser, Page, address_of, an_app, asking, sent_back, signed_in
from tests.openid import authorize, identified, identity, read, signed_in_earlier, somebody, walk


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


# Hints (§3.1.2.1)


class TestIdTokenHint:
    """T020."""

    def test_its_user_goes_on_without_a_page(self, browser, client):
        hint = identified(browser, client)["id_token"]
        for prompt in ("", "none"):
            arrival = authorize(browser, client, id_token_hint=hint, prompt=prompt)
            assert (arrival.pages, "code" in arrival.told) == ((), True)

    def test_of_another_user_nothing_is_told(self, doorward, browser, client):
        hint = identified(Browser(doorward), client, somebody(doorward))["id_token"]
        assert authorize(browser, client, id_token_hint=hint, prompt="none").told["error"] == "login_required"

    def test_the_other_user_may_sign_in_instead(self, doorward, client, ada):
        other, browser = somebody(doorward), signed_in(doorward, ada)
        hint = identified(Browser(doorward), client, other)["id_token"]
        arrival = authorize(browser, client, other, id_token_hint=hint)
        assert arrival.pages == ("/login",)
        assert arrival.code

    def test_and_nobody_else(self, doorward, client, ada):
        hint = identified(Browser(doorward), client, somebody(doorward))["id_token"]
        assert authorize(Browser(doorward), client, ada, id_token_hint=hint).told["error"] == "access_denied"

    def test_who_is_not_signed_in_is_not_signed_in_by_it(self, doorward, browser, client):
        hint = identified(browser, client)["id_token"]
        assert authorize(Browser(doorward), client, id_token_hint=hint, prompt="none").told["error"] == "login_required"

    def test_what_is_no_hint_of_this_client_is_an_error_that_the_client_hears(self, doorward, browser, client):
        others = identified(browser, an_app(doorward))
        tokens = identified(browser, client)
        head, payload, signature = tokens["id_token"].split(".")
        unsigned = f"eyJhbGciOiJub25lIn0.{payload}."
        wrong = [
            others["id_token"], tokens["access_token"], tokens["refresh_token"], unsigned, unsigned + signature,
            f"{head}.{payload}.{signature[:-2]}", f"{head}.{others['id_token'].split('.')[1]}.{signature}", "x",
        ]  # fmt: skip
        for text in wrong:
            for prompt in ("", "none"):
                arrival = authorize(browser, client, id_token_hint=text, prompt=prompt)
                assert (arrival.told["error"], arrival.pages) == ("invalid_request", ())
                assert text not in str(arrival.told)

    def test_it_makes_no_redirect_of_what_is_none(self, browser, client):
        """T001."""
        hint = identified(browser, client)["id_token"]
        for text in (hint, "x"):
            reply = browser.get(address_of(asking(client, redirect_uri=f"{CALLBACK}/x", id_token_hint=text)))
            assert (reply.status_code, "location" in reply.headers) == (400, False)


def test_a_login_hint_is_filled_in_and_believed_by_nobody(doorward, client, ada):
    browser, other = Browser(doorward), somebody(doorward)
    reply = browser.get(address_of(asking(client, scope="openid", login_hint=other["username"])))
    page = Page(browser.get(reply.headers["location"]).text)
    assert page.fields["username"] == other["username"]
    assert walk(browser, reply, ada).code
    assert "login_hint" not in reply.headers["location"]


def test_a_login_hint_is_no_markup(doorward, client):
    browser = Browser(doorward)
    hint = '"><script>alert(1)</script>'
    reply = browser.get(address_of(asking(client, scope="openid", login_hint=hint)))
    shown = browser.get(reply.headers["location"])
    assert "<script>alert" not in shown.text
    assert Page(shown.text).fields["username"] == hint


@pytest.mark.parametrize(
    "more",
    [{"display": "page"}, {"display": "popup"}, {"display": "touch"}, {"display": "wap"}, {"display": "unknown"},
     {"ui_locales": "fr-CA fr en"}, {"claims_locales": "de"}, {"acr_values": "phr phrh"}, {"registration": "{}"},
     {"id_token_hint": "", "login_hint": "", "claims": "", "max_age": ""}],
)  # fmt: skip
def test_what_we_make_nothing_of_is_no_error(browser, client, more):
    """§3.1.2.1, §3.1.2.2, §15.1."""
    assert authorize(browser, client, **more).code


# Prompts and ages (§3.1.2.1, §3.1.2.3)


@pytest.mark.parametrize("prompt", ["none login", "none consent", "login none", "create", "None", "none none x"])
def test_a_prompt_that_makes_no_sense_is_refused(browser, client, prompt):
    """If this parameter contains none with any other value, an error is returned."""
    assert authorize(browser, client, prompt=prompt).told["error"] == "invalid_request"


def test_without_a_page_nobody_is_asked_for_consent(browser, client):
    assert authorize(browser, client, prompt="none").told["error"] == "consent_required"
    assert authorize(browser, client).pages == ("/consent",)
    assert authorize(browser, client, prompt="none").code


@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent", "consent login"])
def test_a_prompt_to_sign_in_is_one_however_he_is_signed_in(doorward, client, ada, prompt):
    browser = signed_in(doorward, ada)
    assert authorize(browser, client).code
    pages = authorize(browser, client, ada, prompt=prompt).pages
    assert pages == (("/login", "/consent") if "consent" in prompt else ("/login",))


def test_a_sign_in_that_is_too_old_is_done_anew_and_its_time_is_told(doorward, client):
    browser, ada = Browser(doorward), somebody(doorward)
    old = identity(doorward, identified(browser, client, ada), client)
    signed_in_earlier(doorward, 100, ada)
    assert authorize(browser, client, max_age="1000").pages == ()
    assert authorize(browser, client, max_age="50", prompt="none").told["error"] == "login_required"
    tokens = identified(browser, client, ada, max_age="50")
    fresh = identity(doorward, tokens, client)
    assert fresh["auth_time"] >= old["auth_time"]
    assert authorize(browser, client, max_age="50", prompt="none").code


def test_no_page_is_left_out_by_coming_back_with_the_old_session(doorward, client, ada):
    """T150: max_age and prompt hold for the sign-in that follows, not for whatever is there."""
    browser = signed_in(doorward, ada)
    assert authorize(browser, client).code
    reply = browser.get(address_of(asking(client, scope="openid", prompt="login")))
    request = reply.headers["location"].partition("?")[2]
    again = browser.get(f"/consent?{request}")
    assert again.headers["location"].startswith("/login?")


# Answers (§3.1.2.5, §3.1.2.6)


def test_errors_are_told_with_the_state(browser, client):
    told = authorize(browser, client, state="a&b=c d", prompt="none login").told
    assert (told["error"], told["state"]) == ("invalid_request", "a&b=c d")


def test_by_post_as_by_get(doorward, browser, client):
    """Authorization Servers MUST support the use of the HTTP GET and POST methods."""
    asked = asking(client, scope="openid", nonce="n")
    assert walk(browser, browser.post("/oauth/authorize", asked)).code
    assert "code" in sent_back(browser.post("/oauth/authorize", {**asked, "prompt": "none"}))


def test_whoever_is_signed_in_is_who_is_told_of(doorward, client):
    """Two users of one browser, one after the other."""
    browser, users = Browser(doorward), [somebody(doorward) for _ in range(2)]
    subjects = [read(doorward, identified(browser, client, user, prompt="login")["id_token"])["sub"] for user in users]
    assert subjects == [user["id"] for user in users]
