"""`/login`: a session in this browser begins (T140, T141, T144 to T146).

GET  /login?request=ID          the id of an authorization request, which is kept on the server
POST /login                     username, password, request, csrf      -> 303 to where it goes on
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from functools import partial

from starlette.routing import Route

from doorward.app import SIGN_IN
from doorward.exchange import run
from doorward.protocol import redirect_uri, session, sign_in
from doorward.protocol.authorization import Authorization
from doorward.protocol.form import Form
from doorward.protocol.refusal import Refusal, TemporarilyUnavailable
from doorward.protocol.session import Browser, SessionFacts, Started
from doorward.protocol.sign_in import SlowDown
from doorward.store import attempts, authorization_requests, sessions
from doorward.store.attempts import Admitted
from doorward.store.memory import Reader
from doorward.web import forms
from doorward.web.hashed import compared
from doorward.web.incoming import Incoming
from doorward.web.page import page, see_other
from doorward.web.page_routes import page_route
from doorward.web.refused import refuse
from doorward.web.refused_page import said
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime

ATTEMPTS = "attempts to sign in"
_REQUEST = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
PASSWORD_LIMIT = 1024
Find = Callable[[Reader, session.Seen], SessionFacts | None]


def routes(runtime: Runtime) -> list[Route]:
    return [page_route(runtime, "/login", get=show, post=enter)]


async def session_of(incoming: Incoming, find: Find = sessions.looked_up) -> SessionFacts | None:
    """The session of this browser, if it is good now; being asked for keeps it from becoming idle.

    From memory (`sessions.recognised`) for those whose commit finds out when it has ended elsewhere meanwhile.
    """
    value = forms.cookie(incoming, forms.SESSION)
    if value is None:
        return None
    store, now = incoming.runtime.store, incoming.runtime.store.now()
    known = await store.gather(find, session.Seen(session.digest(value), now))
    found = session.live(known.facts, store.policy, now)
    if found is not None:
        incoming.actor = found.user.id
        if found.is_due(now):
            await store.consume(partial(sessions.touch, session=found.session, now=now))
    return found


async def show(incoming: Incoming) -> Reply:
    """For an authorization request it is shown to whoever is signed in too: he may be another, or must again."""
    request = named(incoming.query())
    if not request and await session_of(incoming) is not None:
        return see_other("/account")
    asked = await _asked(incoming, request)
    return _form(incoming, request, (asked.login_hint if asked else None) or "", asked=asked)


async def _asked(incoming: Incoming, request: str) -> Authorization | None:
    """What this browser is on its way with."""
    cookie = forms.cookie(incoming, forms.AUTHORIZATION) if request else None
    if cookie is None:
        return None
    return await incoming.runtime.store.read(partial(authorization_requests.shown, request_id=request, cookie=cookie))


def named(form: Form) -> str:
    """Only ids that the server kept lead anywhere: there is no address to be sent to (T144)."""
    given = form.get("request") or ""
    return given if _REQUEST.fullmatch(given) else ""


def _form(
    incoming: Incoming, request: str, username: str = "", refusal: Refusal | None = None,
    asked: Authorization | None = None,
) -> Reply:  # fmt: skip
    """Who need not be asked is sent on to the client at once: the page names it as where its form leads, too."""
    csrf = forms.shown(incoming)
    leads_to = ("'self'", *((redirect_uri.origin(asked.redirect_uri),) if asked else ()))
    above = said(refusal)
    return page(
        incoming, "login.html", above.status, form_action=leads_to, more=[*csrf.headers, *above.headers],
        csrf=csrf.token, request=request, username=username, said=above, by_mail=incoming.runtime.mail is not None,
        upstreams=tuple(incoming.runtime.policy.upstreams.values()),
    )  # fmt: skip


async def shown_again(incoming: Incoming, request: str, refusal: Refusal) -> Reply:
    """After a sign-in elsewhere that did not work: another way may."""
    asked = await _asked(incoming, request)
    return refuse(refusal, incoming, lambda refusal, incoming: _form(incoming, request, "", refusal, asked))


async def enter(incoming: Incoming) -> Reply:
    form = await forms.received(incoming)
    username, request = form.get("username") or "", named(form)
    try:
        started = await _signed_in(incoming, username[:200], (form.get("password") or "")[:PASSWORD_LIMIT])
    except (sign_in.SignInRefused, SlowDown, TemporarilyUnavailable) as refusal:
        asked = await _asked(incoming, request)
        return refuse(refusal, incoming, lambda refusal, incoming: _form(incoming, request, username, refusal, asked))
    cookie = forms.set_cookie(forms.SESSION, started.cookie)
    return see_other(onward(request), [cookie, forms.drop_cookie(forms.BROWSER)])


def onward(request: str) -> str:
    """Where the browser goes on after signing in."""
    return f"/consent?request={request}" if request else "/account"


async def _signed_in(incoming: Incoming, username: str, password: str) -> Started:
    """Two exchanges (decision 28): the attempt is counted before anything is hashed."""
    store = incoming.runtime.store
    counted = await admitted(incoming, username, password)
    phc = await store.read(lambda connection: sessions.known_password(connection, username))
    before = forms.cookie(incoming, forms.SESSION)
    request = sign_in.Request(
        username,
        await compared(incoming.runtime, phc, password),
        Browser((incoming.one(b"user-agent") or b"").decode("latin-1"), incoming.address),
        None if before is None else session.digest(before),
    )
    incoming.actor = "sign-in"
    started = await run(SIGN_IN, request, store, lambda started: started, incoming.context)
    await settled(incoming, counted)
    return started


async def settled(incoming: Incoming, counted: Admitted) -> None:
    """It was the right password: the attempt is taken back."""
    await incoming.runtime.store.consume(partial(attempts.succeeded, cells=counted.cells))


async def admitted(incoming: Incoming, username: str, password: str) -> Admitted:
    """Raises SlowDown. Of a password that many accounts are tried with too little is kept to find it by."""
    store = incoming.runtime.store
    credential = hmac.new(incoming.runtime.keyring.key(ATTEMPTS), password.encode("utf-8", "replace"), hashlib.sha256)
    attempt = sign_in.attempt(username, incoming.address, credential.hexdigest()[:8])
    step = partial(attempts.admit, attempt=attempt, username=username, now=store.now())
    counted = await store.consume(step)
    if counted.wait:
        raise SlowDown("too many attempts to sign in", fields=(("retry_after", str(counted.wait)),))
    return counted
