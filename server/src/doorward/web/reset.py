"""`/reset`: a one-time link to a new password, its token in the fragment (decision 17); and a letter with such a link.

GET  /reset#token=...           the page takes the token out of the address bar
POST /reset                     token, password, csrf
POST /reset/link                username, csrf          one answer, whether there is such a user or not (T145)
"""

from __future__ import annotations

import asyncio
import logging
import math
import smtplib
from functools import partial

from starlette.routing import Route

from doorward import deadline
from doorward.app import PASSWORD_RESET, RESET_LINK
from doorward.exchange import run
from doorward.protocol import password, sign_in
from doorward.protocol.people import User
from doorward.protocol.refusal import NotFound, Refusal, TemporarilyUnavailable, Unprocessable
from doorward.protocol.sign_in import Attempt, SlowDown
from doorward.store import attempts
from doorward.store.writer import Unavailable
from doorward.web import forms, language
from doorward.web.hashed import acceptable, hashed
from doorward.web.incoming import Incoming
from doorward.web.page import page
from doorward.web.page_routes import page_route
from doorward.web.refused import refuse
from doorward.web.refused_page import said
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime

log = logging.getLogger("doorward.mail")
TOKEN_LIMIT = 200
# Letters under way: the loop itself keeps none of its tasks.
_under_way: set[asyncio.Task[None]] = set()


def routes(runtime: Runtime) -> list[Route]:
    return [
        page_route(runtime, "/reset", get=show, post=choose),
        page_route(runtime, "/reset/link", post=ask),
    ]


async def show(incoming: Incoming) -> Reply:
    return _form(incoming)


def _form(incoming: Incoming, token: str = "", refusal: Refusal | None = None, done: str = "") -> Reply:
    csrf = forms.shown(incoming)
    above = said(refusal)
    return page(
        incoming, "reset.html", above.status, more=[*csrf.headers, *above.headers], csrf=csrf.token, token=token,
        said=above, done=done, by_mail=incoming.runtime.mail is not None, shortest=password.SHORTEST,
    )  # fmt: skip


async def choose(incoming: Incoming) -> Reply:
    """First whether the link is good, then the hash, then both at once."""
    form = await forms.received(incoming)
    token, chosen = (form.get("token") or "")[:TOKEN_LIMIT], form.get("password") or ""
    store, incoming.actor = incoming.runtime.store, "reset"
    try:
        user: User = await run(PASSWORD_RESET, password.Reset(token), store, lambda user: user, incoming.context)
        acceptable(incoming.runtime, chosen, user)
        request = password.Reset(token, await hashed(incoming.runtime, chosen))
        await run(PASSWORD_RESET, request, store, lambda _: None, incoming.context)
    except password.LinkOver as refusal:
        return refuse(refusal, incoming, lambda refusal, incoming: _form(incoming, "", refusal))
    except (Unprocessable, TemporarilyUnavailable) as refusal:
        return refuse(refusal, incoming, lambda refusal, incoming: _form(incoming, token, refusal))
    return _form(incoming, done="changed")


async def ask(incoming: Incoming) -> Reply:
    """Counted like attempts to sign in; the rest is done behind the answer, so that its time says nothing."""
    form = await forms.received(incoming)
    runtime, username = incoming.runtime, (form.get("username") or "")[:200]
    if runtime.mail is None:
        raise NotFound("no letters are sent here", reason="path_unknown")
    attempt = sign_in.attempt(username, incoming.address, "reset")
    account, network = f"reset\x00{attempt.account}", f"reset\x00{attempt.network}"
    counted = Attempt(account, attempt.place, network, account)
    step = partial(attempts.admit, attempt=counted, username="", now=runtime.store.now())
    admitted = await runtime.store.consume(step)
    if admitted.wait:
        raise SlowDown("too many letters were asked for", fields=(("retry_after", str(admitted.wait)),))
    incoming.actor = "reset"
    task = asyncio.create_task(_send(incoming, username, language.of(incoming)))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return _form(incoming, done="asked")


async def _send(incoming: Incoming, username: str, say: language.Speech) -> None:
    """A link for a user who has an address, and nothing for anybody else. The request was answered before."""
    deadline.begin(math.inf)
    runtime = incoming.runtime
    try:
        offered = await run(RESET_LINK, password.Ask(username), runtime.store, lambda reply: reply, incoming.context)
        if offered is None or runtime.mail is None:
            return
        text = say("Somebody asked for a new password for %(name)s.", name=offered.name)
        more = say("Open this link within 30 minutes to choose one:")
        rest = say("If it was not you, do nothing: your password stays as it is.")
        subject = say("A new password for %(brand)s", brand=runtime.brand.name)
        await runtime.mail.send(offered.email, subject, f"{text}\n\n{more}\n{offered.link}\n\n{rest}\n")
    except (Refusal, Unavailable, OSError, smtplib.SMTPException) as fault:
        log.error("a link to reset a password was not sent: %s", type(fault).__name__)
