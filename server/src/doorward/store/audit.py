"""What the audit log shows: the journal and the records of tokens, which are numbered together."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from doorward.protocol.policy import DAY
from doorward.store import journal


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows: behind `after` in the order asked for, of one type or entity, and from `since` on before `until`."""

    after: int | None
    limit: int
    newest_first: bool = False
    type: str | None = None
    entity_id: str | None = None
    since: int | None = None
    until: int | None = None


def page(connection: Connection, query: Query) -> list[Mapping[str, Any]]:
    """To be read from one snapshot: a row between two that were seen is never missed."""
    found = (_of(connection, table, query) for table in journal.LEDGERS)
    merged = heapq.merge(*found, key=lambda row: row["seq"], reverse=query.newest_first)
    return [row for row, _ in zip(merged, range(query.limit), strict=False)]


def _of(connection: Connection, table: Table, query: Query) -> list[Mapping[str, Any]]:
    order = table.c.seq.desc() if query.newest_first else table.c.seq
    rows = select(table).where(*_conditions(connection, table, query)).order_by(order).limit(query.limit)
    return [journal.entry(found) for found in connection.execute(rows)]


def _conditions(connection: Connection, table: Table, query: Query) -> Iterator[ColumnElement[bool]]:
    if query.after is not None:
        yield table.c.seq < query.after if query.newest_first else table.c.seq > query.after
    for column in ("type", "entity_id"):
        if (wanted := getattr(query, column)) is not None:
            yield table.c[column] == wanted
    # Clocks are corrected by a day at most (`clock.py`): by more than that no number is out of the order of times.
    if query.since is not None:
        yield table.c.at >= query.since
        yield table.c.seq >= _near(connection, table, query.since - DAY)
    if query.until is not None:
        yield table.c.at < query.until
        yield table.c.seq <= _near(connection, table, query.until + DAY)


def _near(connection: Connection, table: Table, at: int) -> int:
    """About where the rows of this time begin, by halving: an index of times is what every commit would pay for."""
    low, high = 0, journal.read_head(connection).seq + 1
    while low < high:
        middle = (low + high) // 2
        first = select(table.c.at).where(table.c.seq >= middle).order_by(table.c.seq).limit(1)
        found = connection.execute(first).scalar()
        low, high = (low, middle) if found is None or found >= at else (middle + 1, high)
    return low
