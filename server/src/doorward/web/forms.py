"""Forms of our pages: whoever sends one must have been shown it, in this browser, by us (T141).

A token is bound to a cookie: the session's, or before there is one the browser's own, so that nobody can be signed in
as somebody else either. Origin and Sec-Fetch-Site must not speak against it.

<input type="hidden" name="csrf" value="5f3c...">     Cookie: __Host-doorward-session=... or __Host-doorward-browser=...
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from doorward.protocol.form import Form
from doorward.protocol.refusal import Refusal
from doorward.web.incoming import Incoming
from doorward.web.replies import Headers

SESSION, BROWSER = "__Host-doorward-session", "__Host-doorward-browser"
# Binds a browser to the authorization requests that it began (T036).
AUTHORIZATION = "__Host-doorward-authorization"
FIELD = "csrf"
FORMS = "forms of pages"
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"
COOKIE_LIMIT = 200


class ForeignForm(Refusal):
    """The form was not sent from a page that we showed in this browser."""

    status = 403
    error = "access_denied"
    default_reason = "form_foreign"


def cookie(incoming: Incoming, name: str) -> str | None:
    """The value of a cookie; None when it is absent, malformed or there more than once."""
    values = []
    for field in incoming.all(b"cookie"):
        for part in field.decode("latin-1").split(";"):
            given, _, value = part.strip().partition("=")
            if given == name:
                values.append(value)
    return values[0] if len(values) == 1 and 0 < len(values[0]) <= COOKIE_LIMIT else None


def set_cookie(name: str, value: str, max_age: int | None = None) -> tuple[bytes, bytes]:
    age = "" if max_age is None else f"; Max-Age={max_age}"
    return b"set-cookie", f"{name}={value}; {ATTRIBUTES}{age}".encode("ascii")


def drop_cookie(name: str) -> tuple[bytes, bytes]:
    return set_cookie(name, "", 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """The token of a form that is about to be shown, and the header fields that must go with the page."""

    token: str
    headers: Headers


def shown(incoming: Incoming) -> Shown:
    bound_to = cookie(incoming, SESSION) or cookie(incoming, BROWSER)
    if bound_to is not None:
        return Shown(_token(incoming, bound_to), [])
    fresh = base64.urlsafe_b64encode(os.urandom(24)).decode()
    return Shown(_token(incoming, fresh), [set_cookie(BROWSER, fresh)])


async def received(incoming: Incoming) -> Form:
    """The form of a POST, if it is one that we showed; raises ForeignForm."""
    _same_site(incoming)
    form = await incoming.form()
    given = form.get(FIELD) or ""
    known = [value for name in (SESSION, BROWSER) if (value := cookie(incoming, name)) is not None]
    if not any(hmac.compare_digest(given.encode(), _token(incoming, one).encode()) for one in known):
        raise ForeignForm("the form is not one that was shown in this browser")
    return form


def _same_site(incoming: Incoming) -> None:
    """A page without a referrer has the origin `null`; what the browser says beside it is then what counts."""
    site, origin = incoming.one(b"sec-fetch-site"), incoming.one(b"origin")
    if site is not None and site not in (b"same-origin", b"none"):
        raise ForeignForm("the form came from another site")
    if origin is not None and origin != b"null" and origin != our_origin(incoming).encode():
        raise ForeignForm("the form came from another site")
    if origin == b"null" and site is None:
        raise ForeignForm("the form came from nowhere that can be named")


def our_origin(incoming: Incoming) -> str:
    parts = urlsplit(incoming.runtime.policy.issuer)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _token(incoming: Incoming, bound_to: str) -> str:
    key = incoming.runtime.keyring.key(FORMS)
    return hmac.new(key, bound_to.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
