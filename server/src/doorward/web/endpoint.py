"""The shell of a protocol endpoint that programs post to: OPTIONS for browsers, refusals in OAuth's words, and counted.

endpoint(runtime, "/oauth/token", answer, any_origin=True)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, Reply, preflight, send_reply
from doorward.web.runtime import Runtime

Answer = Callable[[Incoming], Awaitable[Reply]]


def endpoint(runtime: Runtime, path: str, answer: Answer, *, any_origin: bool) -> ASGIApp:
    """Plain ASGI, since it is on the hot paths. `any_origin`: browsers may ask from any page (T182)."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        if any_origin and incoming.method == "OPTIONS":
            await send_reply(send, preflight("POST"), incoming)
            return
        try:
            incoming.allow("POST")
            reply = await answer(incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        if any_origin:
            reply.headers.append(ANY_ORIGIN)
        runtime.metrics.answered(path, reply.status)
        await send_reply(send, reply, incoming)

    return application
