"""Spans and times as people write and read them: `90d`, `in 90 days`, `2026-11-24 21:04 UTC`."""

from __future__ import annotations

import calendar
import contextlib
import re
import time

from doorward.cli.failure import USAGE, Failure

MINUTE, HOUR, DAY = 60, 3600, 86_400
UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}
_SPAN = re.compile(r"([0-9]{1,9})([smhdwy])", re.ASCII)
_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")
_STEPS = ((365 * DAY, "year"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


def seconds(text: str) -> int:
    """`90d` is 7,776,000. A bare number is refused: nobody can tell days from seconds by it."""
    found = _SPAN.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise Failure(
            f"{text!r} is no span of time: give a number and one of s m h d w y, such as 90d", exit_code=USAGE
        )
    return int(found[1]) * UNITS[found[2]]


def moment(text: str | None, now: float | None = None) -> int | None:
    """`2026-11-24`, or `2026-11-24T21:04`, in UTC; a span is so long ago."""
    if text is None:
        return None
    if _SPAN.fullmatch(text):
        return round(time.time() if now is None else now) - seconds(text)
    for form in _FORMS:
        with contextlib.suppress(ValueError):
            return calendar.timegm(time.strptime(text, form))
    raise Failure(f"{text!r} is no time: give one such as 2026-11-24, 2026-11-24T21:04 or 30d", exit_code=USAGE)


def overlap(text: str | None) -> int | None:
    """How long an old secret stays good; `0` for not at all."""
    return None if text is None else 0 if text == "0" else seconds(text)


def rule(text: str | None) -> int | None:
    """A span by which something ends; `0` for never."""
    return overlap(text)


def span(lifetime: int) -> str:
    """The largest unit of which there are at least two, so that 90 days are not three months."""
    for size, name in _STEPS:
        whole = lifetime // size
        if whole >= 2 or (whole == 1 and lifetime % size == 0) or size == 1:
            count = round(lifetime / size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    raise AssertionError


def clock(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def relative(at: int, now: int | None = None) -> str:
    moment = round(time.time()) if now is None else now
    if at == moment:
        return "now"
    return f"in {span(at - moment)}" if at > moment else f"{span(moment - at)} ago"


def full(at: int | None, absent: str = "never") -> str:
    return absent if at is None else f"{clock(at)} ({relative(at)})"
