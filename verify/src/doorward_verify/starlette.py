"""Guard for Starlette: decorates an endpoint, a function or a method, of a request or of a WebSocket.

@guard("invoices:read")
async def invoices(request): ...    request.state.verified is what was proved
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, Unpack

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from doorward_verify import asgi, asgi_request, credential
from doorward_verify.challenge import Answer
from doorward_verify.needs import Needs, Wanted

Endpoint = Callable[..., Any]


class Guard(asgi.Guard):
    def __call__(self, *scope: str, **wanted: Unpack[Wanted]) -> Callable[[Endpoint], Endpoint]:
        needs = Needs.of(*scope, **wanted)

        def decorate(endpoint: Endpoint) -> Endpoint:
            run = endpoint if iscoroutinefunction(endpoint) else partial(run_in_threadpool, endpoint)

            @wraps(endpoint)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                connection = next(arg for arg in args if isinstance(arg, HTTPConnection))
                scope = connection.scope
                keys = await asgi_request.keys_in(connection) if self.reads_body else ()
                address, query = asgi_request.address(scope), scope["query_string"]
                found = await self.acheck(scope["headers"], needs, address, query, keys, scope)
                if isinstance(found, Answer):
                    return await _refuse(connection, asgi.Reply(found))
                connection.state.verified = found
                return _unkept(scope, await run(*args, **kwargs))

            return guarded

        return decorate


def _unkept(scope: Any, response: Any) -> Any:
    """Of a WebSocket there is no response."""
    if response is not None and credential.in_query(scope["query_string"]):
        response.headers.update(credential.OF_EXPOSED)
    return response


async def _refuse(connection: HTTPConnection, reply: asgi.Reply) -> asgi.Reply | None:
    """Starlette sends what a request's endpoint returns; a WebSocket's endpoint sends for itself."""
    if not isinstance(connection, WebSocket):
        return reply
    await reply(connection.scope, connection.receive, connection.send)
    return None
