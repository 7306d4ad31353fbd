"""OpenID Connect RP-Initiated Logout 1.0 §2 to §4: a client sends its user to sign out, and has him back, or not.

Threats T020, T141, T144 and T151.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from tests.browsing import Browser, Page, a_user, address_of, an_app, asking, sent_back, signed_in
from tests.deployment import Doorward, Json, Response, deployed
from tests.openid import identified

from doorward_verify import jwt

BYE = "https://client.example/bye"
SESSION = "__Host-doorward-session"


@pytest.fixture
def doorward(on_sqlite: Doorward) -> Doorward:
    """The rules are the same over each database; what is written is tried on both in `tests/store`."""
    return on_sqlite


@pytest.fixture(scope="module")
def user(on_sqlite: Doorward) -> Json:
    """Whose sessions end here, and nobody else's."""
    return a_user(on_sqlite)


@pytest.fixture
def browser(doorward: Doorward, user: Json) -> Browser:
    return signed_in(doorward, user)


@pytest.fixture
def app(doorward: Doorward) -> Json:
    return an_app(doorward, post_logout_redirect_uris=[BYE, "https://client.example/bye?lang=en"])


@pytest.fixture
def hint(browser: Browser, app: Json) -> str:
    return str(identified(browser, app)["id_token"])


def logout(browser: Browser, **asked: str) -> Response:
    return browser.get(f"/oauth/logout?{urlencode(asked, quote_via=quote)}")


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/account").status_code == 200


def stays_here(reply: Response, status: int = 200) -> Page:
    """A page of ours, and no way elsewhere (page400 of the threats, where it is a refusal)."""
    assert reply.status_code == status, reply.text
    assert "location" not in reply.headers
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    return Page(reply.text)


def ended(doorward: Doorward, user: Mapping[str, Any]) -> list[bool]:
    sessions = doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"]
    return [one["ended_at"] is not None for one in sessions]


class TestWithAnIdTokenOfTheSession:
    """§2: the OP may act upon it without a question."""

    def test_the_user_is_signed_out_and_sent_back_with_the_state(self, doorward, user, browser, app, hint):
        before = browser.cookies[SESSION]
        reply = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, state="af0 ifj&=é")
        assert sent_back(reply, BYE) == {"state": "af0 ifj&=é"}
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert SESSION not in browser.cookies
        browser.cookies[SESSION] = before
        assert not is_signed_in(browser)

    def test_the_end_is_in_the_audit_log_in_his_name(self, doorward, user, browser, app, hint):
        session = jwt.parse(hint).claims["sid"]
        logout(browser, id_token_hint=hint)
        (entry,) = doorward.v1("GET", f"/audit?type=SessionEnded&entity={session}").json()["items"]
        assert entry["actor"] == user["id"]

    def test_without_a_state_none_is_sent(self, browser, hint):
        assert logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).headers["location"] == BYE

    def test_a_registered_query_is_kept(self, browser, hint):
        reply = logout(browser, id_token_hint=hint, post_logout_redirect_uri=f"{BYE}?lang=en", state="a/b")
        assert reply.headers["location"] == f"{BYE}?lang=en&state=a%2Fb"

    def test_it_may_be_posted_too_from_the_clients_own_page(self, doorward, browser, hint):
        """A browser sends no cookie with a POST from another site, and so comes again with a GET (SameSite=Lax)."""
        elsewhere = Browser(doorward)
        asked = {"id_token_hint": hint, "post_logout_redirect_uri": BYE, "state": "af0"}
        headers = {"origin": "https://client.example", "sec_fetch_site": "cross-site"}
        crossed = elsewhere.post("/oauth/logout", asked, **headers)
        assert crossed.status_code == 303
        assert urlsplit(crossed.headers["location"]).path == "/oauth/logout"
        assert sent_back(browser.get(crossed.headers["location"]), BYE) == {"state": "af0"}
        assert not is_signed_in(browser)

    def test_it_may_be_posted_by_a_site_whose_cookies_come_along(self, browser, hint):
        reply = browser.post("/oauth/logout", {"id_token_hint": hint, "post_logout_redirect_uri": BYE})
        assert reply.headers["location"] == BYE
        assert not is_signed_in(browser)

    def test_a_second_time_is_no_error(self, browser, hint):
        for _ in range(2):
            assert logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).headers["location"] == BYE

    def test_without_an_address_he_is_told_that_he_is_signed_out(self, browser, hint):
        reply = logout(browser, id_token_hint=hint, state="af0")
        assert reply.headers["location"] == "/logout"
        assert "Nobody is signed in" in stays_here(browser.get("/logout")).text

    def test_the_next_authorization_finds_nobody(self, browser, app, hint):
        logout(browser, id_token_hint=hint)
        asked = asking(app, scope="openid", prompt="none")
        assert sent_back(browser.get(address_of(asked)))["error"] == "login_required"

    def test_only_the_session_of_this_browser_ends(self, doorward, user, browser, app, hint):
        other = signed_in(doorward, user)
        logout(browser, id_token_hint=hint)
        assert is_signed_in(other)

    def test_ui_locales_choose_the_language_of_what_is_asked(self, browser):
        assert "Abmelden" in logout(browser, ui_locales="de").text

    def test_what_is_not_known_is_ignored(self, browser, hint):
        reply = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, logout_hint="bob", other="x")
        assert reply.headers["location"] == BYE


class TestWithoutOne:
    """§2: the OP MUST ask the End-User."""

    def test_a_link_alone_signs_nobody_out(self, browser, app):
        for asked in ({}, {"state": "af0"}, {"client_id": app["client_id"]}):
            assert stays_here(logout(browser, **asked)).action == "/logout"
            assert is_signed_in(browser)

    def test_he_is_told_where_he_goes_on_and_goes_there_when_he_says_yes(self, browser, app):
        asked = {"client_id": app["client_id"], "post_logout_redirect_uri": BYE, "state": "af0"}
        shown = logout(browser, **asked)
        page = stays_here(shown)
        assert "Then you go back to Books at client.example." in page.text
        assert "form-action 'self' https://client.example;" in f"{shown.headers['content-security-policy']};"
        assert {name: page.fields[name] for name in asked} == asked
        assert sent_back(browser.submit(page), BYE) == {"state": "af0"}
        assert not is_signed_in(browser)

    def test_an_id_token_of_another_session_is_no_reason_not_to_ask(self, doorward, user, browser, app, hint):
        other = signed_in(doorward, user)
        page = stays_here(logout(other, id_token_hint=hint, post_logout_redirect_uri=BYE))
        assert is_signed_in(other)
        assert other.submit(page).headers["location"] == BYE
        assert not is_signed_in(other)
        assert is_signed_in(browser)

    def test_an_id_token_of_another_user_is_no_reason_either(self, doorward, app, hint):
        bob = signed_in(doorward, a_user(doorward))
        assert "Sign out" in stays_here(logout(bob, id_token_hint=hint)).text
        assert is_signed_in(bob)

    def test_who_is_not_signed_in_is_sent_nowhere(self, doorward, app):
        reply = logout(Browser(doorward), client_id=app["client_id"], post_logout_redirect_uri=BYE)
        assert reply.headers["location"] == "/logout"

    def test_his_answer_must_come_from_the_page_that_was_shown(self, browser, app):
        """T141."""
        asked = {"client_id": app["client_id"], "post_logout_redirect_uri": BYE}
        page = stays_here(logout(browser, **asked))
        assert browser.post("/logout", asked).status_code == 403
        assert browser.post("/logout", {**page.fields, "csrf": "x"}).status_code == 403
        assert browser.post("/logout", page.fields, sec_fetch_site="cross-site").status_code == 403
        assert is_signed_in(browser)

    def test_his_answer_leads_to_registered_addresses_alone(self, browser, app):
        page = stays_here(logout(browser, client_id=app["client_id"], post_logout_redirect_uri=BYE))
        stays_here(browser.submit(page, post_logout_redirect_uri="https://evil.example/"), 400)
        assert is_signed_in(browser)


def forged(hint: str, header: str | None = None, signature: str | None = None) -> str:
    before, payload, after = hint.split(".")
    return f"{header or before}.{payload}.{after if signature is None else signature}"


NONE = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}


class TestWhatIsWrong:
    """§4: what failed to validate is not used; whoever came with it may sign out, and is sent nowhere."""

    @pytest.mark.parametrize(
        "change",
        [lambda hint: forged(hint, NONE, ""), lambda hint: forged(hint, NONE),
         lambda hint: forged(hint, signature="A" * 342), lambda hint: hint[:-8], lambda hint: "x"],
        ids=["alg none", "alg none with its signature", "foreign signature", "cut", "no jwt"],
    )  # fmt: skip
    def test_an_id_token_that_is_not_ours(self, browser, app, hint, change):
        asked = {"id_token_hint": change(hint), "post_logout_redirect_uri": BYE, "client_id": app["client_id"]}
        page = stays_here(logout(browser, **asked), 400)
        assert "no ID token that this server gave" in page.text
        assert is_signed_in(browser)
        assert "post_logout_redirect_uri" not in page.fields
        assert browser.submit(page).headers["location"] == "/logout"
        assert not is_signed_in(browser)

    def test_an_access_token_is_no_id_token(self, browser, app):
        stays_here(logout(browser, id_token_hint=identified(browser, app)["access_token"]), 400)
        assert is_signed_in(browser)

    def test_an_id_token_of_another_client_than_the_one_named(self, doorward, browser, hint):
        other = an_app(doorward, post_logout_redirect_uris=[BYE])
        reply = logout(browser, id_token_hint=hint, client_id=other["client_id"], post_logout_redirect_uri=BYE)
        stays_here(reply, 400)
        assert is_signed_in(browser)

    @pytest.mark.parametrize(
        "uri",
        [f"{BYE}?foo=bar", f"{BYE}/", f"{BYE}#", "https://client.example/callback", "https://client.example:443/bye",
         "https://evil.example/bye", "//evil.example", "/account", "javascript:alert(1)", "https://CLIENT.example/bye"],
    )  # fmt: skip
    def test_an_address_that_is_not_registered_letter_by_letter(self, browser, hint, uri):
        reply = logout(browser, id_token_hint=hint, post_logout_redirect_uri=uri)
        page = stays_here(reply, 400)
        assert "The post_logout_redirect_uri is not one" in page.text
        assert uri not in page.fields.values()
        assert is_signed_in(browser)

    def test_an_address_of_nobody(self, browser, app):
        stays_here(logout(browser, post_logout_redirect_uri=BYE, state="af0"), 400)

    def test_an_address_of_another_client(self, doorward, browser, hint):
        other = "https://other.example/bye"
        an_app(doorward, post_logout_redirect_uris=[other])
        stays_here(logout(browser, id_token_hint=hint, post_logout_redirect_uri=other), 400)

    def test_a_client_that_is_unknown_or_disabled_is_one_page(self, doorward, browser, app):
        unknown = stays_here(logout(browser, client_id="client_x"), 400)
        assert doorward.v1("PATCH", f"/clients/{app['client_id']}", {"state": "disabled"}).status_code == 200
        disabled = stays_here(logout(browser, client_id=app["client_id"]), 400)
        assert "There is no such client, or it was disabled." in unknown.text
        assert "There is no such client, or it was disabled." in disabled.text

    def test_a_parameter_that_is_repeated(self, browser, hint):
        query = urlencode([("id_token_hint", hint), ("state", "a"), ("state", "b")])
        stays_here(browser.get(f"/oauth/logout?{query}"), 400)
        query = urlencode({"post_logout_redirect_uri": BYE})
        reply = browser.post(f"/oauth/logout?{query}", {"id_token_hint": hint, "post_logout_redirect_uri": BYE})
        stays_here(reply, 400)
        assert is_signed_in(browser)

    def test_a_state_that_is_too_long(self, browser, hint):
        stays_here(logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, state="x" * 2049), 400)
        assert is_signed_in(browser)

    @pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS"])
    def test_another_method(self, doorward, browser, hint, method):
        query = urlencode({"id_token_hint": hint})
        reply = browser._send(method, f"/oauth/logout?{query}", headers={})
        assert reply.status_code == 405
        assert "access-control-allow-origin" not in reply.headers
        assert is_signed_in(browser)

    def test_names_are_text(self, doorward, browser):
        """T143."""
        app = an_app(doorward, name="<b>Books</b>", post_logout_redirect_uris=[BYE])
        text = logout(browser, client_id=app["client_id"], post_logout_redirect_uri=BYE, state='"><b>').text
        assert "&lt;b&gt;Books&lt;/b&gt;" in text
        assert "<b>" not in text


def test_a_session_that_was_idle_for_too_long_ends_with_its_logout(on_sqlite):
    user = a_user(on_sqlite)
    browser, app = signed_in(on_sqlite, user), an_app(on_sqlite, post_logout_redirect_uris=[BYE])
    hint = identified(browser, app)["id_token"]
    too_long = 30 * 86_400
    # The clock of a test is the row.
    change = "UPDATE sessions SET created_at = created_at - :time WHERE user_id = :id"
    on_sqlite.sql(change, time=too_long, id=user["id"])
    on_sqlite.sql("UPDATE session_uses SET last_seen_at = last_seen_at - :time", time=too_long)
    assert not is_signed_in(browser)
    assert ended(on_sqlite, user) == [False]
    assert logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).headers["location"] == BYE
    assert ended(on_sqlite, user) == [True]


def test_an_id_token_is_good_for_it_as_long_as_its_key_is_published(tmp_path):
    """T020: signed by a retired key it is; by one that was withdrawn, it is none of ours any more."""
    with deployed(tmp_path) as doorward:
        user, app = a_user(doorward), an_app(doorward, post_logout_redirect_uris=[BYE])
        old, other = signed_in(doorward, user), signed_in(doorward, user)
        hints = [identified(browser, app)["id_token"] for browser in (old, other)]
        before = doorward.v1("GET", "/signing-keys").json()["items"]
        rotated = doorward.v1("POST", "/signing-keys/rotate", {"algorithm": "RS256", "force": True})
        assert rotated.status_code == 200, rotated.text
        assert logout(old, id_token_hint=hints[0], post_logout_redirect_uri=BYE).headers["location"] == BYE
        (kid,) = [one["kid"] for one in before if (one["algorithm"], one["state"]) == ("RS256", "active")]
        assert doorward.v1("POST", "/revocations", {"signing_key": kid}).status_code == 200
        stays_here(logout(other, id_token_hint=hints[1], post_logout_redirect_uri=BYE), 400)
        assert is_signed_in(other)


def test_it_is_where_the_metadata_says(doorward):
    metadata = doorward.http.get("/.well-known/openid-configuration").json()
    assert metadata["end_session_endpoint"] == f"{doorward.issuer}/oauth/logout"
