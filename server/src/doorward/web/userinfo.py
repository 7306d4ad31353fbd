"""`/oauth/userinfo` as plain ASGI (OpenID Connect Core §5.3); browsers of any origin may ask, without cookies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ENDPOINTS
from doorward.exchange import run
from doorward.protocol.form import Form
from doorward.web.incoming import FORM, Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, JSON, NO_STORE, Reply, compact, preflight, send_reply
from doorward.web.runtime import Runtime

PATH = "/oauth/userinfo"
NO_FORM = Form({})


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        if incoming.method == "OPTIONS":
            await send_reply(send, preflight("GET", "POST"), incoming)
            return
        try:
            incoming.allow("GET", "POST")
            reply = await _answer(incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        reply.headers.append(ANY_ORIGIN)
        runtime.metrics.answered(incoming.path, reply.status)
        await send_reply(send, reply, incoming)

    return {PATH: application}


async def _answer(incoming: Incoming) -> Reply:
    exchange, runtime = ENDPOINTS[PATH], incoming.runtime
    authorization, form = incoming.all(b"authorization"), await _form(incoming)
    request = exchange.parse(authorization, form, incoming.query(), runtime.policy.brand)

    def render(told: Mapping[str, Any]) -> Reply:
        return Reply(200, compact(told), [JSON, NO_STORE])

    return await run(exchange, request, runtime.store, render, incoming.context)


async def _form(incoming: Incoming) -> Form:
    """Of a POST that has one: the token may stand in the header, and the body be empty (§5.3.1)."""
    kind = incoming.one(b"content-type") or b""
    has_one = incoming.method == "POST" and kind.partition(b";")[0].strip().lower() == FORM
    return await incoming.form() if has_one else NO_FORM
