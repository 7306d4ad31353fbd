"""`/usage`: verifiers say now and then how often they saw a credential used; answered when it is kept for good."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import EXPOSURES, USAGE
from doorward.exchange import run
from doorward.protocol.use import Used
from doorward.store import usage
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse_as_oauth
from doorward.web.replies import NO_STORE, Reply, send_reply
from doorward.web.runtime import Runtime

PATH = "/usage"


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            incoming.allow("POST")
            await _add(incoming)
            reply = Reply(204, b"", [NO_STORE])
        except REFUSED as fault:
            reply = refuse_as_oauth(fault, incoming)
        runtime.metrics.answered(PATH, reply.status)
        await send_reply(send, reply, incoming)

    return {PATH: application}


async def _add(incoming: Incoming) -> None:
    authorization, query, document = incoming.all(b"authorization"), incoming.query(), await incoming.json()
    seen = document.pop("seen", None)
    request = USAGE[PATH].parse(authorization, query, document)
    incoming.actor = request.credentials.client_id
    if seen is not None:
        told = EXPOSURES.parse(authorization, query, seen)
        await run(EXPOSURES, told, incoming.runtime.store, lambda _: None, incoming.context)
    await run(USAGE[PATH], request, incoming.runtime.store, tuple, incoming.context, _added)


def _added(used: tuple[Used, ...]) -> partial[None] | None:
    return partial(_write, used) if used else None


def _write(used: tuple[Used, ...], connection: Connection) -> None:
    usage.add(connection, used)
