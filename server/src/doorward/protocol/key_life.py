"""How long api keys live by the rules of their api: none that nobody uses, none that is too old; and who hears of it.

A key that is over by policy expires at once, by the schedule. Its owners are told before a key ends, once at each step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from doorward.protocol.decision import Decision
from doorward.protocol.entities import Api, ApiKey
from doorward.protocol.events import ApiKeyExpired
from doorward.protocol.moment import Moment
from doorward.protocol.policy import DAY

UNUSED, TOO_OLD = "unused", "too_old"
# How many days before the end.
STEPS = (30, 7, 1)


@dataclass(frozen=True, slots=True)
class Aged:
    """A key with what decides whether it is over; a decoy, which nobody should use, never is."""

    api_key: ApiKey
    api: Api
    last_used_at: int | None


def expire(aged: Iterable[Aged], moment: Moment) -> Decision[None]:
    """Those that are over end now."""
    found = ((one.api_key, why_over(one, moment.now)) for one in aged)
    return Decision(None, tuple(_expired(key, why, moment.now) for key, why in found if why is not None))


def why_over(aged: Aged, now: int) -> str | None:
    key, api = aged.api_key, aged.api
    if key.state not in ("active", "inactive") or (key.expires_at is not None and key.expires_at <= now):
        return None
    if api.key_lifetime_limit is not None and now - key.created_at >= api.key_lifetime_limit:
        return TOO_OLD
    # Nobody is late for a rule that was not there yet.
    idle_since = max(key.created_at, api.key_policy_at or 0, aged.last_used_at or 0)
    if api.unused_key_lifetime is not None and now - idle_since >= api.unused_key_lifetime:
        return UNUSED
    return None


def _expired(key: ApiKey, why: str, now: int) -> ApiKeyExpired:
    return ApiKeyExpired(replace(key, expires_at=now, updated_at=now, version=key.version + 1), why)


def window(days: int, now: int) -> tuple[int, int]:
    """Keys that end in it are told of at this step: behind the next step, up to this one."""
    sooner = max((step for step in STEPS if step < days), default=0)
    return now + sooner * DAY, now + days * DAY
