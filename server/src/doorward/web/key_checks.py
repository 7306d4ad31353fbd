"""`/v1/keys/verify` as plain ASGI: services that use no verifier ask it for every request of theirs (decision 31).

POST /v1/keys/verify    {"key": "dw_live_...", "scope": "invoices:read"}
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ROUTES, administered
from doorward.exchange import run
from doorward.protocol import administration
from doorward.protocol.admin import Asked
from doorward.protocol.key_check import KeyCheckObject
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import Reply, compact, send_reply
from doorward.web.responses import rendered
from doorward.web.runtime import Runtime

PATH = "/keys/verify"


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    route = next(route for route in ROUTES if route.path == PATH)
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

        def render(reply: KeyCheckObject) -> Reply:
            runtime.metrics.checked("api_key", reply.reason or "active")
            return rendered(reply, 200)

        return await run(exchange, administration.Request(who, asked), runtime.store, render, incoming.context)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            incoming.allow("POST")
            reply = await answer(incoming)
        except REFUSED as fault:
            reply = refuse(fault, incoming)
        runtime.metrics.answered("/v1", reply.status)
        await send_reply(send, reply, incoming)

    return {f"/v1{PATH}": application}
