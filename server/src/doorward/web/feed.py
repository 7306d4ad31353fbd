"""How a service hears of a revocation: the log as a snapshot, by long-poll, or as a stream of server-sent events.

GET /revocations/stream     authorization: Basic ...     last-event-id: 1:1000

id: 1:1042
event: entry
data: {"pos": "1:1042", "prev": "1:1000", "kind": "token", "value": "...", "effect": "dead", "exp": 1795559999}

event: heartbeat
data: eyJ0eXAiOiJmZWVkK2p3dCIs...
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import FEED
from doorward.exchange import run
from doorward.protocol import feed
from doorward.protocol.feed import Request
from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import Placed, chain
from doorward.protocol.verifier import VerifierFacts
from doorward.store import revocation_log
from doorward.web.fan_out import Stream, events
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import JSON, NO_STORE, NOSNIFF, Reply, compact, send_reply
from doorward.web.runtime import Runtime

LOG, STREAM = "/revocations", "/revocations/stream"
# Proxies that gather an answer before they pass it on would make the feed late.
UNBUFFERED = (b"x-accel-buffering", b"no")
EVENTS = (b"content-type", b"text/event-stream")


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    async def log(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            reply = await _log(incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        runtime.metrics.answered(LOG, reply.status)
        await send_reply(send, reply, incoming)

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            joined = await _joined(incoming)
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
            runtime.metrics.answered(STREAM, reply.status)
            await send_reply(send, reply, incoming)
        else:
            runtime.metrics.answered(STREAM, 200)
            await _pour(joined, incoming, receive, send)

    return {LOG: log, STREAM: stream}


async def _verifier(incoming: Incoming, request: Request) -> VerifierFacts:
    incoming.actor = request.credentials.client_id
    store = incoming.runtime.store
    facts: VerifierFacts = await run(FEED[incoming.path], request, store, lambda facts: facts, incoming.context)
    return facts


async def _log(incoming: Incoming) -> Reply:
    incoming.allow("GET")
    request = FEED[LOG].parse(incoming.all(b"authorization"), incoming.query())
    verifier = await _verifier(incoming, request)
    if request.since is not None:
        return await _poll(incoming, request, verifier, request.since)
    query = partial(revocation_log.live, api_id=verifier.api.id, now=int(time.time()))
    head, entries = await incoming.runtime.store.read(query)
    return _answer(head, entries, Position(head.epoch, 0))


def _answer(head: Position, entries: tuple[Placed, ...], last: Position) -> Reply:
    members, _ = chain(entries, last)
    return Reply(200, compact({"pos": str(head), "entries": members}), [JSON, NO_STORE])


async def _poll(incoming: Incoming, request: Request, verifier: VerifierFacts, since: Position) -> Reply:
    """What is behind `since`; when there is nothing, it is waited for."""
    loop, fan_out = asyncio.get_running_loop(), incoming.runtime.fan_out
    deadline = loop.time() + request.wait
    while True:
        found = await _behind(incoming, verifier, since)
        stream = Stream(verifier, since, found.head, beats=False)
        if found.entries or loop.time() >= deadline:
            return _answer(found.head, found.entries, since)
        if not fan_out.join(stream):
            continue
        try:
            async with asyncio.timeout_at(deadline):
                await stream.next()
        except TimeoutError:
            pass
        finally:
            fan_out.leave(stream)
        # It may have been woken by the verifier's own end, or by the server's.
        verifier = await _verifier(incoming, request)
        if fan_out.closed:
            deadline = loop.time()


async def _behind(incoming: Incoming, verifier: VerifierFacts, since: Position) -> revocation_log.Behind:
    """Raises Gone when something of it may be missing."""
    query = partial(revocation_log.behind, api_id=verifier.api.id, since=since)
    found = await incoming.runtime.store.read(query)
    feed.follow(since, found.head, found.moved_on_at, int(time.time()))
    return found


async def _joined(incoming: Incoming) -> Stream:
    """A stream that has what was behind its position, and misses nothing from then on."""
    incoming.allow("GET")
    request = FEED[STREAM].parse(incoming.all(b"authorization"), incoming.query(), incoming.one(b"last-event-id"))
    verifier = await _verifier(incoming, request)
    last = floor = request.since
    chunks = []
    while True:
        found = await _behind(incoming, verifier, floor)
        chunk, last = events(found.entries, last)
        chunks.append(chunk)
        incoming.runtime.metrics.told("entry", len(found.entries))
        floor = found.head
        stream = Stream(verifier, last, floor, beats=True)
        if any(chunks):
            stream.put(b"".join(chunks))
        if incoming.runtime.fan_out.join(stream):
            return stream


async def _pour(stream: Stream, incoming: Incoming, receive: Receive, send: Send) -> None:
    """Until one of both ends it."""
    watching = asyncio.create_task(_end_with_client(stream, receive))
    headers = [EVENTS, NO_STORE, UNBUFFERED, NOSNIFF, (b"x-request-id", incoming.request_id.encode())]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not stream.ended:
            if chunk := await stream.next():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        watching.cancel()
        incoming.runtime.fan_out.leave(stream)


async def _end_with_client(stream: Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()
