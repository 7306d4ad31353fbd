"""The engines side by side: a private PostgreSQL of the bench's own, and what it used."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
from processes import children, cpu_seconds

ROOT = Path(__file__).resolve().parents[1]
# Durable, as it is set when nothing is set: fsync and synchronous_commit are on.
SIZES = ("shared_buffers=256MB", "max_wal_size=4GB", "checkpoint_timeout=15min")


@dataclass(frozen=True)
class Cluster:
    """`pid` is the postmaster's, whose children serve; `create` makes an empty database, and returns its URL."""

    create: Callable[[], str]
    pid: int

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)


@contextlib.contextmanager
def postgresql(cores: int | str = machine.GENERATOR_CORE) -> Generator[Cluster]:
    """A cluster as the tests have it, on these cores. Raises SystemExit where there is no PostgreSQL."""
    sys.path.insert(0, str(ROOT))
    private: Any = importlib.import_module("tests.postgresql")
    if private.binaries() is None:
        raise SystemExit(private.MISSING)
    private.SETTINGS = (*private.SETTINGS, *SIZES)
    with private.private(place=machine.DISK if machine.DISK.is_dir() else None) as found:
        pid = int((found.directory / "data" / "postmaster.pid").read_text().split("\n")[0])
        pin(pid, cores)
        yield Cluster(found.create, pid)


def pin(pid: int, cores: int | str) -> None:
    """A process and all that it started; what it starts later is where it is."""
    wanted = {int(core) for core in str(cores).split(",")}
    for one in (pid, *children(pid)):
        for task in Path(f"/proc/{one}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), wanted)
