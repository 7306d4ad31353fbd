"""Users with a password, and their browsers: signed in, and with the consent to one client given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from doorward_server import SCOPE, Doorward
from load import FORM

PASSWORD = "correct horse battery staple"
CALLBACK = "https://client.example/callback"
FIELD = re.compile(r'<input[^>]*?name="([^"]+)"[^>]*?value="([^"]*)"')


@dataclass
class Browser:
    """It keeps cookies and follows nothing."""

    doorward: Doorward
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str) -> tuple[int, str, str]:
        return self._send("GET", path, None, {"sec-fetch-site": "none"})

    def submit(self, page: str, to: str, **fields: str) -> tuple[int, str, str]:
        """The form of a page, with what is filled in."""
        shown = dict(FIELD.findall(self.get(page)[2]))
        return self._send("POST", to, urlencode({**shown, **fields}), {
            "content-type": FORM, "origin": self.doorward.url, "sec-fetch-site": "same-origin",
        })  # fmt: skip

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str, str]:
        connection = HTTPConnection(self.doorward.url.removeprefix("http://"), timeout=10)
        connection.request(method, path, body, {**headers, "cookie": self.cookie})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        self._keep(reply)
        return reply.status, reply.headers["location"] or "", text

    def _keep(self, reply: HTTPResponse) -> None:
        for line in reply.headers.get_all("set-cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value


def an_app(doorward: Doorward) -> dict[str, Any]:
    """A client that asks users, and may refresh."""
    return doorward.make(
        "clients", account="acme", name="Books", api=doorward.first_api, scope=SCOPE, redirect_uris=[CALLBACK],
        grant_types=["authorization_code", "refresh_token"],
    )  # fmt: skip


def signed_in(doorward: Doorward, name: str, client_id: str) -> Browser:
    """A new user's browser, who has allowed the client what it asks for."""
    user = doorward.make("users", username=name)
    token = doorward.make(f"users/{user['id']}/reset-password")["link"].partition("#token=")[2]
    Browser(doorward).submit("/reset", "/reset", token=token, password=PASSWORD)
    browser = Browser(doorward)
    browser.submit("/login", "/login", username=name, password=PASSWORD)
    asked = urlencode({
        "response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": SCOPE, "state": "a" * 16,
        "code_challenge": "a" * 43, "code_challenge_method": "S256",
    })  # fmt: skip
    boxes = {f"scope.{scope}": "on" for scope in SCOPE.split()}
    _, page, _ = browser.get(f"/oauth/authorize?{asked}")
    status, answered, _ = browser.submit(page, urlsplit(page).path, answer="allow", **boxes)
    if status != 303 or "code" not in parse_qs(urlsplit(answered).query):
        raise SystemExit(f"the consent was answered with {status} to {answered}")
    return browser
