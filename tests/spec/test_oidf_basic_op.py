"""The OpenID Foundation's certification, Basic OP: one test for each module of the plan, by its name.

Where a module is about what this server does not offer, the test shows the answer that the module accepts instead.
"""

from __future__ import annotations

import base64
import json
import string
from typing import Any

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    Browser,
    Page,
    address_of,
    an_app,
    ask_token,
    asking,
    redeem,
    refresh,
    signed_in,
)
from tests.openid import (
    EVERYTHING,
    NONCE,
    PROFILE,
    Arrival,
    authorize,
    identified,
    identity,
    known,
    redeemed,
    signed_in_earlier,
    somebody,
    userinfo,
    walk,
)
from tests.vectors import outside_json

PLAN = "oidcc-basic-certification-test-plan"
OF_PROFILE = {
    "name": "Ada Lovelace",
    **{name: PROFILE[name] for name in PROFILE if not name.startswith(("phone", "address"))},
}
LATE = 31


def modules(plan: str) -> set[str]:
    """The names of its tests."""
    return {f"test_{name.replace('-', '_')}" for name in outside_json("oidf/modules.json")["plans"][plan]["modules"]}


def named_in(kind: type) -> set[str]:
    return {name for name in dir(kind) if name.startswith("test_oidcc_")}


def test_no_module_is_forgotten():
    assert named_in(TestBasicOP) == modules(PLAN)


@pytest.fixture(scope="module")
def ada(on_sqlite):
    return somebody(on_sqlite)


@pytest.fixture(scope="module")
def here(on_sqlite, ada):
    """Ada's browser, in which she is signed in."""
    return signed_in(on_sqlite, ada)


@pytest.fixture(scope="module")
def client(on_sqlite):
    return an_app(on_sqlite, name="Client 1")


@pytest.fixture(scope="module")
def second_client(on_sqlite):
    return an_app(on_sqlite, name="Client 2")


@pytest.fixture
def anew(on_sqlite):
    """A browser without cookies."""
    return Browser(on_sqlite)


class TestBasicOP:
    mode = "query"

    def authorize(self, browser: Browser, client: Any, user: Any = None, **parameters: str) -> Arrival:
        return authorize(browser, client, user, response_mode=self.mode, **parameters)

    def identified(self, browser: Browser, client: Any, user: Any = None, **parameters: str) -> Any:
        return identified(browser, client, user, response_mode=self.mode, **parameters)

    def claims(self, browser: Browser, client: Any, user: Any = None, **parameters: str) -> Any:
        return identity(browser.doorward, self.identified(browser, client, user, **parameters), client)

    def refused(self, browser: Browser, client: Any, **parameters: str) -> str:
        """The error that the client is told, with its state."""
        told = self.authorize(browser, client, **parameters).told
        assert told.keys() == {"error", "error_description", "state", "iss"}
        return told["error"]

    # Responses and ID tokens

    def test_oidcc_server(self, on_sqlite, here, ada, client):
        arrival = self.authorize(here, client)
        assert arrival.told.keys() == {"code", "state", "iss"}
        assert arrival.told["state"] == "af0ifjsldkj"
        reply = redeem(on_sqlite, client, arrival.code, redirect_uri=CALLBACK)
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        tokens = reply.json()
        assert tokens["token_type"].lower() == "bearer"
        claims = identity(on_sqlite, tokens, client)
        assert claims["sub"] == ada["id"] == known(on_sqlite, tokens["access_token"])["sub"]
        assert 0 < len(claims["sub"]) <= 255
        assert claims["sub"].isascii()
        assert claims["exp"] > claims["iat"] >= claims["auth_time"]

    def test_oidcc_response_type_missing(self, here, client):
        assert self.refused(here, client, response_type="") == "invalid_request"

    def test_oidcc_idtoken_signature(self, on_sqlite, here, client):
        assert client["id_token_signed_response_alg"] == "RS256"
        tokens = self.identified(here, client)
        published = on_sqlite.http.get("/.well-known/jwks.json").json()["keys"]
        header = json.loads(base64.urlsafe_b64decode(tokens["id_token"].partition(".")[0] + "=="))
        assert header["alg"] == "RS256"
        assert header["kid"] in {key["kid"] for key in published if key["kty"] == "RSA"}
        assert identity(on_sqlite, tokens, client)

    def test_oidcc_idtoken_unsigned(self, on_sqlite, here, client):
        """Not offered: it cannot be registered, and is not announced."""
        metadata = on_sqlite.http.get("/.well-known/openid-configuration").json()
        assert "none" not in metadata["id_token_signing_alg_values_supported"]
        path = f"/clients/{client['client_id']}"
        assert on_sqlite.v1("PATCH", path, {"id_token_signed_response_alg": "none"}).status_code == 422
        assert self.claims(here, client)

    # Userinfo

    def test_oidcc_userinfo_get(self, on_sqlite, here, ada, client):
        reply = userinfo(on_sqlite, self.identified(here, client)["access_token"])
        assert (reply.status_code, reply.json()) == (200, {"sub": ada["id"]})

    def test_oidcc_userinfo_post_header(self, on_sqlite, here, ada, client):
        reply = userinfo(on_sqlite, self.identified(here, client)["access_token"], "POST")
        assert (reply.status_code, reply.json()) == (200, {"sub": ada["id"]})

    def test_oidcc_userinfo_post_body(self, on_sqlite, here, ada, client):
        token = self.identified(here, client)["access_token"]
        reply = on_sqlite.post("userinfo", None, access_token=token)
        assert (reply.status_code, reply.json()) == (200, {"sub": ada["id"]})

    def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(self, on_sqlite, here, client):
        tokens = self.identified(here, client, nonce="")
        assert identity(on_sqlite, tokens, client, nonce=None)

    def scoped(self, browser, client, ada, scope, told):
        """What the scope is about is told at userinfo, and nowhere else."""
        doorward = browser.doorward
        tokens = self.identified(browser, client, scope=scope)
        found = known(doorward, tokens["access_token"])
        found.pop("updated_at", None)
        assert found == {"sub": ada["id"], **told}
        assert not told.keys() & identity(doorward, tokens, client).keys()

    def test_oidcc_scope_profile(self, here, client, ada):
        self.scoped(here, client, ada, "openid profile", {**OF_PROFILE, "preferred_username": ada["username"]})

    def test_oidcc_scope_email(self, here, client, ada):
        self.scoped(here, client, ada, "openid email", {"email": "ada@example.com", "email_verified": True})

    def test_oidcc_scope_address(self, here, client, ada):
        self.scoped(here, client, ada, "openid address", {"address": PROFILE["address"]})

    def test_oidcc_scope_phone(self, here, client, ada):
        told = {"phone_number": PROFILE["phone_number"], "phone_number_verified": True}
        self.scoped(here, client, ada, "openid phone", told)

    def test_oidcc_scope_all(self, here, client, ada):
        everything = {**PROFILE, "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True}
        self.scoped(here, client, ada, EVERYTHING, {**everything, "preferred_username": ada["username"]})

    # Requests

    def test_oidcc_alternate_happy_flow(self, on_sqlite, here, client):
        asked = asking(client, scope="phone address email profile openid", nonce=NONCE, response_mode=self.mode)
        backwards = dict(reversed(asked.items()))
        assert [*backwards] != [*asked]
        code = walk(here, here.get(address_of(backwards))).code
        assert identity(on_sqlite, redeemed(on_sqlite, client, code), client)

    def displayed(self, browser, client, user, display):
        asked = asking(client, scope="openid", nonce=NONCE, display=display, response_mode=self.mode)
        reply = browser.get(address_of(asked))
        page = browser.get(reply.headers["location"])
        assert (page.status_code, Page(page.text).action) == (200, "/login")
        assert identity(browser.doorward, redeemed(browser.doorward, client, walk(browser, reply, user).code), client)

    def test_oidcc_display_page(self, anew, client, ada):
        self.displayed(anew, client, ada, "page")

    def test_oidcc_display_popup(self, anew, client, ada):
        self.displayed(anew, client, ada, "popup")

    def test_oidcc_prompt_login(self, on_sqlite, anew, client, ada):
        first = self.claims(anew, client, ada)
        signed_in_earlier(on_sqlite, 10, ada)
        again = self.authorize(anew, client, ada, prompt="login")
        assert again.pages == ("/login",)
        second = identity(on_sqlite, redeemed(on_sqlite, client, again.code), client)
        assert second["sub"] == first["sub"]
        assert second["auth_time"] >= first["auth_time"]
        assert second["sid"] != first["sid"]

    def test_oidcc_prompt_none_not_logged_in(self, anew, client):
        assert self.refused(anew, client, prompt="none") == "login_required"

    def test_oidcc_prompt_none_logged_in(self, here, client):
        first, arrival = self.claims(here, client), self.authorize(here, client, prompt="none")
        assert arrival.pages == ()
        second = identity(here.doorward, redeemed(here.doorward, client, arrival.code), client)
        assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])

    def test_oidcc_max_age_1(self, on_sqlite, anew, client, ada):
        first = self.claims(anew, client, ada)
        signed_in_earlier(on_sqlite, 2, ada)
        again = self.authorize(anew, client, ada, max_age="1")
        assert again.pages == ("/login",)
        second = identity(on_sqlite, redeemed(on_sqlite, client, again.code), client)
        assert second["sub"] == first["sub"]
        assert second["auth_time"] > first["auth_time"] - 2

    def test_oidcc_max_age_10000(self, here, client):
        first, arrival = self.claims(here, client, max_age="15000"), self.authorize(here, client, max_age="10000")
        assert arrival.pages == ()
        second = identity(here.doorward, redeemed(here.doorward, client, arrival.code), client)
        assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])

    def test_oidcc_ensure_request_with_unknown_parameter_succeeds(self, here, client):
        assert self.claims(here, client, extra="foobar")

    def test_oidcc_id_token_hint(self, here, client):
        tokens = self.identified(here, client)
        arrival = self.authorize(here, client, prompt="none", id_token_hint=tokens["id_token"])
        assert arrival.pages == ()
        first = identity(here.doorward, tokens, client)
        second = identity(here.doorward, redeemed(here.doorward, client, arrival.code), client)
        assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])

    def test_oidcc_login_hint(self, anew, client, ada):
        asked = asking(client, scope="openid", login_hint="buffy@example.com", response_mode=self.mode)
        reply = anew.get(address_of(asked))
        assert Page(anew.get(reply.headers["location"]).text).fields["username"] == "buffy@example.com"
        assert walk(anew, reply, ada).code

    @pytest.mark.parametrize(("locales", "shown"), [("se", "en"), ("se de-AT en", "de")])
    def test_oidcc_ui_locales(self, anew, client, locales, shown):
        asked = asking(client, scope="openid", ui_locales=locales, response_mode=self.mode)
        page = anew.get(anew.get(address_of(asked)).headers["location"])
        assert page.status_code == 200
        assert f'<html lang="{shown}"' in page.text

    def test_oidcc_claims_locales(self, here, client):
        assert self.claims(here, client, claims_locales="se")

    def test_oidcc_ensure_request_with_acr_values_succeeds(self, on_sqlite, here, client):
        offered = on_sqlite.http.get("/.well-known/openid-configuration").json()["acr_values_supported"]
        assert self.claims(here, client, acr_values=" ".join(offered))["acr"] in offered
        assert self.claims(here, client, acr_values="9 8")["acr"] in offered

    # Codes

    def test_oidcc_codereuse(self, on_sqlite, here, client):
        code = self.authorize(here, client).code
        assert redeemed(on_sqlite, client, code)
        reply = redeem(on_sqlite, client, code, redirect_uri=CALLBACK)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")

    def test_oidcc_codereuse_30seconds(self, on_sqlite, here, client):
        """The clock of the test is the row. What the first use gave has ended."""
        code = self.authorize(here, client).code
        token = redeemed(on_sqlite, client, code)["access_token"]
        times = ", ".join(f"{name} = {name} - {LATE}" for name in ("created_at", "expires_at", "redeemed_at"))
        assert on_sqlite.sql(f"UPDATE codes SET {times} WHERE redeemed_at IS NOT NULL RETURNING digest")
        assert userinfo(on_sqlite, token).status_code == 200
        reply = redeem(on_sqlite, client, code, redirect_uri=CALLBACK)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
        assert userinfo(on_sqlite, token).status_code == 401

    def test_oidcc_ensure_registered_redirect_uri(self, here, client):
        asked = asking(client, scope="openid", redirect_uri=f"{CALLBACK}/x", response_mode=self.mode)
        self.is_told_here(here.get(address_of(asked)))

    def is_told_here(self, reply):
        assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (400, "text/html")
        assert "location" not in reply.headers
        assert "redirect_uri" in reply.text
        assert Page(reply.text).action == ""

    def test_oidcc_ensure_post_request_succeeds(self, on_sqlite, here, anew, client, ada):
        asked = asking(client, scope="openid", nonce=NONCE, response_mode=self.mode)
        for browser, user in ((here, None), (anew, ada)):
            arrival = walk(browser, browser.post("/oauth/authorize", asked), user)
            assert identity(on_sqlite, redeemed(on_sqlite, client, arrival.code), client)

    def test_oidcc_server_client_secret_post(self, on_sqlite, here):
        client = an_app(on_sqlite, token_endpoint_auth_method="client_secret_post")
        code = self.authorize(here, client).code
        secret = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        reply = on_sqlite.post("token", None, **given, **secret, code_verifier=PROOF.verifier)
        assert reply.status_code == 200, reply.text
        assert identity(on_sqlite, reply.json(), client)

    # Request objects, which are not read

    def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(self, on_sqlite, here, client):
        metadata = on_sqlite.http.get("/.well-known/openid-configuration").json()
        assert metadata["request_uri_parameter_supported"] is False
        uri = "https://client.example/request.jwt"
        assert self.refused(here, client, request_uri=uri) == "request_uri_not_supported"

    def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(self, here, client):
        assert self.refused(here, client, request=unsigned({"nonce": "another"})) == "request_not_supported"

    def test_oidcc_claims_essential(self, on_sqlite, here, client, ada):
        """A name that the user did not allow is left out, which is no error; our own clients are told (§5.5.1)."""
        asked = json.dumps({"userinfo": {"name": {"essential": True}}})
        own = an_app(on_sqlite, first_party=True)
        for app, scope, told in ((client, "openid profile", True), (client, "openid", False), (own, "openid", True)):
            tokens = self.identified(here, app, scope=scope, claims=asked)
            assert ("name" in known(on_sqlite, tokens["access_token"])) is told
            assert identity(on_sqlite, tokens, app)["sub"] == ada["id"]

    def test_oidcc_ensure_request_object_with_redirect_uri(self, here, client):
        elsewhere = f"{CALLBACK}/elsewhere"
        assert self.refused(here, client, request=unsigned({"redirect_uri": elsewhere})) == "request_not_supported"
        asked = asking(client, request=unsigned({"redirect_uri": CALLBACK}), redirect_uri=elsewhere)
        self.is_told_here(here.get(address_of({**asked, "response_mode": self.mode})))

    # Refresh tokens and PKCE

    def test_oidcc_refresh_token(self, on_sqlite, here, client, second_client):
        first = self.identified(here, client, scope="openid offline_access")
        before = identity(on_sqlite, first, client)
        assert set(first["refresh_token"]) <= set(string.printable) - set(string.whitespace)
        stolen = refresh(on_sqlite, second_client, first["refresh_token"])
        assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
        reply = refresh(on_sqlite, client, first["refresh_token"])
        assert reply.status_code == 200, reply.text
        assert reply.json()["access_token"] != first["access_token"]
        after = identity(on_sqlite, reply.json(), client, nonce=None)
        for name in ("iss", "sub", "aud", "auth_time"):
            assert after[name] == before[name]
        assert known(on_sqlite, reply.json()["access_token"])["sub"] == before["sub"]
        wrong = ask_token(
            on_sqlite, client, grant_type="refresh_token", refresh_token=reply.json()["refresh_token"][:-1]
        )
        assert wrong.json()["error"] == "invalid_grant"

    def test_oidcc_ensure_request_with_valid_pkce_succeeds(self, here, client):
        asked = asking(client)
        assert asked["code_challenge_method"] == "S256"
        assert self.claims(here, client)


def unsigned(claims: dict[str, str]) -> str:
    """A request object with the algorithm none."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}."
