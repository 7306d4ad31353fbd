"""What is left of a key's limits: those of its own, of its account and of its api. Looking takes nothing.

GET /v1/keys/{id}/limits     ->  {"limits": [{"name": "burst", "remaining": 64, "resets_in": 22, ...}]}
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from doorward.protocol import limit
from doorward.protocol.admin import found
from doorward.protocol.limit import SECOND, LimitState
from doorward.store import api_keys, limits
from doorward.web.responses import rendered, respond

PATH = "/keys/{id}/limits"


@dataclass(frozen=True, slots=True)
class KeyLimitsObject:
    """What a worker holds to give away counts as used: a hundredth of a rate at most."""

    limits: list[LimitState]


async def show(request: Request, id: str) -> Response:  # noqa: A002  the path's own name
    incoming = request.incoming  # type: ignore[attr-defined]
    states = await incoming.runtime.store.read(lambda connection: _states(connection, id, time.time_ns()))
    return respond(rendered(KeyLimitsObject(states), 200), incoming)


def _states(connection: Connection, id_: str, now: int) -> list[LimitState]:
    known = api_keys.by_id(connection, id_)
    key, account, api = found(known.api_key, "api key"), found(known.account, "account"), found(known.api, "api")
    charges = limit.charges(key.id, account.id, api.id, key.limits, account.limits, api.limits, 0, now // SECOND)
    values = limits.read(connection, [charge.cell for charge in charges])
    cells = [(charge, values.get(charge.cell, 0), 0, True) for charge in charges]
    return list(limit.admission(cells, now).states)


show.__name__ = "show_key_limits"
