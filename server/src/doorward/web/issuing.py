"""The token endpoint (RFC 6749 §3.2) as plain ASGI. Who asks in the very same words again is not looked at anew.

POST /oauth/token
authorization: Basic base64(client_id ":" client_secret)
grant_type=client_credentials&scope=invoices:read

Browsers of any origin may get tokens (T182). What was asked is kept as a digest; no secret stays here.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import NamedTuple

from starlette.types import ASGIApp

from doorward.app import AGAIN, GRANT_TYPES
from doorward.exchange import run
from doorward.protocol import client_authentication, id_token
from doorward.protocol.refusal import UnsupportedGrantType
from doorward.protocol.token import IdToken, Terms, TokenResponse
from doorward.web.endpoint import endpoint
from doorward.web.incoming import Incoming
from doorward.web.replies import JSON, NO_STORE, Reply, compact
from doorward.web.runtime import Runtime
from doorward.web.warm import LIMIT, digest

PATH = "/oauth/token"
_MEMBERS = b'{"access_token":"%b","token_type":"Bearer","expires_in":%d,"scope":%b'
log = logging.getLogger("doorward.oauth")


class Issued(NamedTuple):
    """`terms` are there where the very same request would get the next token by them."""

    reply: Reply
    terms: Terms | None


def application(runtime: Runtime) -> ASGIApp:
    kept: dict[bytes, Terms] = {}

    async def answer(incoming: Incoming) -> Reply:
        if incoming.scope["query_string"]:
            return (await _decided(incoming)).reply
        asked = digest(incoming, await incoming.body())
        known = kept.get(asked)
        reply = None if known is None else await _again(incoming, known)
        if reply is None:
            reply, terms = await _decided(incoming)
            _keep(kept, asked, terms)
        return reply

    return endpoint(runtime, PATH, answer, any_origin=True)


async def _decided(incoming: Incoming) -> Issued:
    form = await incoming.form()
    credentials = client_authentication.parse(incoming.all(b"authorization"), form, incoming.query())
    incoming.actor = credentials.client_id
    exchange = GRANT_TYPES.get(form.required("grant_type"))
    if exchange is None:
        raise UnsupportedGrantType("the grant type is not offered")
    request, runtime = exchange.parse(credentials, form), incoming.runtime

    def render(response: TokenResponse) -> Issued:
        return Issued(_rendered(response, runtime), response.terms)

    return await run(exchange, request, runtime.store, render, incoming.context)


async def _again(incoming: Incoming, known: Terms) -> Reply | None:
    """None when it has to be decided anew. Whose terms these are was authenticated by the very same words."""
    runtime = incoming.runtime

    def render(response: TokenResponse | None) -> Reply | None:
        return None if response is None else _rendered(response, runtime)

    incoming.actor = known.client.client.id
    return await run(AGAIN, known, runtime.store, render, incoming.context)


def _keep(kept: dict[bytes, Terms], asked: bytes, terms: Terms | None) -> None:
    kept.pop(asked, None)
    if terms is not None:
        if len(kept) >= LIMIT:
            del kept[next(iter(kept))]
        kept[asked] = terms


def _rendered(response: TokenResponse, runtime: Runtime) -> Reply:
    """RFC 6749 §5.1."""
    text = response.token
    if text is None:
        assert response.signing_key is not None
        text = runtime.signer.jwt(response.claims, response.stamp, response.signing_key)
        if len(text) > runtime.policy.token_size_warning:
            _warn_of_size(str(response.claims["aud"]))
    more = {} if response.refresh_token is None else {"refresh_token": response.refresh_token}
    if response.id_token is not None:
        more["id_token"] = _id_token(response.id_token, text, runtime)
    body = _MEMBERS % (text.encode("ascii"), response.expires_in, compact(response.scope))
    body += b"," + compact(more)[1:] if more else b"}"
    return Reply(200, body, [JSON, NO_STORE])


def _id_token(issued: IdToken, access_token: str, runtime: Runtime) -> str:
    return runtime.signer.id_token(id_token.bound(issued, access_token), issued.signing_key)


@lru_cache(maxsize=1000)
def _warn_of_size(audience: str) -> None:
    """Once for each api: a token travels with every request, and some proxies take only so much (decision 19b)."""
    log.warning("tokens for %s are larger than 1 KiB: map fewer or smaller metadata into its claims", audience)
