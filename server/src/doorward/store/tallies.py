"""What is written without an event (laws, 3b): the details of refusals in a bounded ring, and housekeeping.

Both go through the worker's one writer; neither ever decides whether something is valid.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol.events import AccessTokenIssued
from doorward.store.tables import idempotency, journal, opaque_tokens, refusal_details, revoked_tokens

FLUSH_INTERVAL = 1.0
SWEEP_INTERVAL = 60.0
WAITING_LIMIT = 1_000
RING = 100_000
TEXT_LIMIT = 2_000
# Small, so that commits in between never wait long.
STEP = 1_000
LEEWAY = 60
ISSUED_LIFETIME = 86_400

Write = Callable[[Connection], None]


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


def find_refusal(connection: Connection, request_id: str) -> RefusalDetail | None:
    found = connection.execute(select(refusal_details).where(refusal_details.c.id == request_id)).first()
    return None if found is None else RefusalDetail(**found._mapping)


class Tallies:
    """`note` from any thread; a thread hands on what was noted every second and sweeps every minute.

    `write` hands a write to the writer and returns when it is durable, or raises.
    """

    def __init__(self, write: Callable[[Write], None]) -> None:
        self.dropped = 0
        self._write = write
        self._waiting: list[RefusalDetail] = []
        self._since_trim = 0
        self._swept_to = 0
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
        sweep_at = time.monotonic()
        while not self._stopping.wait(FLUSH_INTERVAL):
            self.flush()
            if time.monotonic() >= sweep_at:
                self.sweep(int(time.time()))
                sweep_at = time.monotonic() + SWEEP_INTERVAL
        self.flush()

    def flush(self) -> None:
        with self._lock:
            details, self._waiting = self._waiting, []
        self._since_trim += len(details)
        trim = self._since_trim >= STEP
        if trim:
            self._since_trim = 0
        if details and not self._written(lambda connection: _keep(connection, details, trim)):
            with self._lock:
                self.dropped += len(details)

    def sweep(self, now: int) -> None:
        """Step by step, so that what others commit comes in between."""
        for table, expired_at in _ended(now):
            self._sweep(lambda connection, t=table, e=expired_at: _delete_expired(connection, t, e))  # type: ignore[misc]
        self._sweep(trim_ring)
        self._sweep(lambda connection: self._sweep_issued(connection, now - ISSUED_LIFETIME))

    def _sweep_issued(self, connection: Connection, before: int) -> int:
        seen, self._swept_to = delete_issued(connection, self._swept_to, before)
        return seen

    def _sweep(self, step: Callable[[Connection], int]) -> None:
        done: list[int] = []
        while self._written(lambda connection: done.append(step(connection))):
            if done[-1] < STEP or self._stopping.is_set():
                return

    def _written(self, write: Write) -> bool:
        try:
            self._write(write)
        except Exception:
            return False
        return True
