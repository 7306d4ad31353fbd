"""The journal: one row an event, in commit order; the head row's lock makes `seq` that order (decision 2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from doorward.protocol.events import Event, entity_id, is_change, is_token_record, particulars
from doorward.protocol.moment import Position
from doorward.store.quick import Reading, cursor, insert
from doorward.store.tables import checkpoints, journal, token_records

_CHANGES = select(journal.c.seq, journal.c.entity, journal.c.entity_id).where(journal.c.change).order_by(journal.c.seq)
CHANGED_SINCE = Reading(_CHANGES.where(journal.c.seq > bindparam("known")))
PRUNED_TO = Reading(select(func.max(checkpoints.c.seq)).where(checkpoints.c.ledger == bindparam("ledger")))
HEAD_ROW = "SELECT epoch, seq, change_seq FROM journal_head WHERE id = 1"
# SQLite's writer holds the whole database by now.
LOCK = {"sqlite": HEAD_ROW, "postgresql": f"{HEAD_ROW} FOR UPDATE"}
MOVE = "UPDATE journal_head SET seq = ?, change_seq = ? WHERE id = 1"
# Rows of both are numbered together, and shown together.
LEDGERS = (journal, token_records)

encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Head:
    """The journal's end; `change_seq` is where the last change stands."""

    epoch: int
    seq: int
    change_seq: int

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.change_seq)


@dataclass(frozen=True, slots=True)
class Context:
    """Who did it, under which request id; both are public."""

    actor: str
    request_id: str = ""


class Headless(SQLAlchemyError):  # noqa: N818
    """The database moved away while this process served it: what it says is the truth no more (`move.py`)."""


def read_head(connection: Connection) -> Head:
    """The position that every later read of this connection is at least as new as."""
    return _head(_execute(connection, HEAD_ROW).fetchone())


def _head(found: Sequence[int] | None) -> Head:
    if found is None:
        raise Headless
    return Head(*found)


def last_at(connection: Connection) -> int:
    """When the last of all events was committed, 0 when there is none."""
    newest = (select(of.c.at).order_by(of.c.seq.desc()).limit(1) for of in LEDGERS)
    return max(connection.execute(query).scalar() or 0 for query in newest)


def pruned_to(connection: Connection, ledger: str = journal.name) -> int:
    """Up to here rows may be gone: whoever knows the journal no further cannot catch up by it."""
    reached = PRUNED_TO.first(connection, ledger=ledger)
    return 0 if reached is None else reached[0] or 0


def lock_head(connection: Connection) -> Head:
    """The head, locked until the transaction ends: from here on no other append can come between."""
    return _head(_execute(connection, LOCK[connection.dialect.name]).fetchone())


def _execute(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
    """By the driver itself: of these few statements SQLAlchemy's part would be the most expensive."""
    if connection.dialect.paramstyle != "qmark":
        statement = statement.replace("?", "%s")
    asked = cursor(connection)
    asked.execute(statement, values)
    return asked


def changed_since(connection: Connection, seq: int) -> list[tuple[int, str]]:
    """What was changed after `seq`: (seq, "entity/id") in order."""
    return [(at, f"{entity}/{id_}") for at, entity, id_ in CHANGED_SINCE.all(connection, known=seq)]


def append(connection: Connection, head: Head, events: Iterable[tuple[Event, Context, int]]) -> Head:
    """Writes the rows and returns the head behind them; the caller holds the lock, and moves the head once."""
    seq, change_seq = head.seq, head.change_seq
    rows: dict[Table, list[tuple[Any, ...]]] = {journal: [], token_records: []}
    for event, context, now in events:
        seq += 1
        change = is_change(event)
        if change:
            change_seq = seq
        rows[token_records if is_token_record(event) else journal].append(
            (
                seq, now, change, type(event).__name__, event.entity, entity_id(event),
                context.actor, context.request_id, encode(particulars(event)),
            )
        )  # fmt: skip
    for table, of_table in rows.items():
        if of_table:
            insert(connection, table, of_table)
    return Head(head.epoch, seq, change_seq)


def move_head(connection: Connection, head: Head) -> None:
    """Once a transaction, when it is known what was written."""
    _execute(connection, MOVE, (head.seq, head.change_seq))


def entry(found: Row[Any]) -> Mapping[str, Any]:
    """An audit entry as `/v1/audit` answers it, and as it is archived."""
    told = dict(found._mapping)
    told["kind"] = "change" if told.pop("change") else "record"
    told["data"] = json.loads(told["data"])
    return told


def line(found: Row[Any]) -> bytes:
    """The same as a line of a file."""
    return f"{encode(entry(found))}\n".encode()
