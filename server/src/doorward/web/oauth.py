"""The protocol endpoints: token (RFC 6749 §3.2) and revocation (RFC 7009), as plain ASGI.

They are the hot paths, so nothing stands between the server and them but one dictionary of paths.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ENDPOINTS, GRANT_TYPES
from doorward.exchange import run
from doorward.protocol import client_authentication, id_token
from doorward.protocol.form import Form
from doorward.protocol.refusal import UnsupportedGrantType
from doorward.protocol.token import IdToken, TokenResponse
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, JSON, NO_STORE, Reply, compact, preflight, send_reply
from doorward.web.runtime import Runtime

log = logging.getLogger("doorward.oauth")
Answer = Callable[[Incoming, Form], Awaitable[Reply]]


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    """Each path with what answers it. Browsers of any origin may get and revoke tokens (T182)."""
    return {
        "/oauth/token": _endpoint(runtime, _token, ANY_ORIGIN),
        "/oauth/revoke": _endpoint(runtime, _revoke, ANY_ORIGIN),
    }


def _endpoint(runtime: Runtime, answer: Answer, origin: tuple[bytes, bytes]) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        if incoming.method == "OPTIONS":
            await send_reply(send, preflight("POST"), incoming)
            return
        try:
            incoming.allow("POST")
            reply = await answer(incoming, await incoming.form())
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        reply.headers.append(origin)
        runtime.metrics.answered(incoming.path, reply.status)
        await send_reply(send, reply, incoming)

    return application


async def _token(incoming: Incoming, form: Form) -> Reply:
    credentials = client_authentication.parse(incoming.all(b"authorization"), form, incoming.query())
    incoming.actor = credentials.client_id
    exchange = GRANT_TYPES.get(form.required("grant_type"))
    if exchange is None:
        raise UnsupportedGrantType("the grant type is not offered")
    request = exchange.parse(credentials, form)

    def render(response: TokenResponse) -> Reply:
        return Reply(200, compact(_token_members(response, incoming.runtime)), [JSON, NO_STORE])

    return await run(exchange, request, incoming.runtime.store, render, incoming.context)


def _token_members(response: TokenResponse, runtime: Runtime) -> dict[str, Any]:
    text = response.token
    if text is None:
        assert response.signing_key is not None
        text = runtime.signer.jwt(response.claims, response.stamp, response.signing_key)
        if len(text) > runtime.policy.token_size_warning:
            _warn_of_size(str(response.claims["aud"]))
    return {
        "access_token": text,
        "token_type": "Bearer",
        "expires_in": response.expires_in,
        "scope": response.scope,
        **({} if response.refresh_token is None else {"refresh_token": response.refresh_token}),
        **({} if response.id_token is None else {"id_token": _id_token(response.id_token, text, runtime)}),
    }


def _id_token(issued: IdToken, access_token: str, runtime: Runtime) -> str:
    return runtime.signer.id_token(id_token.bound(issued, access_token), issued.signing_key)


async def _revoke(incoming: Incoming, form: Form) -> Reply:
    exchange = ENDPOINTS["/oauth/revoke"]
    runtime = incoming.runtime
    request = exchange.parse(incoming.all(b"authorization"), form, incoming.query(), runtime.policy.brand)
    incoming.actor = request.credentials.client_id
    return await run(exchange, request, runtime.store, lambda _: Reply(200, b"{}", [JSON, NO_STORE]), incoming.context)


@lru_cache(maxsize=1000)
def _warn_of_size(audience: str) -> None:
    """Once for each api: a token travels with every request, and some proxies take only so much (decision 19b)."""
    log.warning("tokens for %s are larger than 1 KiB: map fewer or smaller metadata into its claims", audience)
