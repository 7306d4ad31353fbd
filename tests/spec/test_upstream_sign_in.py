"""Sign-in through an OpenID provider, from the outside: the way there and back, and every answer that is not believed.

T036, T141, T144; OpenID Connect Core §3.1.3.7, RFC 9207 §2.4, RFC 9700 §4.4 and §4.7.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from tests.browsing import (
    Browser,
    Page,
    a_user,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    sent_back,
    signed_in,
)
from tests.deployment import Doorward, Json, Response, deployed
from tests.openid import read as read_id_token
from tests.upstreams import CLIENT_ID, CLIENT_SECRET, Person, Provider, Tenant, a_key, a_provider, sent_to

SECRET = "__Host-doorward-upstream"
NOBODY = "This login belongs to nobody here."
UNTRUSTED = "The other sign-in gave an answer that cannot be trusted."
NAMES = ("existing", "invited", "verified", "anyone", "odd")
RULES = {"verified": "verified_email", "odd": "anyone"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def doorward(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    tables: dict[str, Json] = {
        name: {
            "issuer": provider.tenant(name).issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "first_sign_in": RULES.get(name, name), "email_domains": ["acme.example"], "title": f"Acme {name}",
        }
        for name in NAMES
    }  # fmt: skip
    tables["anyone"]["account"] = "customers"
    with deployed(tmp_path_factory.mktemp("upstream"), upstream=tables) as doorward:
        doorward.an_account(id="customers")
        yield doorward


@dataclass
class Away:
    """A browser that was sent to the provider, with what it brings there."""

    browser: Browser
    tenant: Tenant
    name: str
    asked: dict[str, str]

    def back(self, person: Person | None = None, **changes: str | None) -> Response:
        """Signs in there, and comes back; a change that is None leaves a parameter out."""
        code = self.tenant.code(self.asked, person) if person else None
        given = {"state": self.asked["state"], "iss": self.tenant.issuer, "code": code, **changes}
        return self.browser.get(self.path(**given))

    def path(self, **parameters: str | None) -> str:
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        return f"/login/upstream/{self.name}/callback?{query}"


def leave(
    doorward: Doorward, provider: Provider, name: str = "anyone", browser: Browser | None = None, request: str = ""
) -> Away:
    browser = browser or Browser(doorward)
    reply = browser.get(f"/login/upstream/{name}{f'?request={request}' if request else ''}")
    assert reply.status_code == 303, reply.text
    address = reply.headers["location"]
    tenant = provider.tenant(name)
    assert address.partition("?")[0] == f"{tenant.issuer}/authorize"
    return Away(browser, tenant, name, sent_to(address))


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/account").status_code == 200


def said(reply: Response, status: int = 403) -> str:
    """What the sign-in page, shown again, says of it."""
    assert reply.status_code == status, (reply.status_code, reply.text)
    assert "location" not in reply.headers
    assert Page(reply.text).action == "/login", "another way to sign in is offered"
    return reply.text.partition('role="alert">')[2].partition("<")[0]


def test_the_sign_in_page_offers_every_upstream(doorward):
    text = Browser(doorward).get("/login").text
    for name in NAMES:
        assert f'<a class="button" href="/login/upstream/{name}">Continue with Acme {name}</a>' in text


def test_the_browser_goes_to_the_provider_with_all_that_binds_the_answer_to_it(doorward, provider):
    away = leave(doorward, provider)
    asked = away.asked
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT_ID, "openid profile email")
    assert asked["redirect_uri"] == f"{doorward.issuer}/login/upstream/anyone/callback"
    assert asked["code_challenge_method"] == "S256"
    assert {len(asked["nonce"]), len(asked["code_challenge"])} == {43}
    assert not {"prompt", "max_age", "login_hint"} & asked.keys()
    again = leave(doorward, provider, browser=away.browser).asked
    assert all(again[name] != asked[name] for name in ("state", "nonce", "code_challenge"))
    assert len(away.browser.cookies[SECRET]) == 43


def test_nothing_that_is_kept_of_it_is_enough_to_finish_it(doorward, provider):
    """T200: neither the row nor the journal holds the cookie, the nonce or the code verifier."""
    away = leave(doorward, provider)
    kept = str(doorward.sql("SELECT * FROM upstream_sign_ins WHERE id = :id", id=away.asked["state"]))
    assert away.asked["state"] in kept
    kept += doorward.v1("GET", "/audit?order=desc&limit=20").text
    for secret in (away.browser.cookies[SECRET], away.asked["nonce"], away.asked["code_challenge"]):
        assert secret not in kept


def test_a_link_of_another_site_begins_nothing(doorward, provider):
    for site in ("cross-site", "same-site"):
        browser = Browser(doorward)
        reply = browser.get("/login/upstream/anyone?request=authorization_x", **{"sec-fetch-site": site})
        assert (reply.status_code, reply.headers["location"]) == (303, "/login?request=authorization_x")
        assert browser.cookies == {}


@pytest.mark.parametrize("path", ["/login/upstream/anyone", "/login/upstream/anyone/callback"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS"])
def test_there_is_one_method(doorward, path, method):
    reply = doorward.http.request(method, path)
    assert reply.status_code == 405
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("name", ["nowhere", "Anyone", "..%2f"])
def test_what_the_settings_do_not_name_is_not_there(doorward, name):
    for path in (f"/login/upstream/{name}", f"/login/upstream/{name}/callback?state=x&code=y"):
        assert Browser(doorward).get(path).status_code == 404


class TestFirstSignIn:
    def test_a_login_that_an_administrator_linked_signs_its_user_in(self, doorward, provider):
        user = a_user(doorward)
        made = doorward.create("/identities", user=user["username"], upstream="existing", subject="00u-linked")
        assert (made["user"], made["state"], made["issuer"]) == (
            user["id"],
            "linked",
            provider.tenant("existing").issuer,
        )
        away = leave(doorward, provider, "existing")
        reply = away.back(Person("00u-linked", {"amr": ["pwd", "mfa", "of-their-own"]}))
        assert (reply.status_code, reply.headers["location"]) == (303, "/account")
        assert is_signed_in(away.browser)
        (session,) = doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"]
        assert session["amr"] == ["fed", "mfa", "pwd"]
        assert user["username"] in away.browser.get("/account").text

    @pytest.mark.parametrize("name", ["existing", "invited", "verified"])
    def test_nobody_else_is_let_in_and_the_page_says_so(self, doorward, provider, name):
        away = leave(doorward, provider, name)
        person = Person(f"stranger-{name}", {"email": f"new-{name}@acme.example", "email_verified": True})
        assert said(away.back(person)) == NOBODY
        assert not is_signed_in(away.browser)
        newest = doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]
        assert (newest["type"], newest["data"]["reason"]) == ("CredentialRefused", "upstream_no_user")

    def test_an_address_that_both_sides_know_links_the_user_for_good(self, doorward, provider):
        user = a_user(doorward, email="Both@acme.example", email_verified=True)
        away = leave(doorward, provider, "verified")
        person = Person("00u-both", {"email": "both@ACME.example", "email_verified": True})
        assert away.back(person).headers["location"] == "/account"
        (linked,) = doorward.v1("GET", f"/identities?user={user['id']}").json()["items"]
        assert (linked["subject"], linked["upstream"], linked["state"]) == ("00u-both", "verified", "linked")
        # From now on the subject counts, whatever address he has there.
        assert leave(doorward, provider, "verified").back(Person("00u-both")).headers["location"] == "/account"
        other = Person("00u-other", {"email": "both@acme.example", "email_verified": True})
        assert said(leave(doorward, provider, "verified").back(other)) == NOBODY

    @pytest.mark.parametrize(
        ("user", "claims"),
        [
            ({"email_verified": False}, {}),
            ({"email_verified": True}, {"email_verified": "true"}),
            ({"email_verified": True}, {"email_verified": None}),
            ({"email_verified": True, "role": "administrator"}, {}),
        ],
        ids=["not verified here", "a text that says true", "not verified there", "an administrator"],
    )
    def test_an_account_is_not_taken_over_by_an_address(self, doorward, provider, user, claims):
        email = f"takeover-{time.monotonic_ns()}@acme.example"
        victim = a_user(doorward, email=email, **user)
        person = Person(email, {"email": email, "email_verified": True, **claims})
        for name in ("verified", "anyone"):
            away = leave(doorward, provider, name)
            away.back(person)
            assert doorward.v1("GET", f"/identities?user={victim['id']}").json()["items"] == []
            assert victim["username"] not in away.browser.get("/account").text
        assert doorward.v1("GET", f"/sessions?user={victim['id']}").json()["items"] == []

    def test_an_address_outside_the_domains_of_the_upstream_opens_nothing(self, doorward, provider):
        a_user(doorward, email="ada@elsewhere.example", email_verified=True)
        person = Person("00u-elsewhere", {"email": "ada@elsewhere.example", "email_verified": True})
        assert said(leave(doorward, provider, "verified").back(person)) == NOBODY

    def test_who_was_invited_comes_once_and_for_good(self, doorward, provider):
        user = a_user(doorward)
        body = {"user": user["id"], "upstream": "invited", "email": "Guest@acme.example"}
        invitation = doorward.create("/identities", **body)
        assert (invitation["state"], invitation["subject"]) == ("invited", None)
        person = Person("00u-guest", {"email": "guest@acme.example", "email_verified": True})
        assert leave(doorward, provider, "invited").back(person).headers["location"] == "/account"
        claimed = doorward.v1("GET", f"/identities/{invitation['id']}").json()
        assert (claimed["state"], claimed["subject"], claimed["expires_at"]) == ("linked", "00u-guest", None)
        later = Person("00u-later", {"email": "guest@acme.example", "email_verified": True})
        assert said(leave(doorward, provider, "invited").back(later)) == NOBODY

    def test_an_invitation_is_over_when_its_time_is(self, doorward, provider):
        user = a_user(doorward)
        made = doorward.create("/identities", user=user["id"], upstream="invited", email="late@acme.example")
        doorward.sql("UPDATE identities SET expires_at = created_at WHERE id = :id", id=made["id"])
        person = Person("00u-late", {"email": "late@acme.example", "email_verified": True})
        assert said(leave(doorward, provider, "invited").back(person)) == NOBODY

    def test_anyone_becomes_a_user_of_the_account_that_the_settings_name(self, doorward, provider):
        away = leave(doorward, provider)
        userinfo = {
            "email": "newcomer@acme.example", "email_verified": True, "name": "New Comer",
            "preferred_username": "newcomer",
        }  # fmt: skip
        assert away.back(Person("00u-new", userinfo=userinfo)).headers["location"] == "/account"
        user = doorward.v1("GET", "/users/newcomer").json()
        assert (user["name"], user["email"], user["email_verified"], user["role"]) == (
            "New Comer", "newcomer@acme.example", True, "member",
        )  # fmt: skip
        assert user["accounts"] == [{"account": "customers", "role": "viewer"}]
        assert user["password_changed_at"] is None
        again = leave(doorward, provider)
        assert again.back(Person("00u-new", userinfo=userinfo)).headers["location"] == "/account"
        assert len(doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"]) == 2

    def test_who_comes_in_three_browsers_at_once_is_one_user(self, doorward, provider):
        """Each of them gets an answer; one makes the user, and the others find him."""
        ways = [leave(doorward, provider) for _ in range(3)]
        many = Person("00u-many", {"preferred_username": "many", "name": "Many"})
        replies = doorward.at_once(3, lambda number: ways[number].back(many))
        assert [reply.headers.get("location") for reply in replies] == ["/account"] * 3
        (user,) = [one for one in doorward.v1("GET", "/users?limit=100").json()["items"] if one["name"] == "Many"]
        assert len(doorward.v1("GET", f"/identities?user={user['id']}").json()["items"]) == 1
        assert len(doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"]) == 3

    def test_nobody_comes_in_under_the_name_of_another(self, doorward, provider):
        a_user(doorward, username="taken")
        away = leave(doorward, provider)
        away.back(Person("00u-taken", {"preferred_username": "TAKEN"}))
        shown = away.browser.get("/account").text
        assert "taken" not in shown.lower()
        assert "anyone-" in shown

    def test_a_disabled_user_stays_out(self, doorward, provider):
        user = a_user(doorward)
        doorward.create("/identities", user=user["id"], upstream="existing", subject="00u-disabled")
        assert doorward.v1("POST", f"/users/{user['id']}/disable").status_code == 200
        away = leave(doorward, provider, "existing")
        assert said(away.back(Person("00u-disabled"))) == NOBODY
        assert not is_signed_in(away.browser)


def person(subject: str = "00u-someone", **claims: Any) -> Person:
    return Person(subject, claims)


BAD = {
    "alg none": Person("x", form="unsigned"),
    "signed with the public key": Person("x", form="by the public key"),
    "signed by a key with its name": Person("x", form="by another key"),
    "of another issuer": person(iss="https://evil.example"),
    "for another client": person(aud="somebody-else"),
    "for several, given to another": person(aud=[CLIENT_ID, "another"], azp="another"),
    "for several, and nobody says to whom it was given": person(aud=[CLIENT_ID, "another"]),
    "expired": person(exp=int(time.time()) - 60),
    "without exp": person(exp=None),
    "without iat": person(iat=None),
    "of the future": person(iat=int(time.time()) + 3600),
    "without nonce": person(nonce=None),
    "with the nonce of another sign-in": person(nonce="n" * 43),
    "without a subject": person(sub=None),
    "with at_hash of another token": person(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "an access token": Person("x", header={"typ": "at+jwt"}),
    "a logout token": Person("x", header={"typ": "logout+jwt"}),
    "with keys of its own": Person("x", header={"jku": "https://evil.example/jwks"}),
    "userinfo about somebody else": Person("x", userinfo={"sub": "somebody else"}),
}


@pytest.mark.parametrize("who", BAD.values(), ids=BAD.keys())
def test_an_answer_that_was_not_made_for_this_sign_in_is_not_believed(doorward, provider, who):
    away = leave(doorward, provider)
    before = doorward.v1("GET", "/users?limit=100").json()["items"]
    assert said(away.back(who)) == UNTRUSTED
    assert not is_signed_in(away.browser)
    assert doorward.v1("GET", "/users?limit=100").json()["items"] == before


class TestCallback:
    def refused(self, reply: Response) -> None:
        """page400: nothing of it leads anywhere."""
        assert reply.status_code == 400, reply.text
        assert "location" not in reply.headers
        assert "was begun in another browser" in reply.text

    def test_a_second_time_is_refused(self, doorward, provider):
        away = leave(doorward, provider)
        path = away.path(state=away.asked["state"], iss=away.tenant.issuer, code=away.tenant.code(away.asked, person()))
        assert away.browser.get(path).status_code == 303
        asked = away.tenant.asked["token"]
        self.refused(away.browser.get(path))
        fresh = away.tenant.code(away.asked, person())
        self.refused(away.browser.get(away.path(state=away.asked["state"], iss=away.tenant.issuer, code=fresh)))
        assert away.tenant.asked["token"] == asked, "nobody was asked"

    def test_another_browser_is_refused_and_ends_nothing(self, doorward, provider):
        """Login CSRF and session fixation: with the link of the one nobody signs the other in."""
        away, victim = leave(doorward, provider), leave(doorward, provider)
        code = away.tenant.code(away.asked, person("00u-attacker"))
        path = away.path(state=away.asked["state"], iss=away.tenant.issuer, code=code)
        for browser in (Browser(doorward), victim.browser):
            self.refused(browser.get(path))
            assert not is_signed_in(browser)
        assert away.browser.get(path).status_code == 303

    def test_a_state_that_was_never_given_is_refused(self, doorward, provider):
        for state in (None, "", "x", "upstream_" + "0" * 16, "a" * 500, "\x00"):
            away = leave(doorward, provider)
            reply = away.back(person(), state=state)
            assert reply.status_code == 400
            assert not is_signed_in(away.browser)

    def test_the_answer_of_one_provider_is_none_of_another(self, doorward, provider):
        """Mix-up: each has an address of its own, and says who it is."""
        away = leave(doorward, provider, "anyone")
        other = provider.tenant("existing")
        mixed = Away(away.browser, other, "existing", away.asked)
        self.refused(mixed.back(person()))
        for iss in (other.issuer, away.tenant.issuer + "/", None, ""):
            reply = away.back(person(), iss=iss)
            assert (reply.status_code, reply.headers.get("location")) == (403, None)
            assert "cannot be trusted" in reply.text
        assert away.back(person()).status_code == 303, "none of that ended it"

    def test_a_parameter_that_stands_there_twice_is_refused(self, doorward, provider):
        away = leave(doorward, provider)
        code = away.tenant.code(away.asked, person())
        path = away.path(state=away.asked["state"], iss=away.tenant.issuer, code=code) + "&code=another"
        assert away.browser.get(path).status_code == 400

    def test_after_its_time_it_is_over(self, doorward, provider):
        away = leave(doorward, provider)
        doorward.sql("UPDATE upstream_sign_ins SET expires_at = created_at WHERE id = :id", id=away.asked["state"])
        self.refused(away.back(person()))

    def test_a_code_that_the_provider_does_not_know_signs_nobody_in(self, doorward, provider):
        away = leave(doorward, provider)
        assert said(away.back(code="never-given")) == UNTRUSTED

    def test_without_a_code_nothing_happens(self, doorward, provider):
        away = leave(doorward, provider)
        assert away.back().status_code == 400
        assert not is_signed_in(away.browser)

    def test_a_session_from_before_ends(self, doorward, provider):
        """T140: what the browser was before, it is no more."""
        browser = leave(doorward, provider).browser
        Away.back(leave(doorward, provider, browser=browser), person("00u-twice"))
        first = browser.cookies["__Host-doorward-session"]
        Away.back(leave(doorward, provider, browser=browser), person("00u-twice"))
        assert browser.cookies["__Host-doorward-session"] != first
        thief = Browser(doorward, {"__Host-doorward-session": first})
        assert not is_signed_in(thief)

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            ("access_denied", "The sign-in was cancelled or refused there."),
            ("login_required", "The sign-in was cancelled or refused there."),
            ("server_error", UNTRUSTED),
            ("<script>", UNTRUSTED),
        ],
    )
    def test_an_error_of_the_provider_is_a_calm_page(self, doorward, provider, error, sentence):
        away = leave(doorward, provider)
        reply = away.back(error=error, error_description="call <b>0800-EVIL</b> now")
        assert said(reply) == sentence
        assert "EVIL" not in reply.text
        assert "<script>" not in reply.text


class TestAuthorization:
    """A client's request waits while its user signs in elsewhere."""

    def wait(self, doorward: Doorward, **parameters: str) -> tuple[Browser, Json, str]:
        client, browser = an_app(doorward), Browser(doorward)
        reply = browser.get(address_of(asking(client, scope="openid invoices:read", **parameters)))
        location = reply.headers["location"]
        assert urlsplit(location).path == "/login"
        return browser, client, sent_to(location)["request"]

    def test_it_goes_on_to_consent_and_a_code(self, doorward, provider):
        browser, client, request = self.wait(doorward, login_hint="ada", ui_locales="de en", nonce="its own")
        assert f'href="/login/upstream/anyone?request={request}"' in browser.get(f"/login?request={request}").text
        away = leave(doorward, provider, browser=browser, request=request)
        assert (away.asked["login_hint"], away.asked["ui_locales"]) == ("ada", "de en")
        assert away.asked["nonce"] != "its own"
        auth_time = int(time.time()) - 100
        reply = away.back(person("00u-flow", amr=["otp"], auth_time=auth_time))
        assert reply.headers["location"] == f"/consent?request={request}"
        reply = browser.submit(consent_page(browser, reply), answer="allow")
        tokens = redeem(
            doorward, client, sent_back(reply)["code"], redirect_uri="https://client.example/callback"
        ).json()
        claims = read_id_token(doorward, tokens["id_token"])
        assert (claims["auth_time"], claims["amr"], claims["acr"]) == (auth_time, ["fed", "otp"], "1")
        assert claims["iss"] == doorward.issuer

    def test_after_an_error_the_request_still_waits(self, doorward, provider):
        browser, _, request = self.wait(doorward)
        away = leave(doorward, provider, browser=browser, request=request)
        reply = away.back(error="access_denied")
        assert Page(reply.text).fields["request"] == request
        assert f"request={request}" in reply.text
        user = a_user(doorward)
        page = browser.submit(Page(reply.text), username=user["username"], password="correct horse battery staple")
        assert page.headers["location"] == f"/consent?request={request}"

    @pytest.mark.parametrize(
        ("parameters", "asked"),
        [
            ({"prompt": "login"}, ("login", "0")),
            ({"max_age": "0"}, ("login", "0")),
            ({"max_age": "300"}, (None, "300")),
            ({"prompt": "select_account"}, ("select_account", None)),
            ({"prompt": "consent"}, (None, None)),
        ],
    )
    def test_how_fresh_the_client_wants_it_is_asked_of_the_provider(self, doorward, provider, parameters, asked):
        browser, _, request = self.wait(doorward, **parameters)
        away = leave(doorward, provider, browser=browser, request=request)
        assert (away.asked.get("prompt"), away.asked.get("max_age")) == asked

    @pytest.mark.parametrize("auth_time", [None, 1_000_000_000, int(time.time()) - 3600], ids=["none", "old", "hour"])
    def test_an_older_sign_in_there_does_not_pass_for_a_fresh_one(self, doorward, provider, auth_time):
        browser, _, request = self.wait(doorward, max_age="300")
        away = leave(doorward, provider, browser=browser, request=request)
        sentence = said(away.back(person("00u-stale", auth_time=auth_time)))
        assert sentence == "The other sign-in did not ask you to sign in again."
        assert not is_signed_in(browser)
        fresh = leave(doorward, provider, browser=browser, request=request)
        reply = fresh.back(person("00u-stale", auth_time=int(time.time())))
        assert reply.headers["location"] == f"/consent?request={request}"

    @pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}])
    @pytest.mark.parametrize("ago", [None, 5000])
    def test_nor_does_one_that_was_begun_beside_the_request(self, doorward, provider, asked, ago):
        """T150: whoever sits at an unlocked browser leaves out what would have been asked of the provider."""
        browser, _, request = self.wait(doorward, **asked)
        away = leave(doorward, provider, browser=browser)
        assert {"prompt", "max_age"}.isdisjoint(away.asked)
        told = {} if ago is None else {"auth_time": int(time.time()) - ago}
        assert away.back(person("00u-beside", **told)).status_code == 303
        assert is_signed_in(browser)
        reply = browser.get(f"/consent?request={request}")
        assert urlsplit(reply.headers["location"]).path == "/login"

    def test_the_request_of_another_browser_tells_nothing(self, doorward, provider):
        _, _, request = self.wait(doorward, login_hint="ada")
        away = leave(doorward, provider, request=request)
        assert "login_hint" not in away.asked
        reply = away.back(person())
        assert away.browser.get(reply.headers["location"]).status_code == 400


class TestProvider:
    def test_what_it_publishes_is_read_once(self, doorward, provider):
        tenant = provider.tenant("anyone")
        for _ in range(3):
            leave(doorward, provider).back(person())
        assert tenant.asked[".well-known/openid-configuration"] == 1
        assert tenant.asked["jwks"] == 1

    def test_a_new_key_is_looked_for_and_an_unknown_one_not_without_end(self, doorward, provider):
        """T073."""
        tenant = provider.tenant("odd")
        leave(doorward, provider, "odd").back(person("first"))
        assert tenant.asked["jwks"] == 1
        tenant.key = a_key("odd-2", "ES256")
        for _ in range(3):
            assert said(leave(doorward, provider, "odd").back(person("first"))) == UNTRUSTED
        assert tenant.asked["jwks"] <= 2, "the set was read a moment ago"

    def test_one_that_is_down_is_said_to_be_and_the_others_go_on(self, doorward, provider):
        tenant = provider.tenant("anyone")
        away = leave(doorward, provider)
        tenant.is_down = True
        try:
            reply = away.back(person())
        finally:
            tenant.is_down = False
        assert said(reply, 503) == "The other sign-in does not answer."
        assert reply.headers["retry-after"]
        assert leave(doorward, provider, "existing").asked["state"]


class TestIdentities:
    def test_an_administrator_lists_and_removes_them(self, doorward, provider):
        user = a_user(doorward)
        made = doorward.create("/identities", user=user["id"], upstream="existing", subject="00u-removed")
        assert doorward.v1("GET", f"/identities?user={user['username']}").json()["items"] == [made]
        assert doorward.v1("DELETE", f"/identities/{made['id']}").status_code == 204
        assert said(leave(doorward, provider, "existing").back(Person("00u-removed"))) == NOBODY
        assert doorward.v1("GET", f"/identities/{made['id']}").status_code == 404

    def test_a_login_is_one_users(self, doorward):
        first, second = a_user(doorward), a_user(doorward)
        body = {"upstream": "existing", "subject": "00u-once"}
        doorward.create("/identities", user=first["id"], **body)
        assert doorward.v1("POST", "/identities", {"user": second["id"], **body}).status_code == 409

    @pytest.mark.parametrize("scope", ["users:write", "identities:read"])
    def test_it_needs_its_own_scope(self, doorward, scope):
        key = doorward.an_admin_key(scope)
        body = {"user": "ada", "upstream": "existing", "subject": "x"}
        assert doorward.v1("POST", "/identities", body, key=key).status_code == 403

    def test_a_user_sees_his_logins_and_unlinks_one(self, doorward, provider):
        user = a_user(doorward)
        made = doorward.create("/identities", user=user["id"], upstream="existing", subject="00u-own")
        browser = signed_in(doorward, user)
        shown = browser.get("/account").text
        assert "Linked logins" in shown
        assert "Acme existing" in shown
        csrf = shown.partition('name="csrf" value="')[2].partition('"')[0]
        assert browser.post("/account/logins", {"login": made["id"]}).status_code == 403, "without its token"
        reply = browser.post("/account/logins", {"login": made["id"], "csrf": csrf})
        assert reply.headers["location"] == "/account?done=login"
        assert "Linked logins" not in browser.get("/account").text
        assert said(leave(doorward, provider, "existing").back(Person("00u-own"))) == NOBODY

    def test_nobody_unlinks_that_of_another_nor_his_only_way_in(self, doorward, provider):
        away = leave(doorward, provider)
        away.back(person("00u-only"))
        shown = away.browser.get("/account").text
        csrf = shown.partition('name="csrf" value="')[2].partition('"')[0]
        own = shown.partition('name="login" value="')[2].partition('"')[0]
        reply = away.browser.post("/account/logins", {"login": own, "csrf": csrf})
        assert reply.status_code == 409
        assert "It is the only way in that you have." in reply.text
        other = a_user(doorward)
        theirs = doorward.create("/identities", user=other["id"], upstream="existing", subject="00u-theirs")
        assert away.browser.post("/account/logins", {"login": theirs["id"], "csrf": csrf}).status_code == 404
        assert doorward.v1("GET", f"/identities/{theirs['id']}").status_code == 200
