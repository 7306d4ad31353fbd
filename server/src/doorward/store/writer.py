"""A worker's one writer: all that waits shares a transaction and its fsync; each change in it stands or falls alone."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from doorward.protocol.events import Event, entity_id, is_change
from doorward.protocol.moment import Position
from doorward.store import journal, revocation_log
from doorward.store.commit import CROWD, apply_all, apply_crowd
from doorward.store.journal import Context, Head
from doorward.store.memory import Memory
from doorward.store.rows import Stale

BATCH_LIMIT = 512

log = logging.getLogger("doorward.store")


# SQLite's extended codes: a write or a sync failed, and what the system still shows of the file may not be on the disk.
BROKEN = frozenset((
    sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
))  # fmt: skip


class Unavailable(Exception):  # noqa: N818  the store's way to say not now
    """The database did not commit, or did not say so; nothing was acknowledged."""


class SetBack(Unavailable):
    """The journal is shorter than it was: an older database took its place, or a replica that lacks commits."""


@dataclass(slots=True)
class Append:
    """Events to be committed together, with the position and the things their decision relied on."""

    events: tuple[Event, ...]
    position: Position
    refs: frozenset[str]
    context: Context
    now: int
    also: Callable[[Connection], None] | None = None
    future: Any = field(default=None, repr=False)

    @property
    def is_change(self) -> bool:
        return self.also is not None or any(map(is_change, self.events))


CLASHES = (IntegrityError, Stale)
Outcome = tuple[Append, Exception | None]
Changed = dict[str, int]


class Writer:
    """A thread that commits what is put and settles the outcomes; `commit` works without it too."""

    broken: Callable[[], None] | None = None

    def __init__(self, engine: Engine, memory: Memory, settle: Callable[[list[Outcome]], None]) -> None:
        self._engine = engine.execution_options(writing=True)
        self._settle = settle
        # The database's own trouble: trying one by one would take longer, and a commit may have been done.
        driver = engine.dialect.loaded_dbapi
        self._outages = (
            OperationalError, InterfaceError, InternalError, PoolTimeout, OSError, journal.Headless, SetBack,
            driver.OperationalError, driver.InterfaceError, driver.InternalError,
        )  # fmt: skip
        self._memory = memory
        # The end of the journal that this worker wrote last.
        self.reached = memory.position
        self._queue: queue.SimpleQueue[list[Append] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Commits what is waiting, then ends."""
        self._queue.put(None)
        self._thread.join()

    def put(self, appends: list[Append]) -> None:
        self._queue.put(appends)

    def _run(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._gathered()
            batch = [append for append in batch if not append.future.done()]
            if batch:
                self._settle(self.commit(batch))

    def _gathered(self) -> tuple[list[Append], bool]:
        """All that waits; what comes while it is committed will be the next batch."""
        batch: list[Append] = []
        appends = self._queue.get()
        while appends is not None:
            batch += appends
            if self._queue.empty() or len(batch) >= BATCH_LIMIT:
                return batch, False
            appends = self._queue.get()
        return batch, True

    def commit(self, batch: Sequence[Append]) -> list[Outcome]:
        """Commits each append or says why not; never raises, since the thread must live."""
        try:
            return self._transaction(batch)
        except Exception as problem:
            if self.broken is not None and _is_broken(problem):
                self.broken()
            if len(batch) > 1 and not isinstance(problem, self._outages):
                # One of them cannot be written, whatever it is; the others shall not suffer from it.
                return [outcome for append in batch for outcome in self.commit([append])]
            if isinstance(problem, IntegrityError):
                return [(append, Stale()) for append in batch]
            log.error("nothing was committed: %s", type(problem).__name__)
            return [(append, Unavailable(type(problem).__name__)) for append in batch]

    def _transaction(self, batch: Sequence[Append]) -> list[Outcome]:
        known = max(self._memory.position, self.reached)
        with self._engine.begin() as connection:
            head = journal.lock_head(connection)
            not_set_back(head.position, known)
            changed = _changed(connection, head, batch)
            outcomes, after = _records(connection, head, changed, [a for a in batch if not a.is_change])
            crowd, others = _divided([a for a in batch if a.is_change])
            if crowd:
                of_crowd, after = _crowd(connection, after, changed, crowd)
                outcomes += of_crowd
            for append in others:
                problem, after = _change(connection, after, changed, append)
                outcomes.append((append, problem))
            if after != head:
                journal.move_head(connection, after)
        self.reached = max(known, after.position)
        changes = [ref for append, problem in outcomes if problem is None for ref in _refs(append)]
        if changes:
            self._memory.forget(changes, after.position)
        return outcomes


def _is_broken(problem: Exception) -> bool:
    """PostgreSQL ends by itself then, and begins again from what is on the disk."""
    return getattr(getattr(problem, "orig", problem), "sqlite_errorcode", 0) in BROKEN


def not_set_back(found: Position, known: Position) -> None:
    """`known` was known before `found` was read: the journal never gets shorter by itself. Raises SetBack."""
    if found < known:
        raise SetBack(f"the journal is at {found}, and was at {known}")


def _records(connection: Connection, head: Head, changed: Changed, records: list[Append]) -> tuple[list[Outcome], Head]:
    outcomes: list[Outcome] = [(append, Stale() if _is_stale(append, head, changed) else None) for append in records]
    fresh = [append for append, problem in outcomes if problem is None]
    return outcomes, _written(connection, head, fresh)


def _divided(changes: list[Append]) -> tuple[list[Append], list[Append]]:
    """Those that can be written together, and the others; one is no crowd."""
    crowd = [append for append in changes if append.also is None and all(type(one) in CROWD for one in append.events)]
    if len(crowd) < 2:
        return [], changes
    among = set(map(id, crowd))
    return crowd, [append for append in changes if id(append) not in among]


def _crowd(connection: Connection, head: Head, changed: Changed, crowd: list[Append]) -> tuple[list[Outcome], Head]:
    """All at once, and only when that fails each alone: what a rule of the database refuses was nearly always found
    stale before."""
    outcomes: list[Outcome] = []
    known = dict(changed)
    for append in crowd:
        problem = Stale() if _is_stale(append, head, known) else None
        outcomes.append((append, problem))
        if problem is None:
            # No facts are newer than the head, so that any number behind it says so.
            known |= dict.fromkeys(_refs(append), head.seq + 1)
    try:
        with connection.begin_nested():
            after = _written(connection, head, [append for append, problem in outcomes if problem is None])
    except CLASHES:
        return _one_by_one(connection, head, changed, crowd)
    changed.update(known)
    return outcomes, after


def _one_by_one(conn: Connection, head: Head, changed: Changed, appends: list[Append]) -> tuple[list[Outcome], Head]:
    outcomes: list[Outcome] = []
    for append in appends:
        problem, head = _change(conn, head, changed, append)
        outcomes.append((append, problem))
    return outcomes, head


def _change(connection: Connection, head: Head, changed: Changed, append: Append) -> tuple[Exception | None, Head]:
    """What fails is undone alone. What succeeds counts as changed for those after it in the batch."""
    if _is_stale(append, head, changed):
        return Stale(), head
    try:
        with connection.begin_nested():
            after = _written(connection, head, [append])
            revocation_log.write(connection, head.seq, append.events, append.now)
            if append.also is not None:
                append.also(connection)
    except CLASHES:
        return Stale(), head
    changed |= dict.fromkeys(_refs(append), after.seq)
    return None, after


def _written(connection: Connection, head: Head, appends: list[Append]) -> Head:
    for now, at_once in groupby(appends, lambda append: append.now):
        _apply(connection, [*at_once], now)
    entries = [(event, append.context, append.now) for append in appends for event in append.events]
    return journal.append(connection, head, entries) if entries else head


def _apply(connection: Connection, appends: list[Append], now: int) -> None:
    if all(type(event) in CROWD for append in appends for event in append.events):
        apply_crowd(connection, chain.from_iterable(append.events for append in appends), now)
        return
    for append in appends:
        apply_all(connection, append.events, now)


def _refs(append: Append) -> list[str]:
    """What the append changes."""
    return [f"{event.entity}/{entity_id(event)}" for event in append.events if is_change(event)]


def _changed(connection: Connection, head: Head, batch: Sequence[Append]) -> Changed:
    """What was changed since the oldest of the positions, and where last."""
    oldest = min(append.position.seq for append in batch)
    found = journal.changed_since(connection, oldest) if head.change_seq > oldest else []
    return {ref: seq for seq, ref in found}


def _is_stale(append: Append, head: Head, changed: Changed) -> bool:
    if append.position.epoch != head.epoch:
        return True
    return any(changed.get(ref, 0) > append.position.seq for ref in append.refs)
