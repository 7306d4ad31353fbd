"""The journal: one row an event, in commit order; the head row's lock makes `seq` that order (decision 2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from doorward.protocol.events import Event, entity_id, is_change, particulars
from doorward.protocol.moment import Position
from doorward.store.tables import journal, journal_head

HEAD = select(journal_head.c.epoch, journal_head.c.seq, journal_head.c.change_seq).where(journal_head.c.id == 1)
LOCK = HEAD.with_for_update()
CHANGES = select(journal.c.seq, journal.c.entity, journal.c.entity_id).where(journal.c.change).order_by(journal.c.seq)


@dataclass(slots=True)
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


def read_head(connection: Connection) -> Head:
    """The position that every later read of this connection is at least as new as."""
    return Head(*connection.execute(HEAD).one())


def lock_head(connection: Connection) -> Head:
    """The head, locked until the transaction ends: from here on no other append can come between."""
    return Head(*connection.execute(LOCK).one())


def changed_since(connection: Connection, seq: int) -> list[tuple[int, str]]:
    """What was changed after `seq`: (seq, "entity/id") in order."""
    rows = connection.execute(CHANGES.where(journal.c.seq > seq))
    return [(found.seq, f"{found.entity}/{found.entity_id}") for found in rows]


def append(connection: Connection, head: Head, events: Iterable[tuple[Event, Context]], now: int) -> None:
    """Writes the rows and moves the head; the caller holds the lock."""
    rows = []
    for event, context in events:
        head.seq += 1
        change = is_change(event)
        if change:
            head.change_seq = head.seq
        rows.append(_row(head.seq, change, event, context, now))
    connection.execute(journal.insert(), rows)
    values = {"seq": head.seq, "change_seq": head.change_seq}
    connection.execute(update(journal_head).where(journal_head.c.id == 1).values(values))


def _row(seq: int, change: bool, event: Event, context: Context, now: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": now,
        "change": change,
        "type": type(event).__name__,
        "entity": event.entity,
        "entity_id": entity_id(event),
        "actor": context.actor,
        "request_id": context.request_id,
        "data": json.dumps(particulars(event), separators=(",", ":")),
    }


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows the audit log shows: behind `after` in the order asked for, of one type or entity if named."""

    after: int | None
    limit: int
    newest_first: bool = False
    type: str | None = None
    entity_id: str | None = None


def page(connection: Connection, query: Query) -> list[Mapping[str, Any]]:
    order = journal.c.seq.desc() if query.newest_first else journal.c.seq
    rows = select(journal).order_by(order).limit(query.limit)
    if query.after is not None:
        rows = rows.where(journal.c.seq < query.after if query.newest_first else journal.c.seq > query.after)
    for column in ("type", "entity_id"):
        if (wanted := getattr(query, column)) is not None:
            rows = rows.where(journal.c[column] == wanted)
    return [_entry(found) for found in connection.execute(rows)]


def _entry(found: Row[Any]) -> Mapping[str, Any]:
    """An audit entry as `/v1/audit` answers it."""
    entry = dict(found._mapping)
    entry["kind"] = "change" if entry.pop("change") else "record"
    entry["data"] = json.loads(entry["data"])
    return entry
