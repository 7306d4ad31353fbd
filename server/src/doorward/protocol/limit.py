"""Limits on how often api keys are used: rates by GCRA, which refill all the time, and quotas by calendar windows.

{"name": "burst", "amount": 100, "per": "minute"}
{"name": "monthly", "amount": 100000, "per": "month", "type": "quota"}

A key, an account and an api may each have several. An api says for each of its own whether every key, every account
or the api as a whole has it; a key's own limit of the same name takes the place of the api's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
SECOND = 1_000_000_000  # times are nanoseconds here: a rate of 1,000 a second has one each 1,000,000
SPANS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
# Below this the interval between two uses would be too coarse in nanoseconds to keep a rate to within 0.1 %.
SHORTEST_INTERVAL = 1000
MEAN_MONTH = 2_629_746
MARCH_OF_YEAR_0 = 719_468  # days before 1970
LIMITS = 10
AMOUNT_LIMIT = 10**12
COST_LIMIT = 1_000_000

Type = Literal["rate", "quota"]
Per = Literal["second", "minute", "hour", "day", "month"]
Each = Literal["key", "account", "api"]


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` uses `per` span. All of a rate may be used at once, unless `burst` says how many."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "strict": True}

    name: str
    amount: int
    per: Per
    type: Type = "rate"
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class ApiLimit(Limit):
    """`each` says who has it: every key of the api, every account with its keys for it, or all of them together."""

    each: Each = "key"


class Charge(NamedTuple):
    """`cost` uses of a limit, to be counted in a cell: what one subject used of it, of a quota in one window."""

    cell: str
    limit: Limit
    cost: int


class Taken(NamedTuple):
    """What was taken from a cell: nothing, unless the cost `fits`. `value` is what the cell holds after it."""

    charge: Charge
    fits: bool
    granted: int
    value: int


@dataclass(frozen=True, slots=True)
class LimitState:
    """What is left of a limit. `resets_in` is the seconds until all of it is there again, or what was refused is."""

    name: str
    type: str
    amount: int
    per: str
    window: int
    remaining: int
    resets_in: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What all limits together say to one check; `refused` are those that it was too much for.

    `is_counted` is False where they could not be asked, and the settings let checks pass then; `is_possible` where the
    check costs more than a limit ever has, so that no waiting helps.
    """

    states: tuple[LimitState, ...] = ()
    refused: tuple[Limit, ...] = ()
    retry_after: int = 0
    is_counted: bool = True
    is_possible: bool = True

    @property
    def reason(self) -> str | None:
        if not self.refused:
            return None
        if not self.is_possible:
            return "cost_impossible"
        return "quota_exceeded" if any(limit.type == "quota" for limit in self.refused) else "rate_limited"


UNLIMITED = Admission()


def unfit(limits: Sequence[Limit]) -> str | None:
    """What the limits of one subject must be, where they are not."""
    names = [limit.name for limit in limits]
    if len(limits) > LIMITS or len(names) != len(set(names)):
        return f"must be at most {LIMITS}, each of another name"
    return next(filter(None, map(_unfit, limits)), None)


def _unfit(limit: Limit) -> str | None:
    rules = (
        (NAME.fullmatch(limit.name), "must be named by 1 to 32 of a-z, 0-9, _ and -, and begin with a letter"),
        (1 <= limit.amount <= AMOUNT_LIMIT, f"must have an amount of 1 to {AMOUNT_LIMIT}"),
        *(_rules_of_quotas(limit) if limit.type == "quota" else _rules_of_rates(limit)),
    )
    return next((must for holds, must in rules if not holds), None)


def _rules_of_quotas(limit: Limit) -> Iterator[tuple[bool, str]]:
    is_whole = limit.per != "second" and limit.burst is None
    yield is_whole, "of type quota are per minute, hour, day or month, and have no burst"


def _rules_of_rates(limit: Limit) -> Iterator[tuple[bool, str]]:
    yield limit.per != "month", "of type rate are per second, minute, hour or day; months are for quotas"
    yield limit.burst is None or 1 <= limit.burst <= limit.amount, "must have a burst of 1 to their amount"
    is_coarse = limit.amount > 0 and limit.per in SPANS and interval(limit) < SHORTEST_INTERVAL
    yield not is_coarse, "of type rate are at most a million a second"


def charges(
    key_id: str, account_id: str, api_id: str,
    of_key: Iterable[Limit], of_account: Iterable[Limit], of_api: Iterable[ApiLimit],
    cost: int, now: int,
) -> tuple[Charge, ...]:  # fmt: skip
    """What one check of a key costs, and where it is counted. `now` is in seconds."""
    found = [Charge(cell(f"key/{key_id}", limit, now), limit, cost) for limit in of_key]
    found += [Charge(cell(f"account/{account_id}", limit, now), limit, cost) for limit in of_account]
    subjects = {"key": f"key/{key_id}", "account": f"account/{account_id}/{api_id}", "api": f"api/{api_id}"}
    own = {limit.name for limit in of_key}
    shared = (limit for limit in of_api if not (limit.each == "key" and limit.name in own))
    found += [Charge(cell(subjects[limit.each], limit, now), limit, cost) for limit in shared]
    return tuple(found)


def impossible(charges: Iterable[Charge]) -> tuple[Limit, ...]:
    """Those that would never agree, however little was used of them."""
    return tuple([charge.limit for charge in charges if charge.cost > capacity(charge.limit)])


def capacity(limit: Limit) -> int:
    """The most that can be used of it at once."""
    return limit.burst or limit.amount


def cell(subject: str, limit: Limit, now: int) -> str:
    """Where it is counted what one subject used of a limit, of a quota in one window."""
    place = f"{subject}/{limit.name}"
    return place if limit.type == "rate" else f"{place}/{limit.per}/{window(limit, now)[0]}"


def interval(limit: Limit) -> int:
    """The nanoseconds from one use to the next, of a rate that is used evenly."""
    return SPANS[limit.per] * SECOND // limit.amount


def take(charge: Charge, value: int | None, extra: int, now: int) -> Taken:
    """The cost, and up to `extra` more, which whoever takes it may give away himself.

    `value` is what the cell holds: of a rate the theoretical arrival time of the next use, of a quota what was used.
    """
    held = (value or 0) if charge.limit.type == "quota" else _arrival(charge.limit, value, now)
    step = 1 if charge.limit.type == "quota" else interval(charge.limit)
    granted = min(available(charge.limit, held, now), charge.cost + extra)
    if granted < charge.cost:
        return Taken(charge, False, 0, held)
    return Taken(charge, True, granted, held + granted * step)


def _arrival(limit: Limit, value: int | None, now: int) -> int:
    return max(bounded(limit, value or 0, now), now)


def bounded(limit: Limit, value: int, now: int) -> int:
    """Of a rate, never further ahead than a full burst: it was another limit, or another clock, that wrote more."""
    return min(value, now + tolerance(limit))


def available(limit: Limit, value: int, now: int) -> int:
    """How many uses are left of a rate, or of a quota in the window that the cell is for."""
    if limit.type == "quota":
        return max(limit.amount - value, 0)
    return max(now + tolerance(limit) - max(value, now), 0) // interval(limit)


def tolerance(limit: Limit) -> int:
    return capacity(limit) * interval(limit)


def kept_until(limit: Limit, value: int, now: int) -> int:
    """The second at which the cell says no more than an empty one."""
    return window(limit, now // SECOND)[1] if limit.type == "quota" else value // SECOND + 1


def admission(states: Sequence[tuple[Charge, int, int, bool]], now: int) -> Admission:
    """Of each charge: what its cell holds, what was taken from it and is not given away yet, and whether it fits."""
    shown = tuple([_state(charge, value, held, fits, now) for charge, value, held, fits in states])
    refused = tuple([charge.limit for charge, _, _, fits in states if not fits])
    if not refused:
        return Admission(shown)
    waits = (state.resets_in for state, (*_, fits) in zip(shown, states, strict=True) if not fits)
    return Admission(shown, refused, max(waits))


def told(state: LimitState) -> dict[str, int | str]:
    """Its members as they are told; `asdict` takes five times as long, and this is done for each check."""
    return {
        "name": state.name, "type": state.type, "amount": state.amount, "per": state.per, "window": state.window,
        "remaining": state.remaining, "resets_in": state.resets_in,
    }  # fmt: skip


def _state(charge: Charge, value: int, held: int, fits: bool, now: int) -> LimitState:
    limit = charge.limit
    left = available(limit, value, now) + held
    return LimitState(
        limit.name, limit.type, limit.amount, limit.per, _window_length(limit, now // SECOND), left,
        _seconds(_until(charge, value, fits, now)),
    )  # fmt: skip


def _until(charge: Charge, value: int, fits: bool, now: int) -> int:
    """The nanoseconds until the cost fits, after a refusal; else until all of the limit is there again."""
    limit = charge.limit
    if limit.type == "quota":
        return window(limit, now // SECOND)[1] * SECOND - now
    if fits:
        return value - now
    return value + charge.cost * interval(limit) - tolerance(limit) - now


def _seconds(nanoseconds: int) -> int:
    """Rounded up: whoever comes then is not too early."""
    return max(-(-nanoseconds // SECOND), 0)


def window(limit: Limit, now: int) -> tuple[int, int]:
    """The seconds at which the quota's window began and ends: calendar windows, in UTC."""
    if limit.per != "month":
        begins_at = now - now % SPANS[limit.per]
        return begins_at, begins_at + SPANS[limit.per]
    month = now // MEAN_MONTH
    month += (now >= _begins_at(month + 1)) - (now < _begins_at(month))
    return _begins_at(month), _begins_at(month + 1)


def _begins_at(month: int) -> int:
    """The second at which a month begins, counted from January 1970: years are counted from March, leap days last."""
    year, since_march = divmod(month + 10, 12)
    year += 1969
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * since_march + 2) // 5 - MARCH_OF_YEAR_0
    return days * SPANS["day"]


def _window_length(limit: Limit, now: int) -> int:
    if limit.type == "rate":
        return SPANS[limit.per]
    begins_at, ends_at = window(limit, now)
    return ends_at - begins_at
