"""`/oauth/revoke` (RFC 7009) as plain ASGI. Browsers of any origin may revoke tokens (T182).

POST /oauth/revoke          token=dw_live_...
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ENDPOINTS
from doorward.exchange import run
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, JSON, NO_STORE, Reply, preflight, send_reply
from doorward.web.runtime import Runtime

PATH = "/oauth/revoke"
EXCHANGE = ENDPOINTS[PATH]


def application(runtime: Runtime) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        if incoming.method == "OPTIONS":
            await send_reply(send, preflight("POST"), incoming)
            return
        try:
            incoming.allow("POST")
            reply = await _revoked(incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        reply.headers.append(ANY_ORIGIN)
        runtime.metrics.answered(PATH, reply.status)
        await send_reply(send, reply, incoming)

    return application


async def _revoked(incoming: Incoming) -> Reply:
    form, runtime = await incoming.form(), incoming.runtime
    request = EXCHANGE.parse(incoming.all(b"authorization"), form, incoming.query(), runtime.policy.brand)
    incoming.actor = request.credentials.client_id
    return await run(EXCHANGE, request, runtime.store, lambda _: Reply(200, b"{}", [JSON, NO_STORE]), incoming.context)
