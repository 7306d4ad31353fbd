"""Where the time goes: of each hot path the functions that cost most, per request, with every call counted.

where.py                prints the tables
where.py --publish      also writes them into docs/explanation/performance.md

Counts of calls are the same everywhere but for what happens once a second; microseconds are raised by the counting.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import doorward_server
import flows
import load
import machine
from doorward_server import Doorward
from load import Request
from processes import PATIENCE, started

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- where: begin -->", "<!-- where: end -->"
PROFILED = Path(__file__).with_name("profiled.py")
PATHS = (
    "issue a JWT, ES256", "introspect a JWT", "introspect a key by its digest", "/v1/keys/verify",
    "/v1/keys/verify, with a rate limit in the database", "/check/nginx, a key", "/check/nginx, a JWT",
)  # fmt: skip
SECONDS = 3
SHOWN = 12
# Counting makes a server slow, and those who wait for its commits would be refused.
CALLERS = 8
# A room is what a file's path contains; the first that fits counts.
ROOMS = {
    "/doorward/protocol/": "doorward.protocol", "/doorward/store/": "doorward.store", "/doorward/web/": "doorward.web",
    "/doorward/": "doorward, the rest", "/doorward_verify/": "doorward_verify", "/sqlalchemy/": "SQLAlchemy",
    "/uvicorn/": "uvicorn", "/starlette/": "Starlette", "/fastapi/": "FastAPI", "/pydantic": "pydantic",
    "/cryptography/": "cryptography", "/joserfc/": "joserfc", "/asyncio/": "asyncio", "/json/": "json",
    "/site-packages/": "other libraries",
}  # fmt: skip
# Built-in functions have no file, but a name that says whose they are.
BUILT_IN = {
    "sqlite3": "SQLite", "sign": "signing", "verify": "signing", "httptools": "uvicorn", "uvloop": "uvloop",
    "_hashlib": "hashing", "sha256": "hashing", "hmac": "hashing", "Cython": "uvloop", "sqlalchemy": "SQLAlchemy",
}  # fmt: skip
# What the counting itself shows of itself.
COUNTING = ("bench/profiled.py", "method 'disable' of '_lsprof")
Counted = dict[tuple[str, str], tuple[int, float]]


@dataclass(frozen=True)
class Spent:
    """Of one function in one request."""

    room: str
    name: str
    calls: float
    microseconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--publish", action="store_true", help=f"also write {PAGE.name}")
    arguments = parser.parse_args()
    load.require_wrk()
    with machine.directory() as name, machine.own_core():
        found = dict(_measured(Path(name)))
    text = "\n\n".join(_section(path, spent) for path, spent in found.items() if spent)
    sys.stdout.write(f"{text}\n")
    if not all(found.values()):
        raise SystemExit("Nothing is published where something could not be counted.")
    if arguments.publish:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def _measured(place: Path) -> Iterator[tuple[str, list[Spent]]]:
    with doorward_server.running(place / "data") as prepared:
        pass
    told = place / "counted"
    told.mkdir()
    command = [sys.executable, PROFILED, told, *prepared.command[1:]]
    with started(command, prepared.data_dir.parent) as child:
        doorward = replace(prepared, child=child)
        counts = _Counts(doorward, told)
        requests = {one.name: one for one in doorward_server.requests(doorward)}
        work = {path: partial(_asked, requests[path]) for path in PATHS}
        work |= {path: partial(_flowed, doorward, flow) for path, flow in flows.prepared(doorward, CALLERS).items()}
        # Each is warmed up: what is imported or built at its first use is no part of a request.
        for path, done in work.items():
            try:
                done(1)
                yield path, counts.during(partial(done, SECONDS))
            except SystemExit as problem:
                sys.stderr.write(f"not counted: {path}: {problem}\n")
                yield path, []


def _asked(request: Request, seconds: int) -> int:
    return load.measure(request, seconds).replies


def _flowed(doorward: Doorward, told: dict[str, Any], seconds: int) -> int:
    return flows.measured(doorward, told, seconds)[0].replies


@dataclass
class _Counts:
    doorward: Doorward
    directory: Path
    _numbers: Iterator[int]

    def __init__(self, doorward: Doorward, directory: Path) -> None:
        self.doorward, self.directory, self._numbers = doorward, directory, itertools.count()

    def during(self, work: Callable[[], int]) -> list[Spent]:
        """What each of so many replies took, the dearest function first."""
        before = self._read()
        replies = work()
        after = self._read()
        spent = [
            Spent(
                _room(*name), _shown(*name), (calls - before.get(name, (0, 0.0))[0]) / replies,
                (seconds - before.get(name, (0, 0.0))[1]) / replies * 1e6,
            )
            for name, (calls, seconds) in after.items()
        ]  # fmt: skip
        ours = [one for one in spent if one.calls > 0 and not one.name.startswith(COUNTING)]
        return sorted(ours, key=lambda one: -one.microseconds)

    def _read(self) -> Counted:
        self.doorward.child.process.send_signal(signal.SIGUSR1)
        file = self.directory / f"{next(self._numbers)}.json"
        deadline = time.monotonic() + PATIENCE
        while not file.exists():
            if time.monotonic() > deadline:
                raise SystemExit("the server does not tell what it counted")
            time.sleep(0.01)
        return {(path, name): (calls, seconds) for path, name, calls, seconds in json.loads(file.read_text())}


def _room(path: str, name: str) -> str:
    if not path or path.startswith("<"):
        return next((room for part, room in BUILT_IN.items() if part in name), "Python's own functions")
    return next((room for part, room in ROOMS.items() if part in path), "Python's library")


def _shown(path: str, name: str) -> str:
    """As somebody looks it up: the file in its package, and the function."""
    if not path or path.startswith("<"):
        return name.strip("<>").replace("built-in method ", "").replace("|", "\\|")
    return f"{'/'.join(Path(path).parts[-2:])}: {name}"


def _section(path: str, spent: list[Spent]) -> str:
    total = sum(one.microseconds for one in spent)
    rooms = Counter[str]()
    for one in spent:
        rooms[one.room] += one.microseconds  # type: ignore[assignment]
    by_room = ", ".join(f"{room} {100 * part / total:.0f} %" for room, part in rooms.most_common(8))
    rows = [
        f"| `{one.name}` | {one.calls:.2f} | {one.microseconds:.1f} | {100 * one.microseconds / total:.1f} % |"
        for one in spent[:SHOWN]
    ]
    calls = sum(one.calls for one in spent)
    head = "| function | calls each | µs each, itself | of all |\n|---|---|---|---|"
    return f"### {path}\n\n{calls:,.0f} calls each. {by_room}.\n\n{head}\n" + "\n".join(rows)


if __name__ == "__main__":
    main()
