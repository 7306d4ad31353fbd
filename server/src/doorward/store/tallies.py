"""What is written without an event (laws, 3b): details of refusals in a bounded ring, and usage.

All of it goes through the worker's one writer, and never decides whether something is valid.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol.use import Used
from doorward.store import usage
from doorward.store.rows import Stale
from doorward.store.tables import refusal_details
from doorward.store.writer import Unavailable

FLUSH_INTERVAL = 1.0
USAGE_INTERVAL = 10.0
WAITING_LIMIT = 1_000
TEXT_LIMIT = 2_000

Step = Callable[[Connection], int]


@dataclass(frozen=True, slots=True)
class RefusalDetail:
    """What the public answer left out; for administrators alone, and never a secret."""

    id: str
    at: int
    reason: str
    actor: str
    method: str
    path: str
    detail: str = field(repr=False)


class Tallies:
    """Takes notes from any thread; a thread of its own writes them down, every second or every ten.

    `write` runs a step in the writer's next transaction and returns its result when that is durable.
    """

    def __init__(self, write: Callable[[Step], int]) -> None:
        self.dropped = 0
        self.usage = usage.Counting()
        self._write = write
        self._waiting: list[RefusalDetail] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tallies", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def note(self, detail: RefusalDetail) -> None:
        """Kept within a second; a flood drops what is above the limit, and counts it."""
        with self._lock:
            if len(self._waiting) < WAITING_LIMIT:
                self._waiting.append(detail)
            else:
                self.dropped += 1

    def _run(self) -> None:
        usage_at = time.monotonic()
        while not self._stopping.wait(FLUSH_INTERVAL):
            self.flush()
            if time.monotonic() >= usage_at:
                self.flush_usage()
                usage_at = time.monotonic() + USAGE_INTERVAL
        self.flush()
        self.flush_usage()

    def flush(self) -> None:
        with self._lock:
            details, self._waiting = self._waiting, []
        if not details:
            return
        try:
            self._write(partial(keep, details))
        except (Unavailable, Stale):
            with self._lock:
                self.dropped += len(details)

    def flush_usage(self) -> None:
        """What cannot be written now is counted again, and written with what comes next."""
        used = self.usage.take()
        if not used:
            return
        try:
            self._write(partial(_add_usage, used))
        except (Unavailable, Stale):
            self.usage.count(used)


def _add_usage(used: Sequence[Used], connection: Connection) -> int:
    return usage.add(connection, used)


def keep(details: Sequence[RefusalDetail], connection: Connection) -> int:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [{name.name: _storable(getattr(detail, name.name)) for name in fields(detail)} for detail in details]
    connection.execute(dialect.insert(refusal_details).on_conflict_do_nothing(), rows)
    return len(rows)


def _storable(value: str | int) -> str | int:
    """PostgreSQL knows neither NUL nor halves of surrogate pairs."""
    if isinstance(value, int):
        return value
    return value[:TEXT_LIMIT].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def find_refusal(connection: Connection, request_id: str) -> RefusalDetail | None:
    found = connection.execute(select(refusal_details).where(refusal_details.c.id == request_id)).first()
    return None if found is None else RefusalDetail(**found._mapping)
