"""How an api key or an account was used, by hour and result, as an administrator sees it.

GET /v1/keys/key_8sK2.../usage?from=1795470000&to=1795559999

{"id": "key_8sK2...", "since": 1795467600, "until": 1795559999, "counts": {"active": 41, "credential_expired": 2},
 "hours": [{"at": 1795467600, "counts": {"active": 41}}, ...], "last_used_at", "last_address", "last_user_agent"}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from doorward.protocol.admin import invalid
from doorward.protocol.entities import Usage
from doorward.protocol.policy import DAY

HOUR = 3600
SPAN = 30 * DAY
TIME_LIMIT = 2**53


@dataclass(frozen=True, slots=True)
class HourObject:
    """The hour that began `at`; what never happened in it is left out."""

    at: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class UsageObject:
    """`counts` has the sums: how often it was accepted is `active`, the other names are reasons of refusals."""

    id: str
    since: int
    until: int
    counts: dict[str, int]
    hours: list[HourObject]
    last_used_at: int | None
    last_address: str | None
    last_user_agent: str | None


def span(since: int | None, until: int | None, now: int) -> tuple[int, int]:
    """Whole hours are counted: the first one is the one that `since` lies in."""
    end = now + 1 if until is None else until
    begin = end - SPAN if since is None else since
    for name, at in (("from", begin), ("to", end)):
        if not -SPAN <= at <= TIME_LIMIT:
            raise invalid(name, "must be a time in seconds")
    if begin >= end:
        raise invalid("from", "must be before to")
    return begin - begin % HOUR, end


def report(id_: str, span: tuple[int, int], found: Iterable[tuple[int, str, int]], usage: Usage) -> UsageObject:
    """`found` are counts in the order of their hours: when it began, the result, how often."""
    counts: dict[str, int] = {}
    hours: dict[int, dict[str, int]] = {}
    for at, result, count in found:
        counts[result] = counts.get(result, 0) + count
        hours.setdefault(at, {})[result] = count
    listed = [HourObject(at, by_result) for at, by_result in hours.items()]
    since, until = span
    return UsageObject(
        id_, since, until, counts, listed, usage.last_used_at, usage.address or None, usage.user_agent or None
    )
