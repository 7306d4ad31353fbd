"""A browser as far as the protocol needs one: cookies of its own, forms that it was shown, redirects that a test sees.

And who uses it: a user with a password, a client with a redirect address, and the way of both to tokens.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tests.deployment import FORM, Doorward, Json, Response

PASSWORD = "correct horse battery staple"
CALLBACK = "https://client.example/callback"


class Page(HTMLParser):
    """The first form of a page: where it goes, and what it sends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.boxes: list[str] = []
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and not self.action:
            self.action = given.get("action") or ""
        if tag != "input" or "name" not in given or "disabled" in given:
            return
        name = given["name"] or ""
        if given.get("type") == "checkbox":
            self.boxes.append(name)
        if given.get("type") not in ("checkbox", "radio") or "checked" in given:
            self.fields.setdefault(name, given.get("value") or "on")


@dataclass
class Browser:
    """It follows nothing by itself. `origin` is sent with a POST, as browsers do."""

    doorward: Doorward
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, address: str, **headers: str) -> Response:
        return self._send("GET", address, headers={"sec-fetch-site": "none", **headers})

    def post(self, address: str, form: Mapping[str, str], **headers: str) -> Response:
        own = {**FORM, "origin": self.doorward.issuer, "sec-fetch-site": "same-origin"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._send("POST", address, content=urlencode(form), headers={**own, **given})

    def submit(self, page: Page, **fields: str) -> Response:
        """The form with what is filled in."""
        return self.post(page.action, {**page.fields, **fields})

    def _send(self, method: str, address: str, headers: Mapping[str, str], **content: Any) -> Response:
        http = self.doorward.http
        request = http.build_request(method, address, headers=dict(headers), **content)
        request.headers.pop("cookie", None)
        if self.cookies:
            request.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = http.send(request, follow_redirects=False)
        for line in reply.headers.get_list("set-cookie"):
            self._keep(line)
        return reply

    def _keep(self, line: str) -> None:
        pair, *attributes = (part.strip() for part in line.split(";"))
        name, _, value = pair.partition("=")
        assert name.startswith("__Host-"), line
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes), line
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    def sign_in(self, username: str, address: str = "/login", password: str = PASSWORD) -> Response:
        page = Page(self.get(address).text)
        return self.submit(page, username=username, password=password)


def a_user(doorward: Doorward, **body: Any) -> Json:
    """With the password above, chosen by the link that an administrator gave."""
    user = doorward.create("/users", **{"username": f"ada-{secrets.token_hex(4)}", **body})
    link = doorward.create(f"/users/{user['id']}/reset-password")["link"]
    browser = Browser(doorward)
    page = Page(browser.get("/reset").text)
    reply = browser.submit(page, token=link.partition("#token=")[2], password=PASSWORD)
    assert reply.status_code == 200, reply.text
    return user


def signed_in(doorward: Doorward, user: Json) -> Browser:
    browser = Browser(doorward)
    reply = browser.sign_in(user["username"])
    assert reply.status_code == 303, reply.text
    return browser


def an_app(doorward: Doorward, **body: Any) -> Json:
    """A client that asks users; confidential unless it says otherwise."""
    given = {
        "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [CALLBACK], "name": "Books", **body
    }  # fmt: skip
    return doorward.a_client(**given)


def a_public_app(doorward: Doorward, **body: Any) -> Json:
    return an_app(doorward, **{"token_endpoint_auth_method": "none", **body})


@dataclass(frozen=True)
class Proof:
    """PKCE's pair."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


PROOF = Proof("a-verifier-that-every-test-may-know-by-its-heart")


def asking(client: Json, **parameters: str) -> dict[str, str]:
    """An authorization request; a parameter that is empty is left out."""
    given = {
        "response_type": "code", "client_id": client["client_id"], "redirect_uri": CALLBACK, "state": "af0ifjsldkj",
        "code_challenge": PROOF.challenge, "code_challenge_method": "S256", **parameters,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value}


def address_of(asked: Mapping[str, str]) -> str:
    return f"/oauth/authorize?{urlencode(asked, quote_via=quote)}"


def sent_back(reply: Response, to: str = CALLBACK) -> dict[str, str]:
    """What the client is told through the browser: each member once."""
    assert reply.status_code == 303, (reply.status_code, reply.text)
    address, _, query = reply.headers["location"].partition("?")
    assert address == to.partition("?")[0], reply.headers["location"]
    members = parse_qs(query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in members.values()), members
    return {name: values[0] for name, values in members.items()}


def consent_page(browser: Browser, reply: Response) -> Page:
    assert reply.status_code == 303, reply.text
    path = urlsplit(reply.headers["location"]).path
    assert path == "/consent", reply.headers["location"]
    shown = browser.get(reply.headers["location"])
    assert shown.status_code == 200, shown.text
    return Page(shown.text)


def allowed(browser: Browser, client: Json, **parameters: str) -> dict[str, str]:
    """The answer after the user said yes, if he was asked at all."""
    asked = asking(client, **parameters)
    reply = browser.get(address_of(asked))
    if urlsplit(reply.headers.get("location", "")).path == "/consent":
        reply = browser.submit(consent_page(browser, reply), answer="allow")
    return sent_back(reply, asked["redirect_uri"])


def a_code(browser: Browser, client: Json, **parameters: str) -> str:
    return allowed(browser, client, **parameters)["code"]


def redeem(doorward: Doorward, client: Json, code: str, **form: str) -> Response:
    given = {"grant_type": "authorization_code", "code": code, "code_verifier": PROOF.verifier, **form}
    return ask_token(doorward, client, **given)


def refresh(doorward: Doorward, client: Json, token: str, **form: str) -> Response:
    return ask_token(doorward, client, grant_type="refresh_token", refresh_token=token, **form)


def ask_token(doorward: Doorward, client: Json, **form: str) -> Response:
    """As the client that it is: a public one names itself alone."""
    given = {name: value for name, value in form.items() if value}
    if client.get("client_secret") is None:
        return doorward.post("token", None, client_id=client["client_id"], **given)
    return doorward.post("token", client, **given)


def tokens(browser: Browser, client: Json, **parameters: str) -> Json:
    """The token response at the end of the way."""
    uri = parameters.get("redirect_uri", CALLBACK)
    reply = redeem(browser.doorward, client, a_code(browser, client, **parameters), redirect_uri=uri)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())
