"""What the figures were measured on, and which core is whose."""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

# On disk: /tmp is often in memory, where a durable commit costs nothing.
DISK = Path("/var/tmp")
MEASURED = ("doorward", "cryptography", "uvicorn", "uvloop", "httptools", "sqlalchemy", "fastapi", "joserfc")

TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, GENERATOR_CORE = _CORES[0], _CORES[-1]


def directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="doorward-bench-", dir=DISK if DISK.is_dir() else None)


@contextlib.contextmanager
def own_core() -> Generator[None]:
    """This process beside the load generator, and not on the server's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {GENERATOR_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy_seconds(core: int) -> float:
    """What this core worked since the machine started, whoever for."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, line.split()[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / TICKS


def described() -> dict[str, str]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "CPU": f"{_cpu()}, {len(_CORES)} cores",
        "server on core": str(SERVER_CORE),
        "load on core": f"{GENERATOR_CORE}" + (" (the same: compare nothing)" if len(_CORES) == 1 else ""),
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": _disk(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL": backend.openssl_version_text(),
        **{name: version(name) for name in MEASURED},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _disk() -> str:
    with directory() as place:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        _, kind = max((mount for mount in mounts if Path(place).is_relative_to(mount[0])), key=lambda m: len(m[0]))
        return f"{kind}, fdatasync of 4 KiB in {_sync(Path(place) / 'probe'):.0f} µs"


def _sync(path: Path, times: int = 100) -> float:
    """The price of durability here, in microseconds."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1e6
