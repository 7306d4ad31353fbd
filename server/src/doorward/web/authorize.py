"""`/oauth/authorize`: where a browser comes with a client's request, and is sent back (RFC 6749 §4.1, T011 to T014).

GET /oauth/authorize?response_type=code&client_id=...     ->  303 redirect_uri?code=...&state=...&iss=...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.types import ASGIApp

from doorward.app import AUTHORIZATION
from doorward.exchange import run
from doorward.protocol import authorization, form, interaction, redirect_uri, session
from doorward.protocol.interaction import Browser, ComeAgain, Page, Response
from doorward.protocol.refusal import Destination, InvalidRequest, Refusal
from doorward.store import sessions
from doorward.web import forms
from doorward.web.incoming import Incoming
from doorward.web.page import page, see_other
from doorward.web.page_routes import page_application
from doorward.web.refused import REFUSED, as_refusal, refuse
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime
from doorward.web.sign_in import session_of

PATH = "/oauth/authorize"
# A server that is strict about the size of its header fields still takes it.
QUERY_LIMIT = 8 * 1024


def application(runtime: Runtime) -> ASGIApp:
    return page_application(runtime, PATH, get=authorize, post=authorize)


async def authorize(incoming: Incoming) -> Reply:
    pairs = form.pairs(incoming.scope["query_string"])
    if incoming.method == "POST":
        pairs += await incoming.pairs()
    browser = await browser_of(incoming)
    crossed = incoming.method == "POST" and browser.session is None
    request = interaction.Request(authorization.parameters(pairs), browser, crossed)

    def render(answer: Response | Page | ComeAgain) -> Reply:
        return again(PATH, pairs) if isinstance(answer, ComeAgain) else onward(answer, incoming)

    return await told(incoming, PATH, request, render)


async def browser_of(incoming: Incoming) -> Browser:
    """Who is signed in, and what the browser shows of the requests that it began."""
    signed_in = await session_of(incoming, sessions.recognised)
    cookie = forms.cookie(incoming, forms.SESSION) if signed_in else None
    digest = None if cookie is None else session.digest(cookie)
    return Browser(digest, forms.cookie(incoming, forms.AUTHORIZATION), incoming.address)


async def told(incoming: Incoming, step: str, request: Any, render: Any) -> Reply:
    """The answer of one step; a refusal that may go to the client goes there, every other is raised."""
    try:
        return await run(AUTHORIZATION[step], request, incoming.runtime.store, render, incoming.context)
    except REFUSED as fault:
        refusal = as_refusal(fault)
        if refusal.goes_to is None:
            raise
        return refuse(refusal, incoming, _told)


def _told(refusal: Refusal, incoming: Incoming) -> Reply:
    """RFC 6749 §4.1.2.1."""
    assert refusal.goes_to is not None, "who it goes to is known"
    said = {"error": refusal.error, "error_description": refusal.description}
    return _respond(incoming, refusal.goes_to, incoming.runtime.policy.issuer, said)


def onward(answer: Response | Page, incoming: Incoming) -> Reply:
    if isinstance(answer, Response):
        return _respond(incoming, answer.destination, answer.issuer, {"code": answer.code})
    query = {"request": answer.request_id, **({"ui_locales": answer.ui_locales} if answer.ui_locales else {})}
    cookie = [] if answer.cookie is None else [forms.set_cookie(forms.AUTHORIZATION, answer.cookie)]
    return see_other(f"{answer.path}?{urlencode(query, quote_via=quote)}", cookie)


def _respond(incoming: Incoming, to: Destination, issuer: str, said: Mapping[str, str]) -> Reply:
    """The state as it came, and who answers (RFC 9207 §2)."""
    members = {**said, **({} if to.state is None else {"state": to.state}), "iss": issuer}
    if to.response_mode == "form_post":
        origin = redirect_uri.origin(to.redirect_uri)
        return page(incoming, "form_post.html", form_action=(origin,), address=to.redirect_uri, members=members)
    mark = "&" if "?" in to.redirect_uri else "?"
    return see_other(f"{to.redirect_uri}{mark}{urlencode(members, quote_via=quote, safe='')}")


def again(path: str, pairs: list[tuple[str, str]]) -> Reply:
    """From another site a browser sends our cookies with a GET alone (SameSite=Lax)."""
    query = urlencode(pairs, quote_via=quote, safe="")
    if len(query) > QUERY_LIMIT:
        raise InvalidRequest("the request is too long")
    return see_other(f"{path}?{query}")
