"""What is written without an event (laws, 3b): details of refusals in a bounded ring, usage, and housekeeping.

All of it goes through the worker's one writer, and never decides whether something is valid.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import takewhile

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol.events import AccessTokenIssued
from doorward.protocol.use import Used
from doorward.store import usage
from doorward.store.revocation_log import RETENTION
from doorward.store.rows import Stale
from doorward.store.tables import (
    attempts,
    authorization_requests,
    codes,
    idempotency,
    journal,
    limit_cells,
    listed_tokens,
    notices,
    opaque_tokens,
    refresh_tokens,
    refusal_details,
    reset_links,
    revocation_entries,
    revoked_tokens,
    session_uses,
    sessions,
    status_lists,
    upstream_sign_ins,
)
from doorward.store.writer import Unavailable

FLUSH_INTERVAL = 1.0
USAGE_INTERVAL = 10.0
SWEEP_INTERVAL = 60.0
WAITING_LIMIT = 1_000
RING = 100_000
TEXT_LIMIT = 2_000
# Small, so that whoever commits in between never waits long.
STEP = 1_000
TOKEN_LEEWAY = 60
ISSUED_LIFETIME = 86_400
# For so long a second use of a code is noticed (T031), and a refresh token is told from one that never was.
CODE_RETENTION = 86_400
REFRESH_TOKEN_RETENTION = 86_400
# So long a user's page and the limiter remember where he signed in.
SESSION_RETENTION = 90 * 86_400

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
    """Takes notes from any thread; a thread of its own writes them down, every second or every ten, and sweeps.

    `write` runs a step in the writer's next transaction and returns its result when that is durable.
    """

    def __init__(self, write: Callable[[Step], int]) -> None:
        self.dropped = 0
        self.usage = usage.Counting()
        self._write = write
        self._waiting: list[RefusalDetail] = []
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
        sweep_at = usage_at = time.monotonic()
        while not self._stopping.wait(FLUSH_INTERVAL):
            self.flush()
            if time.monotonic() >= usage_at:
                self.flush_usage()
                usage_at = time.monotonic() + USAGE_INTERVAL
            if time.monotonic() >= sweep_at:
                # What could not be swept now is swept a minute later.
                with contextlib.suppress(Unavailable, Stale):
                    self.sweep(int(time.time()))
                sweep_at = time.monotonic() + SWEEP_INTERVAL
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

    def sweep(self, now: int) -> None:
        """Step by step: each is a transaction's worth."""
        for table, leeway in ENDED:
            self._repeat(partial(delete_ended, table, now - leeway))
        self._repeat(partial(usage.forget_hours, now - usage.RETENTION, STEP))
        self._repeat(trim_ring)
        self._sweep_issued(now - ISSUED_LIFETIME)

    def _repeat(self, step: Step) -> None:
        while self._write(step) >= STEP and not self._stopping.is_set():
            pass

    def _sweep_issued(self, before: int) -> None:
        """Changes are kept for good; so as not to pass them by each time, it goes on from where it was."""
        step = partial(delete_issued, before=before)
        while (reached := self._write(partial(step, after=self._swept_to))) > self._swept_to:
            self._swept_to = reached
            if self._stopping.is_set():
                return


# Access tokens stay a little longer than they live, since clocks differ; what was revoked, for those who resume.
ENDED = (
    (idempotency, 0),
    (revoked_tokens, TOKEN_LEEWAY),
    (opaque_tokens, TOKEN_LEEWAY),
    (listed_tokens, TOKEN_LEEWAY),
    (status_lists, TOKEN_LEEWAY),
    (revocation_entries, RETENTION),
    (authorization_requests, 0),
    (upstream_sign_ins, 0),
    (codes, CODE_RETENTION),
    (refresh_tokens, REFRESH_TOKEN_RETENTION),
    (attempts, 0),
    (session_uses, 0),
    (sessions, SESSION_RETENTION),
    (reset_links, 86_400),
    (notices, 0),
    (limit_cells, TOKEN_LEEWAY),
)


def delete_ended(table: Table, expired_by: int, connection: Connection) -> int:
    """Deletes at most a step's worth of what expired by then, and returns how many rows that were."""
    key = table.primary_key.columns[0]
    ended = select(key).where(table.c.expires_at <= expired_by).limit(STEP)
    return connection.execute(delete(table).where(key.in_(ended))).rowcount


def delete_issued(connection: Connection, *, after: int, before: int) -> int:
    """Deletes old records of issued tokens from the next rows behind `after`, and returns how far it came."""
    rows = connection.execute(
        select(journal.c.seq, journal.c.at).where(journal.c.seq > after).order_by(journal.c.seq).limit(STEP)
    )
    old = [row.seq for row in takewhile(lambda row: row.at <= before, rows)]
    if not old:
        return after
    reached: int = old[-1]
    issued = journal.c.seq.between(old[0], reached) & (journal.c.type == AccessTokenIssued.__name__)
    connection.execute(delete(journal).where(issued))
    return reached


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


def trim_ring(connection: Connection) -> int:
    oldest = select(refusal_details.c.id).order_by(refusal_details.c.at.desc()).offset(RING).limit(STEP)
    return connection.execute(delete(refusal_details).where(refusal_details.c.id.in_(oldest))).rowcount


def find_refusal(connection: Connection, request_id: str) -> RefusalDetail | None:
    found = connection.execute(select(refusal_details).where(refusal_details.c.id == request_id)).first()
    return None if found is None else RefusalDetail(**found._mapping)
