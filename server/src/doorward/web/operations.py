"""For those who run the server: `/healthz` (the process lives), `/readyz` (it can answer), `/metrics` (admin key)."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.protocol.node import DRAINING
from doorward.store import journal
from doorward.store.writer import Unavailable
from doorward.web import metrics
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import JSON, NO_STORE, Reply, compact, send_reply
from doorward.web.runtime import Runtime

METRICS_SCOPE = "metrics:read"


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    return {
        "/healthz": _answering(runtime, _health),
        "/readyz": _answering(runtime, _readiness),
        "/metrics": _answering(runtime, _metrics),
    }


def _answering(runtime: Runtime, answer: object) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            incoming.allow("GET", "HEAD")
            reply = await answer(incoming)  # type: ignore[operator]
        except REFUSED as fault:
            reply = refuse(fault, incoming)
        await send_reply(send, reply, incoming)

    return application


async def _health(incoming: Incoming) -> Reply:  # noqa: ARG001
    return Reply(200, compact({"status": "ok"}), [JSON, NO_STORE])


async def _readiness(incoming: Incoming) -> Reply:
    """Ready is who can read the truth and goes on: a worker whose database is gone is taken out of the balance.

    Where limits cannot be counted it is noted: no node can then, and what has no limits goes on at each of them.
    """
    presence = incoming.runtime.presence
    if presence.state == DRAINING or presence.is_astray:
        why = "draining" if presence.state == DRAINING else "the clock is not that of the other nodes"
        return Reply(503, compact({"status": why}), [JSON, NO_STORE])
    try:
        await incoming.runtime.store.read(journal.read_head)
    except Unavailable:
        return Reply(503, compact({"status": "the database does not answer"}), [JSON, NO_STORE])
    trouble = await incoming.runtime.limiter.trouble()
    return Reply(200, compact({"status": "ready"} | ({"limits": trouble} if trouble else {})), [JSON, NO_STORE])


async def _metrics(incoming: Incoming) -> Reply:
    await admit(incoming, None, METRICS_SCOPE)
    incoming.runtime.metrics.write()
    body = await asyncio.to_thread(metrics.exposition)
    return Reply(200, body, [(b"content-type", metrics.CONTENT_TYPE.encode()), NO_STORE])
