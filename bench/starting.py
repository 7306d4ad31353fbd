"""How long it takes to start, and how much memory a worker holds."""

from __future__ import annotations

import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

import machine
from figures import Figure
from processes import COMMAND, ENVIRONMENT, free_port, pinned, started

TIMES = 3
COMMAND_TIMES = 5


def run(place: Path, _progress: Generator[None, str]) -> list[Figure]:
    """From the command to the first answer over TLS, as `doorward serve` is used: first with nothing there."""
    first = [_start(place / f"first-{number}") for number in range(TIMES)]
    again = [_start(place / f"first-{number}") for number in range(TIMES)]
    return [
        Figure("first start of `doorward serve`, everything made", "s", first),
        Figure("every later start", "s", again, required=1.5, aimed=0.8),
        Figure("`doorward --version`", "s", [_took(_version) for _ in range(COMMAND_TIMES)]),
    ]


def _start(data_dir: Path) -> float:
    port = free_port()
    begun = time.perf_counter()
    with started([COMMAND, "--data-dir", data_dir, "serve", "--port", str(port)], data_dir.parent):
        context = ssl.create_default_context(cafile=data_dir / "ca.pem")
        with urllib.request.urlopen(f"https://localhost:{port}/healthz", timeout=10, context=context) as reply:
            assert reply.status == 200
            return time.perf_counter() - begun


def _version() -> None:
    subprocess.run(
        pinned(machine.SERVER_CORE, [COMMAND, "--version"]), env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL
    )


def _took(act: Callable[[], None]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
