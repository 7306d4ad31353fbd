"""Ledgers in parts by `seq`, on PostgreSQL: made ahead, and dropped whole instead of deleted row by row.

A part's name says where it begins; what no part is for lies in the one that ends with `_rest`, so that nothing fails
for want of one. SQLite has none, nor do engines that speak PostgreSQL's protocol without its partitions: there, and in
the parts of ledgers that grow slowly, rows are deleted in small steps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, text

from doorward.store import journal
from doorward.store.retention import JOURNAL, TOKEN_RECORDS, Ledger

# Rows' numbers in a part; one of a ledger that grows fast has as many as come in its span of time.
LEAST, MOST = 1_000_000, 1_000_000_000
# A part is 7 units of a ledger long: a week of the journal, and seven hours of what is kept for a day.
UNITS = 7
# Everybody waits behind whoever waits to change the table: that is soon given up, and tried again a minute later.
LOCK = text("SET LOCAL lock_timeout = '100ms'")

PARTS = text(
    "SELECT child.relname AS name, pg_get_expr(child.relpartbound, child.oid) AS bounds FROM pg_inherits"
    " JOIN pg_class child ON child.oid = pg_inherits.inhrelid"
    " WHERE pg_inherits.inhparent = to_regclass(:ledger) ORDER BY child.oid"
)
BOUNDS = re.compile(r"FOR VALUES FROM \('?(\d+)'?\) TO \('?(\d+)'?\)")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows from `begin` on, before `end`."""

    name: str
    begin: int
    end: int


def parts(connection: Connection, ledger: Ledger) -> tuple[Part, ...]:
    """In their order; none where the engine has none."""
    if connection.dialect.name != "postgresql":
        return ()
    found = connection.execute(PARTS, {"ledger": ledger.name})
    bounded = ((row.name, BOUNDS.fullmatch(row.bounds or "")) for row in found)
    known = (Part(name, int(bounds[1]), int(bounds[2])) for name, bounds in bounded if bounds)
    return tuple(sorted(known, key=lambda part: part.begin))


def names(connection: Connection) -> set[str]:
    """Of every part there is: PostgreSQL lists them as it lists tables."""
    ledgers = (JOURNAL.name, TOKEN_RECORDS.name)
    return {row.name for name in ledgers for row in connection.execute(PARTS, {"ledger": name})}


def cover(ledger: Ledger, head: int, connection: Connection) -> None:
    """Of a ledger without a row: lets its one part be for all up to `head` that will be written to it, and some more.

    In the rest they would stand in the way of every part to come, which is attached once it is read whole.
    """
    end = (head // LEAST + 2) * LEAST
    for part in parts(connection, ledger):
        connection.execute(text(f"ALTER TABLE {ledger.name} DETACH PARTITION {part.name}"))
        bounds = f"FOR VALUES FROM ({part.begin}) TO ({end})"
        connection.execute(text(f"ALTER TABLE {ledger.name} ATTACH PARTITION {part.name} {bounds}"))


def make_ahead(ledger: Ledger, now: int, connection: Connection, _: int) -> int:
    """Makes the next part when half of the last one is used, and returns how many that were."""
    known = parts(connection, ledger)
    head = journal.read_head(connection).seq
    if not known or head < (known[-1].begin + known[-1].end) // 2:
        return 0
    last = known[-1]
    # What is in the rest already stays there.
    begin = last.end if head < last.end else head + LEAST
    name = f"{ledger.name}_from_{begin}"
    end = begin + _size(connection, ledger, last, head, now)
    connection.execute(LOCK)
    connection.execute(text(f"CREATE TABLE {name} (LIKE {ledger.name} INCLUDING ALL)"))
    # To attach is all that the ledger is locked for, and against nobody who reads or writes it.
    connection.execute(text(f"ALTER TABLE {ledger.name} ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})"))
    return 1


def _size(connection: Connection, ledger: Ledger, last: Part, head: int, now: int) -> int:
    """As many numbers as came in a part's span of time, by how fast the last one is filled."""
    behind = select(ledger.table.c.seq, ledger.table.c.at).where(ledger.table.c.seq >= last.begin)
    first = connection.execute(behind.order_by(ledger.table.c.seq).limit(1)).first()
    if first is None:
        return LEAST
    size: int = (head - first.seq) * UNITS * ledger.unit // max(now - first.at, 1)
    return min(max(size, LEAST), MOST)


def drop_passed(ledger: Ledger, connection: Connection, _: int) -> int:
    """Drops one part that a checkpoint passed whole, never the last one, and returns how many that were."""
    reached = journal.pruned_to(connection, ledger.name)
    passed = [part for part in parts(connection, ledger)[:-1] if part.end <= reached + 1]
    if not passed:
        return 0
    connection.execute(LOCK)
    connection.execute(text(f"DROP TABLE {passed[0].name}"))
    return 1


def to_delete(connection: Connection, ledger: Ledger) -> int:
    """Up to where rows that a checkpoint passed go one by one: not in a part that will be dropped whole before long.

    The first part is of whatever was there before there were any.
    """
    reached = journal.pruned_to(connection, ledger.name)
    within = (one for one in parts(connection, ledger) if 0 < one.begin <= reached < one.end)
    return min((one.begin - 1 for one in within if one.end - one.begin > LEAST), default=reached)


def prune(ledger: Ledger, connection: Connection, limit: int) -> int:
    """Deletes at most so many rows that a checkpoint passed, the oldest first."""
    seq = ledger.table.c.seq
    passed = select(seq).where(seq <= to_delete(connection, ledger)).order_by(seq).limit(limit)
    return connection.execute(delete(ledger.table).where(seq.in_(passed))).rowcount
