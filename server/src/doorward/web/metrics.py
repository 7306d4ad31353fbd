"""Counters in the Prometheus format: one for every event by its type, so that no change can go uncounted.

Every worker writes its own files in one directory, and whoever is asked adds them up (decision 21).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from doorward.protocol.events import Event

DIRECTORY = "metrics"
WRITE_INTERVAL = 1.0
# Of each of a worker's files; a few hundred names fill a tenth of it.
FILE_SIZE = 512 * 1024
FILES = ("counter", "gauge_livesum", "gauge_livemax", "gauge_livemostrecent")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def prepare(data_dir: Path) -> None:
    """Empties the directory and names it to the library, which reads the name when it is imported."""
    path = data_dir.absolute() / DIRECTORY
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    # The library makes its files as the process makes any file: private, like all of the data directory.
    os.umask(0o077)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)


FAMILIES = {
    "doorward_events": ("Committed events.", ("type",)),
    "doorward_refusals": ("Refused requests.", ("reason",)),
    "doorward_http_requests": ("Answered requests.", ("endpoint", "status")),
    "doorward_verifications": ("Checked credentials.", ("type", "result")),
    "doorward_uncounted_checks": ("Checks that passed while limits could not be counted.", ()),
    "doorward_plaintext_requests": ("Requests in the clear, by what became of their credentials.", ("outcome",)),
    "doorward_turned_away": ("Requests for which there was no room, by their rank.", ("rank",)),
    "doorward_feed_events": ("Events sent to subscribers of the revocation feed.", ("event",)),
}
Mode = Literal["livesum", "livemax", "livemostrecent"]
# Of each worker by itself; how those of a node are one number.
GAUGES: Mapping[str, tuple[str, Mode]] = {
    "doorward_feed_subscribers": ("Verifiers that are told of revocations now.", "livesum"),
    "doorward_ready_workers": ("Workers that serve.", "livesum"),
    "doorward_journal_lag_events": ("Changes that a worker has not heard of yet.", "livemax"),
    "doorward_journal_lag_seconds": ("How long ago the first of these was committed.", "livemax"),
    "doorward_loop_lag_seconds": ("By how much a worker came late in the last second, at most.", "livemax"),
    "doorward_clock_skew_seconds": ("How far the clock is ahead of the database's.", "livemostrecent"),
}


def forget(pid: int) -> None:
    """A process that is gone has no subscribers; what it counted stays counted."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for file in Path(directory).glob(f"gauge_live*_{pid}.db") if directory else ():
        file.unlink(missing_ok=True)


def _reserve() -> None:
    """The library maps its files into memory, where a page that a full disk does not grant ends the process."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for kind in FILES if directory else ():
        with (Path(directory or "") / f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, FILE_SIZE)


class Metrics:
    """What this process counted since it last wrote it down: adding to a dictionary is all that a request pays for."""

    def __init__(self) -> None:
        # Imported late: the library reads the directory's name from the environment only once.
        from prometheus_client import CollectorRegistry, Counter, Gauge

        _reserve()
        own = CollectorRegistry()
        self._families = {name: Counter(name, text, labels, registry=own) for name, (text, labels) in FAMILIES.items()}
        self._pending: dict[tuple[str, ...], int] = defaultdict(int)
        self._gauges = {
            name: Gauge(name, text, registry=own, multiprocess_mode=mode) for name, (text, mode) in GAUGES.items()
        }
        self.gauges: dict[str, float] = {}
        self.subscribers = 0
        self._latest = 0.0

    def committed(self, events: Iterable[Event]) -> None:
        for event in events:
            self._pending["doorward_events", type(event).__name__] += 1

    def refused(self, reason: str) -> None:
        self._pending["doorward_refusals", reason] += 1

    def answered(self, endpoint: str, status: int) -> None:
        self._pending["doorward_http_requests", endpoint, str(status)] += 1

    def checked(self, credential: str, result: str) -> None:
        self._pending["doorward_verifications", credential or "unknown", result] += 1

    def uncounted(self) -> None:
        self._pending["doorward_uncounted_checks",] += 1

    def in_the_clear(self, outcome: str) -> None:
        self._pending["doorward_plaintext_requests", outcome] += 1

    def turned_away(self, rank: str) -> None:
        self._pending["doorward_turned_away", rank] += 1
        self.refused("overloaded")

    def is_late(self, seconds: float) -> None:
        self._latest = max(self._latest, seconds)

    def told(self, event: str, number: int = 1) -> None:
        self._pending["doorward_feed_events", event] += number

    def write(self) -> None:
        own = {"doorward_feed_subscribers": self.subscribers, "doorward_loop_lag_seconds": self._latest}
        self._latest = 0.0
        for name, value in {**self.gauges, **own}.items():
            self._gauges[name].set(value)
        pending, self._pending = self._pending, defaultdict(int)
        for (family, *labels), count in pending.items():
            counter = self._families[family]
            (counter.labels(*labels) if labels else counter).inc(count)

    async def write_regularly(self) -> None:
        """Until it is cancelled; what was counted last is written then too."""
        try:
            while True:
                await asyncio.sleep(WRITE_INTERVAL)
                self.write()
        finally:
            self.write()


def exposition() -> bytes:
    """The sum over all workers, as `/metrics` answers it."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
