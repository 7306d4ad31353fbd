"""What is left of a key's limits: those of its own, of its account and of its api. Looking takes nothing.

GET /v1/keys/{id}/limits     ->  {"limits": [{"name": "burst", "remaining": 64, "resets_in": 22, ...}]}
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from doorward.protocol import limit
from doorward.protocol.admin import found
from doorward.protocol.limit import Charge, LimitState
from doorward.protocol.limit_cell import EMPTY
from doorward.store import api_keys
from doorward.web.responses import rendered, respond

PATH = "/keys/{id}/limits"


@dataclass(frozen=True, slots=True)
class KeyLimitsObject:
    """What workers hold to give away counts as used: the share of a rate that `limit_precision` says, at most."""

    limits: list[LimitState]


async def show(request: Request, id: str) -> Response:  # noqa: A002  the path's own name
    incoming = request.incoming  # type: ignore[attr-defined]
    runtime = incoming.runtime
    charges = await runtime.store.read(lambda connection: _charges(connection, id, runtime.store.now()))
    known, now = await runtime.limiter.cells.read(charges)
    cells = [(charge, known.get(charge.cell, EMPTY).value, 0, True) for charge in charges]
    return respond(rendered(KeyLimitsObject(list(limit.admission(cells, now).states)), 200), incoming)


def _charges(connection: Connection, id_: str, now: int) -> tuple[Charge, ...]:
    known = api_keys.by_id(connection, id_)
    key, account, api = found(known.api_key, "api key"), found(known.account, "account"), found(known.api, "api")
    return limit.charges(key.id, account.id, api.id, key.limits, account.limits, api.limits, 0, now)


show.__name__ = "show_key_limits"
