"""What everyone may read: metadata (RFC 8414 §3, OpenID Connect Discovery §4) and keys (RFC 7517 §5), with an ETag."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Connection
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import ENDPOINTS, GRANT_TYPES
from doorward.protocol import metadata
from doorward.store import signing_keys
from doorward.store.memory import Reader
from doorward.store.writer import Unavailable
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, JSON, Headers, Reply, compact, preflight, send_reply
from doorward.web.runtime import Runtime

Document = Callable[[], Awaitable[bytes]]
Find = Callable[[Connection, str], signing_keys.SigningKeys]
# Who has an answer at hand waits no longer for a better one.
PATIENCE = 0.3


def published(runtime: Runtime) -> dict[str, Keys]:
    return {
        "/.well-known/jwks.json": Keys(runtime, signing_keys.published),
        "/revocations/jwks": Keys(runtime, signing_keys.of_feed),
        "/assertions/jwks": Keys(runtime, signing_keys.of_assertions),
    }


def applications(runtime: Runtime, keys: Mapping[str, Document]) -> dict[str, ASGIApp]:
    issuer = runtime.policy.issuer
    described = compact(metadata.document(issuer, GRANT_TYPES, ENDPOINTS))

    async def server_metadata() -> bytes:
        return described

    return {
        "/.well-known/oauth-authorization-server": _public(runtime, server_metadata),
        "/.well-known/openid-configuration": _public(runtime, server_metadata),
        **{path: _public(runtime, document) for path, document in keys.items()},
    }


class Keys:
    """Memory answers when nothing changed; a key that was withdrawn is gone at once.

    While the database is silent, what was answered last is answered again, for as long as whoever asked then may keep
    it: who checks tokens by himself notices nothing (F7).
    """

    def __init__(self, runtime: Runtime, find: Find) -> None:
        self._runtime, self._find = runtime, find
        self._known, self._known_at = b"", -math.inf

    async def __call__(self) -> bytes:
        asked_at = time.monotonic()
        is_of_use = asked_at - self._known_at < self._runtime.policy.jwks_max_age
        try:
            async with asyncio.timeout(PATIENCE if is_of_use else None):
                gathered = await self._runtime.store.gather(_published, self._find)
        except (Unavailable, TimeoutError):
            if not is_of_use:
                raise
            return self._known
        self._known, self._known_at = compact({"keys": gathered.facts}), asked_at
        return self._known


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
