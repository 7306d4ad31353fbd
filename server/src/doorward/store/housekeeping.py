"""What removes each row that is over, and when: without an event (laws, 3b), since none of it could act any more.

One of all workers on all nodes does it, every minute, in steps that take a few milliseconds, each with a pause after
it, so that those who commit go first. On PostgreSQL it holds no lock that a commit waits for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from doorward.store import archive, partitions, retention
from doorward.store.leases import Lease
from doorward.store.retention import JOURNAL, TOKEN_RECORDS, Ledger, Retention, Span
from doorward.store.rows import Stale
from doorward.store.sweeping import RULES, Step, shrink
from doorward.store.writer import Unavailable

INTERVAL = 60
LOOK = 5.0
# A step's rows are as many as take about so long; then others have the database for a multiple of that.
TARGET, PAUSES = 0.005, 4
FEWEST, FIRST, MOST = 20, 200, 5_000
PAUSE_LIMIT = 1.0

log = logging.getLogger("doorward.housekeeping")
Write = Callable[[Callable[[Connection], int]], int]
Read = Callable[[Callable[[Connection], Any]], Any]


class Interrupted(Exception):  # noqa: N818
    """The worker ends, or another one does the rest."""


@dataclass(slots=True)
class Pace:
    """How many rows the next step takes, by how long the last one took."""

    limit: int = FIRST

    def took(self, seconds: float) -> None:
        if seconds > TARGET:
            self.limit = max(self.limit // 2, FEWEST)
        elif seconds < TARGET / 2:
            self.limit = min(self.limit * 2, MOST)


class Housekeeping:
    """`write` runs a step in a transaction of its own, or in the worker's next one, and returns when it is durable."""

    def __init__(self, read: Read, write: Write, now: Callable[[], int], kept: Retention) -> None:
        self._read, self._write, self._now, self._kept = read, write, now, kept
        self._lease = Lease("housekeeping", read, write)
        self._alarmed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            # What could not be done now is done a minute later.
            with suppress(Unavailable, Stale, Interrupted):
                self.look()

    def look(self) -> bool:
        """Does all that is to be done, if nobody else has since a minute ago; whether it did."""
        if not self._lease.claim(self._now()):
            return False
        self.sweep(self._now())
        self._lease.release(self._now(), INTERVAL)
        return True

    def sweep(self, now: int) -> None:
        for rule in RULES:
            if rule.step is not None:
                self._repeat(partial(rule.step, now))
        for ledger, lifetime in ((TOKEN_RECORDS, self._kept.token_records), (JOURNAL, self._kept.audit)):
            self._repeat(partial(partitions.make_ahead, ledger, now), least=1)
            if lifetime is not None:
                self._prune(ledger, lifetime, now)
        self._repeat(shrink)

    def _repeat(self, step: Step, least: int | None = None) -> None:
        """Until there is no more: a step that did less than it might have was the last one."""
        pace = Pace()
        while True:
            limit, took = pace.limit, Took()
            done = self._write(partial(took, step, limit))
            pace.took(took.seconds)
            if done < (least or limit):
                return
            self._rest(took.seconds)

    def _rest(self, took: float) -> None:
        if self._stopping.wait(min(took * PAUSES, PAUSE_LIMIT)) or not self._lease.renew(self._now()):
            raise Interrupted

    def _prune(self, ledger: Ledger, lifetime: int, now: int) -> None:
        while (span := self._read(lambda connection: retention.due(connection, ledger, lifetime, now))) is not None:
            try:
                digest = self._archived(span)
            except OSError as problem:
                self._alarm(problem)
                break
            self._write(partial(retention.mark, span, digest, now))
            self._rest(0)
        self._repeat(partial(partitions.drop_passed, ledger), least=1)
        self._repeat(partial(partitions.prune, ledger))

    def _archived(self, span: Span) -> str | None:
        if self._kept.archive is None:
            return None
        digest = archive.write(self._kept.archive, span.file_name, self._lines(span))
        self._alarmed = False
        return digest

    def _lines(self, span: Span) -> Iterator[bytes]:
        """Page by page, each read for itself: what is long past does not change in between."""
        after = span.after
        while page := self._read(partial(retention.lines, span, after)):
            yield from (line for _, line in page)
            after = page[-1][0]
            self._rest(0)

    def _alarm(self, problem: OSError) -> None:
        if not self._alarmed:
            log.error("nothing is pruned: the audit archive cannot be written: %s", problem.strerror)
        self._alarmed = True


class Took:
    """Runs a step, and remembers for how long it kept the database to itself."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, step: Step, limit: int, connection: Connection) -> int:
        began = time.perf_counter()
        done = step(connection, limit)
        self.seconds = time.perf_counter() - began
        return done
