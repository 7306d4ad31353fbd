"""How long the journal and the records of tokens are kept, and how they are pruned: checkpoint first, then the rows.

A checkpoint says that everything up to its `seq` may go. It stays, with the digest of what was archived, so that a
chain over the rows can begin behind it. Where an archive is asked for, nothing goes that is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol.policy import DAY
from doorward.store import journal
from doorward.store.tables import checkpoints
from doorward.store.tables import journal as journal_table
from doorward.store.tables import token_records as token_records_table

HOUR = 3600
# Rows' numbers that one checkpoint passes at most, so that a file of the archive has a size that can be handled.
SPAN = 1_000_000
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds, None for ever; and the directory that rows go to before they are pruned."""

    audit: int | None = 400 * DAY
    token_records: int | None = DAY
    archive: Path | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """A table that is pruned from its beginning, a whole `unit` of time at once: one file of the archive."""

    table: Table
    unit: int

    @property
    def name(self) -> str:
        return self.table.name


JOURNAL, TOKEN_RECORDS = Ledger(journal_table, DAY), Ledger(token_records_table, HOUR)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows behind `after` up to `last`, which are not kept any longer."""

    ledger: Ledger
    epoch: int
    after: int
    last: int
    count: int

    @property
    def file_name(self) -> str:
        """After a restore the same numbers are given again, in another epoch: no file takes the place of another."""
        return f"{self.ledger.name}-{self.epoch:010}-{self.after + 1:015}-{self.last:015}.jsonl"


def due(connection: Connection, ledger: Ledger, lifetime: int, now: int) -> Span | None:
    """What was written before the last whole unit of time that is to be kept; the newest change stays in any case.

    It ends at the first row that is younger, whatever comes behind that: a clock that was wrong takes nothing along.
    """
    table, after, head = ledger.table, journal.pruned_to(connection, ledger.name), journal.read_head(connection)
    before = (now - lifetime) // ledger.unit * ledger.unit
    behind = select(table.c.seq).where(table.c.seq > after).order_by(table.c.seq).limit(1)
    first = connection.execute(behind).scalar()
    end = head.seq if ledger is TOKEN_RECORDS else head.change_seq - 1
    if first is None or first > end:
        return None
    last = min(first + SPAN - 1, end)
    young = connection.execute(behind.where(table.c.seq <= last, table.c.at >= before)).scalar()
    last = last if young is None else young - 1
    count = connection.execute(select(func.count()).where(table.c.seq >= first, table.c.seq <= last)).scalar_one()
    return Span(ledger, head.epoch, after, last, count) if count else None


def lines(span: Span, after: int, connection: Connection) -> list[tuple[int, bytes]]:
    """The next page of a span behind `after`: each row's number, and its line as `audit export` writes it."""
    table = span.ledger.table
    rows = select(table).where(table.c.seq > after, table.c.seq <= span.last).order_by(table.c.seq).limit(PAGE)
    return [(found.seq, journal.line(found)) for found in connection.execute(rows)]


def mark(span: Span, digest: str | None, now: int, connection: Connection) -> int:
    """The checkpoint; not where somebody else wrote one meanwhile, whose clock may have said otherwise."""
    if journal.pruned_to(connection, span.ledger.name) != span.after:
        return 0
    row = {"ledger": span.ledger.name, "seq": span.last, "at": now, "count": span.count, "digest": digest}
    new = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(checkpoints)
    return connection.execute(new.on_conflict_do_nothing(), row).rowcount
