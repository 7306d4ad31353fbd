"""Status lists for everybody: which JWTs were ended, for verifiers that do not follow the feed.

GET /statuslists            -> {"status_lists": ["https://auth.example.com/statuslists/17", ...]}
GET /statuslists/17         -> eyJ0eXAiOiJzdGF0dXNsaXN0K2p3dCIs...

A list is built when it is asked for and something was ended since, or when its time is over; never twice a second.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward import deadline
from doorward.protocol import status_list
from doorward.protocol.entities import SigningKey
from doorward.protocol.moment import Position
from doorward.protocol.refusal import NotAcceptable, NotFound
from doorward.protocol.status_list import MEDIA_TYPE, PATH
from doorward.protocol.token import signing_key
from doorward.store import signing_keys, status_lists
from doorward.store.memory import Reader
from doorward.store.writer import Unavailable
from doorward.web.discovery import is_known
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import ANY_ORIGIN, JSON, Headers, Reply, compact, send_reply
from doorward.web.runtime import Runtime

BUILT_LIMIT = 64
# Nobody waits longer for a list that is being built.
LONGEST = 5.0
PAUSE = 0.5
UNKNOWN = "there is no such status list, or all its tokens have expired"
STATUS_LIST = (b"content-type", MEDIA_TYPE.encode())
VARY = (b"vary", b"accept-encoding")
GZIP = (b"content-encoding", b"gzip")

_ID = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Built:
    """A signed list, true as of `position`; `built_at` is monotonic, `issued_at` is what it says of itself."""

    position: Position
    kid: str
    issued_at: int
    built_at: float
    body: bytes
    gzipped: bytes


class StatusLists:
    """Lives on a worker's loop. What is built is kept for all who ask; those who ask at once wait for one build."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._store = runtime, runtime.store
        self._built: OrderedDict[int, Built] = OrderedDict()
        self._building: dict[int, asyncio.Task[Built]] = {}

    async def find(self, list_id: int) -> Built:
        """Raises NotFound. When the database does not answer, the last list serves for its time."""
        known = self._built.get(list_id)
        try:
            gathered = await self._store.gather(_signing_key, None)
            if known is not None and self._stands(known, gathered.facts, gathered.position):
                return known
            return await self._build_once(list_id, gathered.facts)
        except Unavailable:
            if known is None or self.left(known) <= 0:
                raise
            return known

    def left(self, built: Built) -> int:
        """For how many seconds it may still be given to anybody."""
        return built.issued_at + self._runtime.policy.status_list_max_age - self._store.now()

    def _stands(self, built: Built, key: SigningKey, position: Position) -> bool:
        if built.kid != key.id or self.left(built) <= 0:
            return False
        return built.position == position or time.monotonic() < built.built_at + PAUSE

    async def _build_once(self, list_id: int, key: SigningKey) -> Built:
        task = self._building.get(list_id)
        if task is None:
            task = self._building[list_id] = asyncio.create_task(self._renewed(list_id, key))
            task.add_done_callback(partial(self._is_built, list_id))
        try:
            async with asyncio.timeout(deadline.left(LONGEST)):
                return await asyncio.shield(task)
        except TimeoutError:
            raise Unavailable("the list was not made in time") from None

    def _is_built(self, list_id: int, task: asyncio.Task[Built]) -> None:
        del self._building[list_id]
        if task.cancelled() or task.exception():
            return
        self._built.pop(list_id, None)
        self._built[list_id] = task.result()
        if len(self._built) > BUILT_LIMIT:
            self._built.popitem(last=False)

    async def _renewed(self, list_id: int, key: SigningKey) -> Built:
        """For all who wait for it, however little is left to the first."""
        deadline.begin(math.inf)
        known = self._built.get(list_id)
        if known is not None and known.kid == key.id and self.left(known) > 0:
            position, moved = await self._store.read(partial(status_lists.has_moved, since=known.position))
            if not moved:
                return replace(known, position=position)
        return await self._made(list_id, key)

    async def _made(self, list_id: int, key: SigningKey) -> Built:
        now, built_at = self._store.now(), time.monotonic()
        listed = await self._store.read(partial(status_lists.read, list_id=list_id, now=now))
        if listed is None:
            raise NotFound(UNKNOWN)
        claims = status_list.claims(list_id, listed.lst, now, self._runtime.policy)
        body = self._runtime.signer.status_list(claims, key).encode()
        gzipped = await asyncio.to_thread(gzip.compress, body, mtime=0)
        return Built(listed.position, key.id, now, built_at, body, gzipped)


def _signing_key(read: Reader, request: None) -> SigningKey:  # noqa: ARG001  the runner's signature
    """Tokens of every algorithm name lists; every verifier of them has the key of this one too."""
    found = read(signing_keys.published, "all")
    return signing_key(() if found is None else found.keys, "ES256")


Answer = Callable[[Incoming], Awaitable[Reply]]


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    async def every(incoming: Incoming) -> Reply:
        found = await runtime.store.read(partial(status_lists.live, now=runtime.store.now()))
        document = compact(status_list.aggregation(runtime.policy.issuer, found))
        return _answer(document, [JSON], incoming, runtime.policy.status_list_max_age)

    return {PATH: _public(runtime, every)}


def mount(runtime: Runtime) -> Mount:
    """What stands below the path of all lists: each by its number."""
    lists = StatusLists(runtime)

    async def one(incoming: Incoming) -> Reply:
        if incoming.query().get("time") is not None:
            raise NotAcceptable("only the status of now is known")
        name = incoming.path.removeprefix(f"{PATH}/")
        if not _ID.fullmatch(name):
            raise NotFound(UNKNOWN)
        built = await lists.find(int(name))
        return _cached(built, incoming, lists.left(built))

    return Mount(PATH, _public(runtime, one))


def _public(runtime: Runtime, answer: Answer) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            incoming.allow("GET", "HEAD")
            reply = await answer(incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
            reply.headers.append(ANY_ORIGIN)
        runtime.metrics.answered(PATH, reply.status)
        await send_reply(send, reply, incoming)

    return application


def _cached(built: Built, incoming: Incoming, left: int) -> Reply:
    if _takes_gzip(incoming.all(b"accept-encoding")):
        return _answer(built.gzipped, [STATUS_LIST, GZIP, VARY], incoming, left)
    return _answer(built.body, [STATUS_LIST, VARY], incoming, left)


def _takes_gzip(given: list[bytes]) -> bool:
    """RFC 9110 §12.5.3: unless the coding is named with a weight of nothing."""
    for one in (part for value in given for part in value.lower().split(b",")):
        coding, _, weight = one.partition(b";")
        if coding.strip() in (b"gzip", b"x-gzip"):
            return re.fullmatch(rb"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def _answer(body: bytes, headers: Headers, incoming: Incoming, max_age: int) -> Reply:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    fields = [*headers, ANY_ORIGIN, (b"cache-control", b"public, max-age=%d" % max(max_age, 0)), (b"etag", tag)]
    if is_known(tag, incoming.all(b"if-none-match")):
        return Reply(304, b"", fields)
    return Reply(200, body, fields)
