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
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ROUTES, administered
from doorward.exchange import run
from doorward.protocol import administration, credential, key_check
from doorward.protocol.admin import Asked
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.credential import ApiKeyFacts
from doorward.protocol.key_check import Checked, CheckKey, KeyCheckObject, KeyChecksObject
from doorward.store import admin_keys, api_keys
from doorward.web import slow_keys
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import Reply, send_reply
from doorward.web.responses import rendered
from doorward.web.runtime import Runtime
from doorward.web.warm import Facts, Warm, digest

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
        if known is None:
            return await render(runtime, await decide(incoming, question))
        incoming.actor = known.actor
        return await render(runtime, known.checked)

    async def decide(incoming: Incoming, question: bytes) -> Any:
        who = administration.presented(incoming.all(b"authorization"), incoming.address, runtime.policy.brand)
        incoming.actor = who.secret_id
        try:
            document, _ = await incoming.document()
            asked = Asked(body.validate_json(document, strict=True))
        except REFUSED:
            await admit(incoming, None, route.scope)
            raise
        before = _facts(warm, who, asked.body, runtime.policy.brand)
        ask = partial(run, exchange, administration.Request(who, asked), runtime.store, _as_it_is, incoming.context)
        checked = await slow_keys.answered(incoming, slow_keys.checked(asked.body), ask)
        if len(before) == 2 and key_check.holds(checked):
            warm.keep(question, Settled(incoming.actor, checked), before, _until(before))
        return checked

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


class Settled(NamedTuple):
    """A decision that is made already, and in whose name the question was asked."""

    actor: str
    checked: Checked


def _facts(warm: Warm[Settled], who: administration.Presented, body: Any, brand: str) -> Facts:
    """The admin key and the api key, where they are in memory; of several keys nothing is kept."""
    if not isinstance(body, CheckKey):
        return ()
    about = credential.presented(body.key, brand)
    return warm.facts((admin_keys.by_secret_id, who.secret_id), (api_keys.by_secret_id, about.id))


def _until(facts: Facts) -> int | None:
    """The second at which one of them ends by itself."""
    (_, admin), (_, known) = facts
    assert isinstance(admin, AdminKeyFacts)
    assert isinstance(known, ApiKeyFacts)
    ends = (admin.admin_key.expires_at, credential.ends_at(known))
    return min((at for at in ends if at is not None), default=None)


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
    shown = key_check.settled(checked, await runtime.limiter.admit(checked.charges))
    runtime.metrics.checked("api_key", shown.reason or "active")
    runtime.store.count(key_check.counted(checked, shown.reason, runtime.store.now()))
    return shown


RENDER: Mapping[str, Render] = {"/keys/verify": _one, "/keys/verify/batch": _batch}
