"""How often a key with limits may be used before the server is asked again: lent with its answer, for seconds.

{"active": true, ..., "spare": 20, "limits": [{"name": "burst", "type": "rate", "remaining": 80, "window": 60, ...}]}
{"active": true, ..., "limited": "rate_limited", "retry_after": 12, "limits": [...]}

Nothing is lent of a quota: each use of it is asked for. The more is asked for, the faster what was lent before was
used, so that little is lent to those who need little; what is left over ends unused.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from doorward_verify.errors import CostImpossible, RateLimited, Unavailable

LIFETIME = 5.0
SPARE_LIMIT = 100_000
# Costs are counted off one by one, which no other thread can come between; larger ones are asked for.
COUNTED = 100

Limits = tuple[Mapping[str, Any], ...]


class Allowance:
    """Made of one answer. `spare` may be given away until `ends_at`, a monotonic time; safe among threads."""

    def __init__(
        self, limits: Limits = (), spare: int = 0, ends_at: float = 0.0,
        refusal: RateLimited | CostImpossible | None = None,
    ) -> None:  # fmt: skip
        self.limits, self.spare, self.ends_at, self.refusal = limits, spare, ends_at, refusal
        self._given = itertools.count(1)
        self._askers = itertools.count()

    def gives(self, cost: int, now: float) -> bool:
        """Whether the use is paid for; if not, the server must be asked. Raises RateLimited or CostImpossible
        while it need not be."""
        if now >= self.ends_at:
            return cost == 0
        if self.refusal is not None and cost >= self.refusal.cost:
            raise self.refusal.until(self.ends_at - now)
        if cost > COUNTED:
            return False
        return all(next(self._given) <= self.spare for _ in range(cost))

    def after(self, before: Allowance, now: float) -> Allowance:
        """This one, which lends nothing, unless it refuses or what was lent before has ended."""
        return self if self.refusal is not None or before.refusal is not None or now >= before.ends_at else before

    def wants(self, now: float) -> int:
        """How much the next question asks for beyond its own cost: of those that ask at once the first one alone."""
        if self.refusal is not None or now >= self.ends_at or next(self._askers):
            return 0
        return min(2 * self.spare + 1, SPARE_LIMIT)


def read(claims: Mapping[str, Any], cost: int, now: float) -> Allowance | None:
    """What the answer says of limits; None where the key has none. Raises Unavailable where it makes no sense."""
    limits, spare = claims.get("limits"), claims.get("spare", 0)
    if limits is None:
        return None
    if not isinstance(limits, list) or not all(map(_is_limit, limits)) or type(spare) is not int:
        raise Unavailable("the answer to introspection is malformed")
    told = tuple(limits)
    if "limited" in claims:
        if claims["limited"] == "cost_impossible":
            return Allowance(told, ends_at=now + LIFETIME, refusal=CostImpossible(cost))
        refusal = _refusal(claims, told, cost)
        return Allowance(told, ends_at=now + refusal.retry_after, refusal=refusal)
    windows = (limit["window"] for limit in told if limit["type"] == "rate")
    return Allowance(told, spare, now + min(LIFETIME, *windows) if spare else now + LIFETIME)


def _refusal(claims: Mapping[str, Any], limits: Limits, cost: int) -> RateLimited:
    reason, retry_after = claims["limited"], claims.get("retry_after")
    if reason not in ("rate_limited", "quota_exceeded") or type(retry_after) is not int or retry_after < 0:
        raise Unavailable("the answer to introspection is malformed")
    return RateLimited(reason, limits, max(retry_after, 1), cost)


def _is_limit(limit: object) -> bool:
    return isinstance(limit, dict) and all(type(limit.get(name)) is kind for name, kind in MEMBERS.items())


MEMBERS = {"name": str, "type": str, "amount": int, "window": int, "remaining": int, "resets_in": int}
