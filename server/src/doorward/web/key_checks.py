"""`/v1/keys/verify` as plain ASGI: services that use no verifier ask it for every request of theirs (decision 31).

POST /v1/keys/verify          {"key": "dw_live_...", "scope": "invoices:read"}
POST /v1/keys/verify/batch    {"keys": [{"key": "dw_live_..."}, ...]}
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from pydantic_core import to_json
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ROUTES, administered
from doorward.exchange import Exchange, run
from doorward.protocol import admin_key, administration, key_check, limit
from doorward.protocol.admin import Asked
from doorward.protocol.key_check import Checked, KeyCheckObject, KeyChecksObject
from doorward.web import slow_keys
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import JSON, NO_STORE, Reply, compact, send_reply
from doorward.web.responses import rendered
from doorward.web.runtime import Runtime
from doorward.web.warm import Seen, Warm, digest

Render = Callable[[Runtime, Any], Awaitable[Reply]]


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    return {f"/v1{path}": _application(runtime, path, render) for path, render in RENDER.items()}


def _application(runtime: Runtime, path: str, render: Render) -> ASGIApp:
    route = next(route for route in ROUTES if route.path == path)
    exchange, body = administered(route), TypeAdapter[Any](route.body)
    warm: Warm[Settled] = Warm(runtime.store)

    async def answer(incoming: Incoming) -> Reply:
        question = digest(incoming, await incoming.body())
        known = warm.recall(question)
        if known is not None:
            incoming.actor = known.actor
            return await _again(runtime, known)
        seen: Seen[administration.Facts] = Seen()
        checked = await _decided(incoming, route.scope, body, seen.watching(exchange))
        until = _until(checked, seen.found, runtime.store.now())
        if until is not None:
            warm.keep(question, Settled(incoming.actor, checked, _words(checked)), seen, until)
        return await render(runtime, checked)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            incoming.allow("POST")
            reply = await answer(incoming)
        except REFUSED as fault:
            reply = refuse(fault, incoming)
        runtime.metrics.answered("/v1", reply.status)
        await send_reply(send, reply, incoming)

    return application


async def _decided(incoming: Incoming, scope: str, body: TypeAdapter[Any], exchange: Exchange[Any, Any, Any]) -> Any:
    runtime = incoming.runtime
    who = administration.presented(incoming.all(b"authorization"), incoming.address, runtime.policy.brand)
    incoming.actor = who.secret_id
    try:
        document, _ = await incoming.document()
        asked = Asked(body.validate_json(document, strict=True))
    except REFUSED:
        await admit(incoming, None, scope)
        raise
    ask = partial(run, exchange, administration.Request(who, asked), runtime.store, _as_it_is, incoming.context)
    return await slow_keys.answered(incoming, slow_keys.checked(asked.body), ask)


class Settled(NamedTuple):
    """A decision that is made already, in whose name the question was asked, and the words around its limits."""

    actor: str
    checked: Checked
    words: tuple[bytes, bytes]


def _until(checked: Any, facts: administration.Facts | None, now: int) -> int | None:
    """The second at which the admin key or the api key ends by itself; of several keys nothing is kept."""
    if not isinstance(checked, Checked) or not checked.shown.active or facts is None or facts.admin_key is None:
        return None
    return min(admin_key.ends_at(facts.admin_key), key_check.ends_at(checked, facts.decided_on, now))


NO_LIMITS = b'"limits":[]'


def _words(checked: Checked) -> tuple[bytes, bytes]:
    """Of a good key's answer. Within a member's text a quotation mark is escaped, so that this is none of one."""
    before, _, after = to_json(checked.shown).partition(NO_LIMITS)
    return before, after


async def _again(runtime: Runtime, known: Settled) -> Reply:
    """Nothing but the limits of a good key is told otherwise each time, while they are not used up."""
    checked, limits = known.checked, NO_LIMITS
    if checked.charges:
        admission = await runtime.limiter.admit(checked.charges)
        if admission.refused:
            return rendered(_counted(runtime, key_check.settled(checked, admission), checked), 200)
        limits = b'"limits":' + compact(list(map(limit.told, admission.states)))
    _counted(runtime, checked.shown, checked)
    return Reply(200, limits.join(known.words), [JSON, NO_STORE])


def _as_it_is(checked: Any) -> Any:
    return checked


async def _one(runtime: Runtime, checked: Checked) -> Reply:
    return rendered(await _settled(runtime, checked), 200)


async def _batch(runtime: Runtime, checked: Sequence[Checked]) -> Reply:
    """At once: what they cost is counted in one transaction."""
    results = await asyncio.gather(*(_settled(runtime, one) for one in checked))
    return rendered(KeyChecksObject(results), 200)


async def _settled(runtime: Runtime, checked: Checked) -> KeyCheckObject:
    """A good key takes of its limits, once it is known to be good: what is refused costs nothing."""
    admission = await runtime.limiter.admit(checked.charges)
    return _counted(runtime, key_check.settled(checked, admission), checked)


def _counted(runtime: Runtime, shown: KeyCheckObject, checked: Checked) -> KeyCheckObject:
    runtime.metrics.checked("api_key", shown.reason or "active")
    runtime.store.count(key_check.counted(checked, shown.reason, runtime.store.now()))
    return shown


RENDER: Mapping[str, Render] = {"/keys/verify": _one, "/keys/verify/batch": _batch}
