"""What everyone may read: metadata (RFC 8414 §3, OpenID Connect Discovery §4) and keys (RFC 7517 §5), with an ETag."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

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

Document = Callable[[], Awaitable["Published"]]
Find = Callable[[Connection, str], signing_keys.SigningKeys]
# Who has an answer at hand waits no longer for a better one.
PATIENCE = 0.3


class Published(NamedTuple):
    """The bytes of a document, and the header fields that it is sent with."""

    body: bytes
    tag: bytes
    headers: Headers

    @classmethod
    def of(cls, document: Mapping[str, object], max_age: int) -> Published:
        """Verifiers keep keys for so long: a key is published for longer before it signs."""
        body = compact(document)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
        return cls(body, tag, [(b"cache-control", b"public, max-age=%d" % max_age), ANY_ORIGIN, (b"etag", tag)])


def published(runtime: Runtime) -> dict[str, Keys]:
    return {
        "/.well-known/jwks.json": Keys(runtime, signing_keys.published),
        "/revocations/jwks": Keys(runtime, signing_keys.of_feed),
        "/assertions/jwks": Keys(runtime, signing_keys.of_assertions),
    }


def applications(runtime: Runtime, keys: Mapping[str, Document]) -> dict[str, ASGIApp]:
    policy = runtime.policy
    described = Published.of(metadata.document(policy.issuer, GRANT_TYPES, ENDPOINTS), policy.jwks_max_age)

    async def server_metadata() -> Published:
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
        self._known, self._known_at = _NOTHING, -math.inf
        self._made_of: signing_keys.SigningKeys | None = None

    async def __call__(self) -> Published:
        store, asked_at, max_age = self._runtime.store, time.monotonic(), self._runtime.policy.jwks_max_age
        at_hand = store.memory.recall((self._find, "all")) if store.is_fresh else None
        if at_hand is not None and at_hand[0] is self._made_of:
            self._known_at = asked_at
            return self._known
        is_of_use = asked_at - self._known_at < max_age
        try:
            async with asyncio.timeout(PATIENCE if is_of_use else None):
                gathered = await store.gather(_published, self._find)
        except (Unavailable, TimeoutError):
            if not is_of_use:
                raise
            return self._known
        found = gathered.facts
        if found is None or found is not self._made_of:
            keys = () if found is None else found.keys
            self._known = Published.of({"keys": [dict(key.public_jwk) for key in keys]}, max_age)
            self._made_of = found
        self._known_at = asked_at
        return self._known


_NOTHING = Published(b"", b"", [])


def _published(read: Reader, find: Find) -> signing_keys.SigningKeys | None:
    return read(find, "all")


def _public(runtime: Runtime, document: Document) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        if incoming.method == "OPTIONS":
            await send_reply(send, preflight("GET", "HEAD"), incoming)
            return
        try:
            incoming.allow("GET", "HEAD")
            reply = _cacheable(await document(), incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        runtime.metrics.answered(incoming.path, reply.status)
        await send_reply(send, reply, incoming)

    return application


def _cacheable(document: Published, incoming: Incoming) -> Reply:
    if is_known(document.tag, incoming.all(b"if-none-match")):
        return Reply(304, b"", [*document.headers])
    return Reply(200, document.body, [JSON, *document.headers])


def is_known(tag: bytes, given: list[bytes]) -> bool:
    """RFC 9110 §13.1.2: a list or `*`, compared weakly; our own tags hold no comma."""
    known = [one.strip().removeprefix(b"W/") for value in given for one in value.split(b",")]
    return tag in known or known == [b"*"]
