"""Child processes on a core of their own, ended whatever happens, and what they used."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import machine

COMMAND = Path(sys.executable).with_name("doorward")
PATIENCE = 15
# What the caller set for a server of his own is no part of the measurement.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}


@dataclass(frozen=True)
class Child:
    process: subprocess.Popen[str]

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    @property
    def resident_megabytes(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout


@dataclass(frozen=True)
class Together:
    """Those that a request passes, all on the server's core."""

    children: Sequence[Child]

    @property
    def cpu_seconds(self) -> float:
        return sum(child.cpu_seconds for child in self.children)


def cpu_seconds(pid: int) -> float:
    """Of a process and all that it started, whether they live or were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / machine.TICKS + sum(map(cpu_seconds, children(pid)))


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def pinned(cores: int | str, command: Sequence[str | Path]) -> list[str]:
    """`cores` as taskset has them: 1, or "0,1"."""
    return ["taskset", "--cpu-list", str(cores), *map(str, command)]


@contextlib.contextmanager
def started(command: Sequence[str | Path], cwd: Path, cores: int | str = machine.SERVER_CORE) -> Generator[Child]:
    """A server on its core; it has begun to listen when it prints its first line."""
    process = subprocess.Popen(pinned(cores, command), cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        child = Child(process)
        if not child.output.readline():
            raise SystemExit(f"{command[0]} did not start")
        yield child
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}")
