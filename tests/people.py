"""People as the server meets them: a browser with cookies of its own, that fills in the forms it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx2
from tests.deployment import Doorward, Json, Response, made

PASSWORD = "correct horse battery staple"


class Page(HTMLParser):
    """What a page says and offers: its forms with their fields, what it loads, and what it runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Json] = []
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.handlers: list[str] = []
        self.said = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.loaded += [found[name] for name in ("src", "href") if found.get(name)]
        self.handlers += [name for name in found if name.startswith("on") or name == "style"]
        if tag == "form":
            self.forms.append({"action": found.get("action", ""), "method": found.get("method", "get"), "fields": {}})
        if tag in ("input", "button") and self.forms and found.get("name"):
            self.forms[-1]["fields"].setdefault(found["name"], found.get("value", ""))
        self._in = tag

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "style") and data.strip():
            self.inline.append(data)
        self.said += data

    @property
    def csrf(self) -> str:
        return str(next(form["fields"]["csrf"] for form in self.forms if "csrf" in form["fields"]))


@dataclass
class Browser:
    """`headers` are what a browser of today says of where a request comes from."""

    doorward: Doorward
    http: httpx2.Client
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Response:
        return self.http.get(path, headers={"sec-fetch-site": "none", **headers})

    def page(self, path: str) -> Page:
        reply = self.get(path)
        assert reply.status_code == 200, (path, reply.status_code, reply.headers.get("location"))
        return Page(reply.text)

    def post(self, path: str, fields: dict[str, Any], **headers: str) -> Response:
        """As the form of one of our own pages is sent; an empty header is left out."""
        ours = {"origin": "null", "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in {**ours, **self.headers, **said}.items() if value}
        return self.http.post(path, data=fields, headers=sent)

    def submit(self, page: str, path: str, **fields: str) -> Response:
        """Looks at a page, and sends a form of it."""
        return self.post(path, {"csrf": self.page(page).csrf, **fields})

    def sign_in(self, username: str, password: str = PASSWORD, **more: str) -> Response:
        # Somebody who is signed in is asked again by an authorization request alone.
        return self.submit("/login?request=authorization_x", "/login", username=username, password=password, **more)

    @property
    def cookies(self) -> dict[str, str]:
        return {one.name: one.value or "" for one in self.http.cookies.jar}

    @property
    def is_signed_in(self) -> bool:
        return self.get("/account").status_code == 200


def a_browser(doorward: Doorward) -> Browser:
    """One that knows nothing yet; it speaks through the deployment's own connection."""
    return Browser(doorward, httpx2.Client(transport=doorward.http._transport, base_url=doorward.issuer))


_names = iter(range(10_000))


def a_user(doorward: Doorward, password: str = PASSWORD, **body: Any) -> Json:
    """Who has chosen a password by the link that he was given."""
    user = doorward.create("/users", **{"username": f"ada{next(_names)}", **body})
    choose(doorward, user, password)
    return user


def choose(doorward: Doorward, user: Json, password: str) -> None:
    link = made(doorward.v1("POST", f"/users/{user['id']}/reset-password"))["link"]
    reply = a_browser(doorward).submit("/reset", "/reset", token=link.partition("#token=")[2], password=password)
    assert reply.status_code == 200, reply.text


def signed_in(doorward: Doorward, **body: Any) -> tuple[Json, Browser]:
    user, browser = a_user(doorward, **body), a_browser(doorward)
    reply = browser.sign_in(user["username"])
    assert reply.status_code == 303, reply.text
    return user, browser


def cookies_set(reply: Response) -> dict[str, str]:
    """The attributes of each cookie that a reply sets, by its name."""
    lines = reply.headers.get_list("set-cookie")
    return {line.partition("=")[0]: re.sub(r"^[^;]*;? ?", "", line) for line in lines}
