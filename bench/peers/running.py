"""Others' servers on the server's core: started, waited for, counted with all of their processes, and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
from doorward_server import Doorward
from load import Request
from processes import ENVIRONMENT, PATIENCE, Child, pinned

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SERVED = Path(__file__).with_name("served")
SECONDS = 2  # of one turn
SCOPE = "invoices:read invoices:write"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Contender:
    """One program in one configuration at one workload. `prepared` makes its request when its turn comes, since
    tokens run out; what it asks for first is not measured."""

    who: str
    workload: str
    prepared: Callable[[], Request]
    seconds: int = SECONDS


def nothing_missing() -> str:
    return ""


@dataclass(frozen=True)
class Kind:
    """A product. `missing` says what keeps it from being measured, and is empty when nothing does."""

    contenders: Callable[[Doorward, Path], AbstractContextManager[list[Contender]]]
    missing: Callable[[], str] = nothing_missing
    versions: Callable[[], dict[str, str]] = dict


@dataclass(frozen=True)
class Peer(Child):
    """A server with all the processes that it has, and those of its database."""

    beside: Child | None = None

    @property
    def cpu_seconds(self) -> float:
        own = sum(_cpu_seconds(pid) for pid in _family(self.process.pid))
        return own + (self.beside.cpu_seconds if self.beside else 0.0)

    @property
    def resident_megabytes(self) -> float:
        """Of the largest of its processes: what they share is not counted twice."""
        return max(_resident_megabytes(pid) for pid in _family(self.process.pid))


@contextlib.contextmanager
def leaving_out(name: str, left_out: list[tuple[str, str]]) -> Generator[None]:
    """What fails is said loudly and kept with its reason; the others are measured all the same."""
    try:
        yield
    except (SystemExit, OSError, subprocess.SubprocessError) as reason:
        print(f"\n{name} IS LEFT OUT: {reason}", file=sys.stderr)
        left_out.append((name, str(reason)))


def program(name: str) -> str | None:
    return shutil.which(name, path=PATH)


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    port: int,
    cwd: Path,
    environment: Mapping[str, str] = {},
    beside: Child | None = None,
) -> Generator[Peer]:
    """On its core, as soon as it accepts connections. Raises SystemExit with what it said when it does not."""
    log = cwd / f"{port}.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            pinned(machine.SERVER_CORE, command), cwd=cwd, env={**ENVIRONMENT, **environment}, text=True,
            stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        if not _listens(port, process):
            raise SystemExit(f"{command[0]} did not start: {log.read_text()[-2000:]}")
        yield Peer(process, beside)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listens(port: int, process: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


def ask(url: str, body: bytes | None = None, authorization: str = "", **headers: str) -> tuple[str, Mapping[str, Any]]:
    """The body and the headers of a reply. Raises HTTPError when it is a refusal."""
    told = {"authorization": authorization} if authorization else {}
    with urllib.request.urlopen(urllib.request.Request(url, body, {**told, **headers}), timeout=30) as reply:
        return reply.read().decode(), dict(reply.headers)


def _family(pid: int) -> list[int]:
    """A process and everything that descends from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_fields(int(entry.name))[1]), []).append(int(entry.name))
    found, front = [pid], [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, [])]
        found += front
    return found


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = _fields(pid)
        return (int(fields[11]) + int(fields[12])) / machine.TICKS
    return 0.0


def _resident_megabytes(pid: int) -> float:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0) * 1024 / 1e6
    return 0.0
