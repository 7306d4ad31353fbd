"""A worker's one writer: waiting records share a commit, each change has its own (decision 1)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from doorward.protocol.events import Event, entity_id, is_change
from doorward.protocol.moment import Position
from doorward.store import journal
from doorward.store.commit import apply
from doorward.store.journal import Context, Head
from doorward.store.memory import Memory
from doorward.store.rows import Stale

QUEUE_LIMIT = 10_000
BATCH_LIMIT = 512


class Unavailable(Exception):  # noqa: N818  the store's way to say not now
    """The database did not commit; nothing was changed."""


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
        return self.also is not None or any(is_change(event) for event in self.events)


Outcome = tuple[Append, Exception | None]


class Writer:
    """A thread that commits what is put and settles the outcomes; `commit` works without it too."""

    def __init__(self, engine: Engine, memory: Memory, settle: Callable[[list[Outcome]], None]) -> None:
        self._engine = engine.execution_options(writing=True)
        self._settle = settle
        self._memory = memory
        self._queue: queue.Queue[Append | None] = queue.Queue(QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Commits what is waiting, then ends."""
        self._queue.put(None)
        self._thread.join()

    def put(self, append: Append) -> None:
        """Raises queue.Full when too much is waiting."""
        self._queue.put_nowait(append)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ending = self._drain(first)
            self._settle(self.commit(batch))
            if ending:
                return

    def _drain(self, first: Append) -> tuple[list[Append], bool]:
        batch = [first]
        while len(batch) < BATCH_LIMIT:
            try:
                append = self._queue.get_nowait()
            except queue.Empty:
                break
            if append is None:
                return batch, True
            batch.append(append)
        return batch, False

    def commit(self, batch: Sequence[Append]) -> list[Outcome]:
        """Commits each append or says why not; records share one transaction."""
        records = [append for append in batch if not append.is_change]
        outcomes = self._transaction(records) if records else []
        for append in batch:
            if append.is_change:
                outcomes += self._transaction([append])
        return outcomes

    def _transaction(self, batch: list[Append]) -> list[Outcome]:
        try:
            with self._engine.begin() as connection:
                head, outcomes = self._write(connection, batch)
        except (IntegrityError, Stale):
            return [(append, Stale()) for append in batch]
        except (DBAPIError, SQLAlchemyError, OSError) as problem:
            return [(append, Unavailable(type(problem).__name__)) for append in batch]
        changes = [ref for append, problem in outcomes if problem is None for ref in _changes(append)]
        if changes:
            self._memory.forget(changes, head.position)
        return outcomes

    def _write(self, connection: Connection, batch: list[Append]) -> tuple[Head, list[Outcome]]:
        head = journal.lock_head(connection)
        stale = _stale(connection, head, batch)
        outcomes: list[Outcome] = [(append, Stale()) for append in stale]
        fresh = [append for append in batch if append not in stale] if stale else batch
        for append in fresh:
            for event in append.events:
                apply(connection, event, append.now)
            if append.also is not None:
                append.also(connection)
        rows = [(event, append.context) for append in fresh for event in append.events]
        if rows:
            journal.append(connection, head, rows, fresh[0].now)
        return head, outcomes + [(append, None) for append in fresh]


def _changes(append: Append) -> list[str]:
    return [f"{event.entity}/{entity_id(event)}" for event in append.events if is_change(event)]


def _stale(connection: Connection, head: Head, batch: list[Append]) -> list[Append]:
    """The appends whose facts were changed between their reading and now."""
    oldest = min(append.position.seq for append in batch)
    if head.change_seq <= oldest and all(append.position.epoch == head.epoch for append in batch):
        return []
    changes = journal.changed_since(connection, oldest)
    return [append for append in batch if _is_stale(append, head, changes)]


def _is_stale(append: Append, head: Head, changes: list[tuple[int, str]]) -> bool:
    if append.position.epoch != head.epoch:
        return True
    return any(seq > append.position.seq and ref in append.refs for seq, ref in changes)
