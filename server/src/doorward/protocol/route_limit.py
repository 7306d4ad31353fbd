"""How often a route may be used: by each credential, each account, each address, or by all callers together.

{"name": "writes", "amount": 10, "per": "minute", "each": "account"}

They are limits as those of a key (`limit`), beside which they are counted, in cells of their own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

from doorward.protocol import limit
from doorward.protocol.entities import JSON
from doorward.protocol.limit import Charge, Limit

Each = Literal["credential", "account", "address", "route"]
# Of who shows no credential no more is known.
OF_ANYBODY = ("address", "route")
UNFIT_FOR_ANYBODY = "of a public route must be for each address or route: nobody is known there"


@dataclass(frozen=True, slots=True)
class RouteLimit(Limit):
    """`each` says who has it; `route` is all callers together."""

    each: Each = "credential"


def made(given: Iterable[Mapping[str, Any]]) -> tuple[RouteLimit, ...]:
    return tuple(RouteLimit(**one) for one in given)


def members(limits: Iterable[RouteLimit]) -> list[JSON]:
    return [asdict(one) for one in limits]


def unfit(limits: Sequence[RouteLimit], *, public: bool) -> str | None:
    """What the limits of a route must be, where they are not."""
    if public and not all(one.each in OF_ANYBODY for one in limits):
        return UNFIT_FOR_ANYBODY
    return limit.unfit(limits)


def too_small(limits: Iterable[RouteLimit], cost: int) -> str | None:
    """The name of a limit that no request would ever fit into."""
    return next((one.name for one in limits if cost > limit.capacity(one)), None)


@lru_cache(maxsize=4096)
def place(host: str, path: str, methods: tuple[str, ...]) -> str:
    """By which a route's cells are told from those of every other; it stays when the rest of the route is changed."""
    named = sha256(json.dumps([host, path, sorted(methods)]).encode()).digest()
    return f"route/{base64.urlsafe_b64encode(named[:15]).decode()}"


def charges(
    at: str, limits: Iterable[RouteLimit], whose: Mapping[str, str], cost: int, now: int
) -> tuple[Charge, ...]:  # fmt: skip
    """What a request costs of a route's limits. `at` is the route's place, `whose` names who asks for each `each`."""
    return tuple([Charge(limit.cell(f"{at}/{whose[one.each]}", one, now), one, cost) for one in limits])
