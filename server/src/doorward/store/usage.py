"""How credentials were used: totals, hours, and when last. Counts without an event (laws, 3b), which decide nothing.

On the way of a request nothing is done but a look into a dictionary; the worker's one writer adds up what is there
now and then (`store/tallies.py`). Verifiers count for themselves, and tell.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, case, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol import use
from doorward.protocol.entities import UNUSED, Usage
from doorward.protocol.secret import Secret
from doorward.protocol.use import ACTIVE, Used
from doorward.store.tables import usage, usage_hours

HOUR = 3600
# A month, and some days to look back at its end.
RETENTION = 35 * 24 * HOUR
LIMIT = 10_000

API_KEY, GRANT, SECRET, ACCOUNT = "api_key", "grant", "secret", "account"
_COLUMNS = usage.c.uses, usage.c.last_used_at, usage.c.address, usage.c.user_agent, usage.c.late_uses
Name = tuple[str, str, str, str, bool, int]


class Counting:
    """Any thread counts, one takes. There is a limit to what waits: beyond it uses are dropped, and counted as such."""

    def __init__(self) -> None:
        self.dropped = 0
        self._lock = threading.Lock()
        self._waiting: dict[Name, tuple[Used, int]] = {}

    def count(self, uses: Iterable[Used]) -> None:
        for one in uses:
            name = one.kind, one.id, one.secret_id, one.result, one.is_old, one.last_used_at // HOUR
            with self._lock:
                _, before = self._waiting.get(name, (one, 0))
                if before or len(self._waiting) < LIMIT:
                    self._waiting[name] = one, before + one.count
                else:
                    self.dropped += one.count

    def take(self) -> tuple[Used, ...]:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return tuple(replace(one, count=count) for one, count in waiting.values())


def of(connection: Connection, kind: str, id_: str) -> Usage:
    """Of an api key, a secret of it, an account, or a grant."""
    known = select(*_COLUMNS).where(usage.c.kind == kind, usage.c.id == id_)
    found = connection.execute(known).first()
    return UNUSED if found is None else Usage(*found)


def of_kept(connection: Connection, kept: Sequence[Secret]) -> dict[str, Usage]:
    """By the public ids of secrets; what was never used is left out."""
    named = usage.c.id.in_([one.id for one in kept])
    known = select(usage.c.id, *_COLUMNS).where(usage.c.kind == SECRET, named)
    return {id_: Usage(*found) for id_, *found in connection.execute(known)}


@dataclass(frozen=True, slots=True)
class Hour:
    """How often something was tried in the hour that began `at`, with one result."""

    at: int
    result: str
    count: int


def hours(connection: Connection, kind: str, id_: str, since: int, until: int) -> tuple[Hour, ...]:
    """Those that began from `since` on, and before `until`."""
    named = (usage_hours.c.kind == kind) & (usage_hours.c.id == id_)
    within = named & (usage_hours.c.at >= since) & (usage_hours.c.at < until)
    found = select(usage_hours.c.at, usage_hours.c.result, usage_hours.c["count"]).where(within)
    order = usage_hours.c.at, usage_hours.c.result
    return tuple(Hour(*row) for row in connection.execute(found.order_by(*order)))


def add(connection: Connection, used: Sequence[Used]) -> int:
    """Adds the counts, and lets no time go back."""
    totals = [row for one in used if one.result == ACTIVE for row in _totals(one)]
    for insert, rows in ((_adding_totals, totals), (_adding_hours, _hours(used))):
        if rows:
            connection.execute(insert(connection.dialect.name), rows)
    return len(used)


def _totals(one: Used) -> list[dict[str, Any]]:
    row = {
        "kind": one.kind, "id": one.id, "uses": one.count, "last_used_at": one.last_used_at, "late_uses": 0,
        "address": use.address(one.address), "user_agent": use.user_agent(one.user_agent),
    }  # fmt: skip
    secret = {**row, "kind": SECRET, "id": one.secret_id, "late_uses": one.count if one.is_old else 0}
    account = {**row, "kind": ACCOUNT, "id": one.account_id}
    return [row, *(owner for owner in (secret, account) if owner["id"])]


def _hours(used: Iterable[Used]) -> list[dict[str, Any]]:
    counted: Counter[tuple[str, str, int, str]] = Counter()
    for one in used:
        at = one.last_used_at - one.last_used_at % HOUR
        owners = [(ACCOUNT, one.account_id)] if one.account_id else []
        for kind, id_ in [(one.kind, one.id), *owners] if one.kind == API_KEY else owners:
            counted[kind, id_, at, one.result] += one.count
    return [
        {"kind": kind, "id": id_, "at": at, "result": result, "count": count}
        for (kind, id_, at, result), count in counted.items()
    ]


@cache
def _adding_totals(dialect: str) -> Any:
    """Where and what last used it stay as they are when the next one does not tell."""
    new = (postgresql if dialect == "postgresql" else sqlite).insert(usage)
    known, told = usage.c.last_used_at, new.excluded.last_used_at
    added: dict[str, Any] = {name: usage.c[name] + new.excluded[name] for name in ("uses", "late_uses")}
    added["last_used_at"] = case((known > told, known), else_=told)
    for name in ("address", "user_agent"):
        stays = (known > told) | (new.excluded[name] == "")
        added[name] = case((stays, usage.c[name]), else_=new.excluded[name])
    return new.on_conflict_do_update(index_elements=["kind", "id"], set_=added)


@cache
def _adding_hours(dialect: str) -> Any:
    new = (postgresql if dialect == "postgresql" else sqlite).insert(usage_hours)
    added = {"count": usage_hours.c["count"] + new.excluded["count"]}
    return new.on_conflict_do_update(index_elements=["kind", "id", "at", "result"], set_=added)
