"""OpenID Connect as a client sees it: the way to an ID token, which somebody else's library reads, and userinfo."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet
from tests.browsing import CALLBACK, Browser, Page, a_user, address_of, asking, redeem, sent_back
from tests.deployment import Doorward, Json, Response

NONCE = "n-0S6_WzA2Mj"
EVERYTHING = "openid profile email address phone"
PROFILE = {
    "given_name": "Ada", "family_name": "Lovelace", "middle_name": "King", "nickname": "Countess", "gender": "female",
    "profile": "https://ada.example", "picture": "https://ada.example/ada.png", "website": "https://ada.example/engine",
    "birthdate": "1815-12-10", "zoneinfo": "Europe/London", "locale": "en-GB", "phone_number": "+44 20 7946 0000",
    "phone_number_verified": True,
    "address": {"street_address": "12 St James's Square", "locality": "London", "country": "GB"},
}  # fmt: skip


def somebody(doorward: Doorward, **body: Any) -> Json:
    """A user of whom all is known that can be."""
    given = {"name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True, "profile": PROFILE, **body}
    return a_user(doorward, **given)


@dataclass(frozen=True)
class Arrival:
    """What the client is told at its address, and the pages that the user saw on his way there."""

    told: dict[str, str]
    pages: tuple[str, ...]

    @property
    def code(self) -> str:
        assert "code" in self.told, self.told
        return self.told["code"]


def walk(browser: Browser, reply: Response, user: Json | None = None, to: str = CALLBACK) -> Arrival:
    """Signs in and says yes wherever he is asked to; without a user, to sign in is the end of the test."""
    pages: list[str] = []
    while True:
        address = reply.headers.get("location", "")
        path = "" if urlsplit(address).netloc else urlsplit(address).path
        if path == "/login":
            assert user is not None, "somebody has to sign in"
            pages.append(path)
            reply = browser.sign_in(user["username"], address)
        elif path:
            reply = browser.get(address)
        elif reply.status_code == 200 and (page := Page(reply.text)).action == "/consent":
            pages.append("/consent")
            reply = browser.submit(page, answer="allow")
        else:
            return Arrival(_told(reply, to), tuple(pages))


def _told(reply: Response, to: str) -> dict[str, str]:
    """By a redirect, or by a form that the browser posts (OAuth 2.0 Form Post Response Mode)."""
    if reply.status_code != 200:
        return sent_back(reply, to)
    page = Page(reply.text)
    assert page.action == to, reply.text
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.headers["cache-control"] == "no-store"
    return page.fields


def authorize(browser: Browser, client: Json, user: Json | None = None, **parameters: str) -> Arrival:
    asked = asking(client, **{"scope": "openid", "nonce": NONCE, **parameters})
    return walk(browser, browser.get(address_of(asked)), user, asked["redirect_uri"])


def identified(browser: Browser, client: Json, user: Json | None = None, **parameters: str) -> Json:
    """The token response at the end of the way."""
    return redeemed(browser.doorward, client, authorize(browser, client, user, **parameters).code)


def redeemed(doorward: Doorward, client: Json, code: str) -> Json:
    reply = redeem(doorward, client, code, redirect_uri=CALLBACK)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def keys(doorward: Doorward) -> KeySet:
    return KeySet.import_key_set(doorward.http.get("/.well-known/jwks.json").json())


def read(doorward: Doorward, text: str, algorithm: str = "RS256") -> Json:
    """The claims of an ID token, checked as Core §3.1.3.7 asks a client to, by a library that is not ours."""
    token = jwt.decode(text, keys(doorward), algorithms=[algorithm])
    assert token.header.keys() == {"typ", "alg", "kid"}
    assert (token.header["typ"], token.header["alg"]) == ("JWT", algorithm)
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": doorward.issuer}, sub={"essential": True}, aud={"essential": True},
        exp={"essential": True}, iat={"essential": True},
    ).validate(token.claims)  # fmt: skip
    assert token.claims["iat"] <= time.time() + 5
    return dict(token.claims)


def identity(
    doorward: Doorward, tokens: Json, client: Json, algorithm: str = "RS256", nonce: str | None = NONCE
) -> Json:
    """The same, of the token response, with all that a client compares."""
    claims = read(doorward, tokens["id_token"], algorithm)
    assert claims["aud"] == client["client_id"]
    assert claims.get("nonce") == nonce
    assert claims["at_hash"] == half_hash(tokens["access_token"])
    return claims


def half_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


def userinfo(doorward: Doorward, token: str, method: str = "GET", **headers: str) -> Response:
    fields = {"authorization": f"Bearer {token}", **headers}
    return doorward.http.request(method, "/oauth/userinfo", headers=fields)


def known(doorward: Doorward, token: str) -> Json:
    """What userinfo tells."""
    reply = userinfo(doorward, token)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
    return dict(reply.json())


def signed_in_earlier(doorward: Doorward, seconds: int, user: Mapping[str, Any]) -> None:
    """The clock of a test is the row: the user's sessions began so many seconds before.

    No event tells of it, so one that touches the user makes memory look again.
    """
    change = "UPDATE sessions SET auth_time = auth_time - :seconds WHERE user_id = :id RETURNING id"
    assert doorward.sql(change, seconds=seconds, id=user["id"])
    assert doorward.v1("POST", f"/users/{user['id']}/reset-password").status_code == 201
