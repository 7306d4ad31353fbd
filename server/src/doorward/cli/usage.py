"""How often a key or an account was used, as people read it: by day or hour, and in a line."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli import output
from doorward.cli.admin_api import Object, run
from doorward.cli.durations import DAY, HOUR, full, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

ACTIVE = "active"
SPAN = 30 * DAY


class By(StrEnum):
    day = "day"
    hour = "hour"


Since = Annotated[str | None, typer.Option(metavar="SPAN", help="How far back: 7d, 12h (default: 30d, at most 35d).")]
Each = Annotated[By, typer.Option("--by", help="What a row is.")]


def show(context: typer.Context, path: str, since: str | None, by: By, json: bool) -> None:
    begin = int(time.time()) - (SPAN if since is None else seconds(since))
    found = run(context, lambda api: api.get(path, **{"from": begin}))
    if json:
        output.show_json(found)
        return
    output.heading(f"{found['id']}: {line(found['counts'])}")
    last = last_use(found)
    if last:
        output.say(f"  last used {last}")
    rows = [_row(at, by, counts) for at, counts in _summed(found["hours"], by).items()]
    if rows:
        output.say()
        output.table(("UTC", "GOOD", "REFUSED", "WHY"), rows)


def line(counts: Mapping[str, int]) -> str:
    """41 times good, 2 times refused (credential_expired)."""
    good, refused = counts.get(ACTIVE, 0), _refused(counts)
    if not good and not refused:
        return "not used"
    told = [f"{good} times good"]
    if refused:
        told.append(f"{sum(refused.values())} times refused ({', '.join(sorted(refused))})")
    return ", ".join(told)


def last_use(told: Mapping[str, object]) -> str | None:
    """When, from where and by what."""
    at = told["last_used_at"]
    if not isinstance(at, int):
        return None
    place = f" from {told['last_address']}" if told["last_address"] else ""
    agent = f" by {told['last_user_agent']}" if told["last_user_agent"] else ""
    return f"{full(at)}{place}{agent}"


def secrets(owner: Object) -> list[str] | None:
    """Of an owner that was rotated: the state of each, and who still uses it."""
    return [_secret(one) for one in owner["secrets"]] if len(owner["secrets"]) > 1 else None


def _secret(secret: Object) -> str:
    ends = "" if secret["expires_at"] is None else f", ends {full(secret['expires_at'])}"
    last, late = last_use(secret), secret["uses_since_superseded"]
    used = f", last used {last}" if last else ", never used"
    still = f", {late} times since there is a newer one" if late else ""
    return f"{secret['id']}  {secret['state']}{ends}{used}{still}"


def today(hours: Iterable[Object], now: int | None = None) -> dict[str, int]:
    """The counts of the day that it is in UTC."""
    moment = int(time.time()) if now is None else now
    return _added(hour["counts"] for hour in hours if hour["at"] >= moment - moment % DAY)


def _refused(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if reason != ACTIVE}


def _added(many: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for counts in many:
        for result, count in counts.items():
            sums[result] = sums.get(result, 0) + count
    return sums


def _summed(hours: Iterable[Object], by: By) -> dict[int, dict[str, int]]:
    size = DAY if by is By.day else HOUR
    rows: dict[int, dict[str, int]] = {}
    for hour in hours:
        at = hour["at"] - hour["at"] % size
        rows[at] = _added((rows.get(at, {}), hour["counts"]))
    return rows


def _row(at: int, by: By, counts: Mapping[str, int]) -> Sequence[str]:
    refused = _refused(counts)
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items()))
    when = time.strftime("%Y-%m-%d" if by is By.day else "%Y-%m-%d %H:00", time.gmtime(at))
    return when, str(counts.get(ACTIVE, 0)), str(sum(refused.values())), why
