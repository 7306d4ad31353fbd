"""`/oauth/introspect` (RFC 7662) as plain ASGI: some services ask about each request of theirs (decision 31).

POST /oauth/introspect          token=dw_live_...
authorization: Basic base64(client_id ":" client_secret)

No browser may ask: there is no Access-Control-Allow-Origin (T182).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.types import ASGIApp

from doorward.app import ENDPOINTS
from doorward.exchange import run
from doorward.protocol import introspection
from doorward.protocol.introspection import Introspection
from doorward.protocol.moment import Position
from doorward.web import slow_keys
from doorward.web.endpoint import endpoint
from doorward.web.incoming import Incoming
from doorward.web.replies import JSON, NO_STORE, Reply, compact
from doorward.web.runtime import Runtime
from doorward.web.warm import Seen, Warm, digest

PATH = "/oauth/introspect"
EXCHANGE = ENDPOINTS[PATH]


class Told(NamedTuple):
    """What was found, in whose name it was asked, and how he wants to hear of limits."""

    found: Introspection
    actor: str
    knows_limits: bool
    spare: int
    body: bytes = b""  # of what has no limits, and is told in the same words each time


def application(runtime: Runtime) -> ASGIApp:
    warm: Warm[Told] = Warm(runtime.store)

    async def answer(incoming: Incoming) -> Reply:
        asked = digest(incoming, await incoming.body())
        # Looked at first: what memory holds a moment later is true at least there.
        position = runtime.store.memory.position
        told = warm.recall(asked)
        if told is None:
            told = await _decided(incoming, warm, asked)
            return await _settled(told, told.found.position, runtime)
        incoming.actor = told.actor
        runtime.store.count(introspection.counted(told.found, runtime.store.now()))
        return await _settled(told, position, runtime)

    return endpoint(runtime, PATH, answer, any_origin=False)


async def _decided(incoming: Incoming, warm: Warm[Told], asked: bytes) -> Told:
    runtime, form = incoming.runtime, await incoming.form()
    authorization, query = incoming.all(b"authorization"), incoming.query()
    request = EXCHANGE.parse(authorization, form, query, runtime.policy.brand, incoming.address)
    incoming.actor = request.actor
    seen: Seen[introspection.Facts] = Seen()
    text, exchange = form.get("token"), seen.watching(EXCHANGE)
    found = await slow_keys.answered(
        incoming, () if text is None else (text,),
        lambda: run(exchange, request, runtime.store, lambda found: found, incoming.context),
    )  # fmt: skip
    told = Told(found, incoming.actor, request.knows_limits, request.spare)
    if seen.found is not None and found.active:
        if not found.charges:
            told = told._replace(body=compact(introspection.members(found)))
        warm.keep(asked, told, seen, introspection.ends_at(found, seen.found, runtime.store.now()))
    return told


async def _settled(told: Told, position: Position, runtime: Runtime) -> Reply:
    """A verifier's question takes of the limits of a key, once that is known to be good."""
    body, is_active = told.body, True
    if not body:
        admission, spare = await runtime.limiter.lend(told.found.charges, told.spare)
        members: dict[str, Any] = introspection.members(told.found, admission, spare, told.knows_limits)
        body, is_active = compact(members), members["active"]
    runtime.metrics.checked(told.found.credential, "active" if is_active else "inactive")
    return Reply(200, body, [JSON, NO_STORE, (b"doorward-position", str(position).encode())])
