"""`/v1/keys/verify` as plain ASGI: services that use no verifier ask it for every request of theirs (decision 31).

POST /v1/keys/verify          {"key": "dw_live_...", "scope": "invoices:read"}
POST /v1/keys/verify/batch    {"keys": [{"key": "dw_live_..."}, ...]}
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ROUTES, administered
from doorward.exchange import run
from doorward.protocol import administration, key_check
from doorward.protocol.admin import Asked
from doorward.protocol.key_check import Checked, KeyCheckObject, KeyChecksObject
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import Reply, compact, send_reply
from doorward.web.responses import rendered
from doorward.web.runtime import Runtime

Render = Callable[[Runtime, Any], Awaitable[Reply]]


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    return {f"/v1{path}": _application(runtime, path, render) for path, render in RENDER.items()}


def _application(runtime: Runtime, path: str, render: Render) -> ASGIApp:
    route = next(route for route in ROUTES if route.path == path)
    exchange, body = administered(route), TypeAdapter[Any](route.body)

    async def answer(incoming: Incoming) -> Reply:
        brand = runtime.policy.brand
        who = administration.presented(incoming.all(b"authorization"), incoming.address, brand)
        incoming.actor = who.secret_id
        try:
            asked = Asked(body.validate_json(compact(await incoming.json()), strict=True))
        except REFUSED:
            await admit(incoming, None, route.scope)
            raise
        request = administration.Request(who, asked)
        return await render(runtime, await run(exchange, request, runtime.store, _as_it_is, incoming.context))

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
    return shown


RENDER: Mapping[str, Render] = {"/keys/verify": _one, "/keys/verify/batch": _batch}
