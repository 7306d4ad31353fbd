"""What everyone may read: metadata (RFC 8414 §3, OpenID Connect Discovery §4) and keys (RFC 7517 §5), with an ETag."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ENDPOINTS, GRANT_TYPES
from doorward.protocol import metadata
from doorward.store import signing_keys
from doorward.store.memory import Reader
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, JSON, Headers, Reply, compact, preflight, send_reply
from doorward.web.runtime import Runtime

Document = Callable[[], Awaitable[bytes]]
Find = Callable[[Connection, str], signing_keys.SigningKeys]


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    issuer = runtime.policy.issuer
    described = compact(metadata.document(issuer, GRANT_TYPES, ENDPOINTS))

    async def server_metadata() -> bytes:
        return described

    async def jwks() -> bytes:
        """Memory answers when nothing changed; a key that was withdrawn is gone at once."""
        gathered = await runtime.store.gather(_published, signing_keys.published)
        return compact({"keys": gathered.facts})

    async def feed_jwks() -> bytes:
        gathered = await runtime.store.gather(_published, signing_keys.of_feed)
        return compact({"keys": gathered.facts})

    async def assertion_jwks() -> bytes:
        gathered = await runtime.store.gather(_published, signing_keys.of_assertions)
        return compact({"keys": gathered.facts})

    return {
        "/.well-known/oauth-authorization-server": _public(runtime, server_metadata),
        "/.well-known/openid-configuration": _public(runtime, server_metadata),
        "/.well-known/jwks.json": _public(runtime, jwks),
        "/revocations/jwks": _public(runtime, feed_jwks),
        "/assertions/jwks": _public(runtime, assertion_jwks),
    }


def _published(read: Reader, find: Find) -> list[dict[str, object]]:
    found = read(find, "all")
    return [] if found is None else [dict(key.public_jwk) for key in found.keys]


def _public(runtime: Runtime, document: Document) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        if incoming.method == "OPTIONS":
            await send_reply(send, preflight("GET", "HEAD"), incoming)
            return
        try:
            incoming.allow("GET", "HEAD")
            reply = _cacheable(await document(), incoming, runtime.policy.jwks_max_age)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        runtime.metrics.answered(incoming.path, reply.status)
        await send_reply(send, reply, incoming)

    return application


def _cacheable(body: bytes, incoming: Incoming, max_age: int) -> Reply:
    """Verifiers keep keys for so long: a key is published for longer before it signs."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    headers: Headers = [(b"cache-control", b"public, max-age=%d" % max_age), ANY_ORIGIN, (b"etag", tag)]
    if is_known(tag, incoming.all(b"if-none-match")):
        return Reply(304, b"", headers)
    return Reply(200, body, [JSON, *headers])


def is_known(tag: bytes, given: list[bytes]) -> bool:
    """RFC 9110 §13.1.2: a list or `*`, compared weakly; our own tags hold no comma."""
    known = [one.strip().removeprefix(b"W/") for value in given for one in value.split(b",")]
    return tag in known or known == [b"*"]
