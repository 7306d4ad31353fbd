"""How those are answered for whom there is no room, as what they asked would have answered itself (decision 33)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from doorward.protocol.load import Rank
from doorward.protocol.refusal import Refusal, TemporarilyUnavailable
from doorward.web.gateway_checks import denied
from doorward.web.incoming import Incoming
from doorward.web.load import TurnedAway
from doorward.web.refused_page import as_page
from doorward.web.replies import NOSNIFF, Headers, Reply, oauth_error, problem
from doorward.web.runtime import Runtime

RENDER: Mapping[str, Callable[[Refusal, Incoming], Reply]] = {
    "gateway": denied, "check": denied, "admin": problem, "page": as_page
}  # fmt: skip


def turned_away(runtime: Runtime, extra: Headers, rank: Rank) -> TurnedAway:
    """One id for all of this second: it tells when, where and why, and that is all there is to tell of them."""
    scope: Any = {"type": "http", "method": "GET", "path": "", "query_string": b"", "headers": []}
    incoming = Incoming(scope, _nothing, runtime)
    refusal = TemporarilyUnavailable("too many requests are waiting", reason="overloaded")
    reply = RENDER.get(rank.name, oauth_error)(refusal, incoming)
    length = (b"content-length", str(len(reply.body)).encode())
    identified = (b"x-request-id", incoming.identify(refusal).encode())
    return TurnedAway(reply.status, [*reply.headers, NOSNIFF, identified, length, *extra], reply.body)


async def _nothing() -> Any:
    raise AssertionError("nobody reads on")
