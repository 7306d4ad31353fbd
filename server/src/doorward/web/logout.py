"""`/oauth/logout` and `/logout`: a client's user, or whoever is here, signs out (RP-Initiated Logout 1.0 §2; T144).

GET  /oauth/logout?id_token_hint=...&post_logout_redirect_uri=...&state=...      -> 303 there, or a page that asks
POST /logout                    csrf, and what the client asked for              -> 303 there, or to /logout
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.routing import Route

from doorward.app import LOGOUT
from doorward.exchange import run
from doorward.protocol import authorization, form, redirect_uri, session
from doorward.protocol.authorization import Parameters
from doorward.protocol.logout import KEPT, Done, Question
from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import InvalidRequest, Refusal
from doorward.web import forms
from doorward.web.authorize import again
from doorward.web.incoming import Incoming
from doorward.web.page import page, see_other
from doorward.web.page_routes import page_route
from doorward.web.refused import refuse
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime
from doorward.web.sign_in import session_of

PATH, OWN = "/oauth/logout", "/logout"


def routes(runtime: Runtime) -> list[Route]:
    return [
        page_route(runtime, PATH, get=initiated, post=initiated),
        page_route(runtime, OWN, get=ask, post=leave),
    ]


async def initiated(incoming: Incoming) -> Reply:
    # HEAD would sign somebody out whom nobody told.
    incoming.allow("GET", "POST")
    pairs = form.pairs(incoming.scope["query_string"])
    if incoming.method == "POST":
        pairs += await incoming.pairs()
        if forms.cookie(incoming, forms.SESSION) is None:
            return again(PATH, pairs)
    return await _decided(incoming, authorization.parameters(pairs))


async def ask(incoming: Incoming) -> Reply:
    """A link alone signs nobody out (T141)."""
    found = await session_of(incoming)
    return _page(incoming, Question(found.user.username) if found else None)


async def leave(incoming: Incoming) -> Reply:
    """A second time is no error (T151)."""
    given = await forms.received(incoming)
    return await _decided(incoming, Parameters({name: given.all(name) for name in KEPT}), answered=True)


async def _decided(incoming: Incoming, asked: Parameters, *, answered: bool = False) -> Reply:
    """Of a request that is refused nothing is used: whoever came with it may sign out, and goes nowhere."""
    found, cookie = await session_of(incoming), forms.cookie(incoming, forms.SESSION)
    request = LOGOUT.parse(asked, None if cookie is None else session.digest(cookie), answered)

    def render(reply: Done | Question) -> Reply:
        return _page(incoming, reply) if isinstance(reply, Question) else _gone(reply)

    def refused(refusal: Refusal, incoming: Incoming) -> Reply:
        return _page(incoming, Question(found.user.username) if found else None, refusal)

    try:
        return await run(LOGOUT, request, incoming.runtime.store, render, incoming.context)
    except InvalidRequest as refusal:
        return refuse(refusal, incoming, refused)


def _gone(done: Done) -> Reply:
    return see_other(_address(done), [forms.drop_cookie(forms.SESSION)])


def _address(done: Done) -> str:
    if done.uri is None:
        return OWN
    if done.state is None:
        return done.uri
    mark = "&" if "?" in done.uri else "?"
    return f"{done.uri}{mark}{urlencode({'state': done.state}, quote_via=quote, safe='')}"


def _page(incoming: Incoming, question: Question | None, refusal: Refusal | None = None) -> Reply:
    """The form's answer may lead to the client, which the policy has to name (decision 32)."""
    csrf, uri = forms.shown(incoming), question.uri if question else None
    leads_to = ("'self'", *((redirect_uri.origin(uri),) if uri else ()))
    return page(
        incoming, "logout.html", refusal.status if refusal else 200, form_action=leads_to, more=csrf.headers,
        csrf=csrf.token, question=question, host=redirect_uri.host(uri) if uri else "",
        refused=REASONS[refusal.reason] if refusal else None,
        request_id=incoming.identify(refusal) if refusal else "",
    )  # fmt: skip
