"""One page for people: a template in the reader's language and the deployment's colours, under a strict CSP."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from doorward.web import language
from doorward.web.incoming import Incoming
from doorward.web.replies import Headers, Reply

# `img-src` is for the deployment's logo, and for those that clients show; both are ours by the time they are sent.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action {form_action}"
)
PAGE_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY.format(form_action="'none'"),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
HTML = (b"content-type", b"text/html; charset=utf-8")


@cache
def templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("doorward.web"), autoescape=True, auto_reload=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["prose"] = _prose
    environment.filters["visible"] = visible
    environment.filters["day"] = partial(_at, "%Y-%m-%d")
    environment.filters["minute"] = partial(_at, "%Y-%m-%d %H:%M UTC")
    environment.filters["moment"] = partial(_at, "%Y-%m-%dT%H:%M:%SZ")
    return environment


def _at(form: str, seconds: int) -> str:
    return time.strftime(form, time.gmtime(seconds))


def _prose(text: str) -> Markup:
    """`Code` between backticks, as our sentences write it."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def visible(text: str) -> str:
    """Somebody else's words: what hides, or turns the direction of reading, is written out (T143)."""
    return "".join(one if one.isprintable() or one in " \u00a0" else f"\\u{ord(one):04x}" for one in text)


def page(
    incoming: Incoming,
    template: str,
    status: int = 200,
    *,
    form_action: Iterable[str] = ("'self'",),
    more: Headers | None = None,
    **values: Any,
) -> Reply:
    """`form_action` has more sources where a form's answer leads elsewhere (decision 32); `more` is for cookies."""
    text = render(incoming, template, **values)
    return Reply(status, text.encode("utf-8", "replace"), [*_headers(form_action), *(more or ())])


def render(incoming: Incoming, template: str, **values: Any) -> str:
    speech = language.of(incoming)
    brand = incoming.runtime.brand
    return templates().get_template(template).render(_=speech, language=speech.code, brand=brand, **values)


def _headers(form_action: Iterable[str]) -> Headers:
    policy = CONTENT_SECURITY_POLICY.format(form_action=" ".join(form_action))
    fields = {**PAGE_HEADERS, "content-security-policy": policy}
    # Every reply of ours says nosniff already.
    del fields["x-content-type-options"]
    return [HTML, *((name.encode(), value.encode()) for name, value in fields.items())]


def see_other(address: str, more: Headers | None = None) -> Reply:
    """RFC 9110 §15.4.4: the next page is fetched, and what was posted stays behind (T012)."""
    fields = [(b"location", address.encode("ascii")), (b"cache-control", b"no-store")]
    fields.append((b"referrer-policy", b"no-referrer"))
    return Reply(303, b"", [*fields, *(more or ())])
