"""Load over HTTP: wrk on one core, the servers on the other, every reply checked."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import machine
from processes import Child, Together, pinned

CONNECTIONS = 64
SCRIPT = Path(__file__).with_name("check.lua")
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """One kind of request. Every reply has `status` and contains `member`; `fresh` ones are never the same twice.

    Of `bodies` one is sent after the other, and over again.
    """

    name: str
    server: Child | Together = field(repr=False)
    url: str
    member: str
    method: str = "POST"
    body: str = ""
    content_type: str = FORM
    authorization: str = field(default="", repr=False)
    status: int = 200
    fresh: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    bodies: tuple[str, ...] = field(default=(), repr=False)
    connections: int = CONNECTIONS
    # A file: of its lines each ends the body of one request.
    endings: str = field(default="", repr=False)


@dataclass(frozen=True)
class Round:
    """`p50` and `p99` are milliseconds; `others` is the share of either core that went to anybody else."""

    replies: int
    per_second: float
    cpu_microseconds: float
    p50: float
    p99: float
    others: float


class TurnedAway(SystemExit):
    """The server was late, and said so: for want of a core that others had, as a rule."""


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("The load generator is missing. On Debian: apt-get install wrk")


def measure(request: Request, seconds: int) -> Round:
    """Raises SystemExit when a single reply was not what it had to be."""
    return round_of(request.server, lambda: counted(request, seconds))


def round_of(server: Child | Together, counting: Callable[[], Mapping[str, int]]) -> Round:
    """What a generator counted while `server` answered it, and what that cost."""
    before = _spent(server)
    found = counting()
    cpu, *others = (now - then for now, then in zip(_spent(server), before, strict=True))
    replies, took = found["replies"], found["microseconds"] / 1e6
    return Round(
        replies=replies,
        per_second=replies / took,
        cpu_microseconds=cpu / replies * 1e6,
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
        others=100 * max(0.0, *others) / took,
    )


def _spent(measured: Child | Together) -> tuple[float, float, float]:
    """CPU seconds so far: of the server, and of everybody else on its core and on the generator's."""
    server, children = measured.cpu_seconds, resource.getrusage(resource.RUSAGE_CHILDREN)
    generator = children.ru_utime + children.ru_stime
    return (
        server,
        machine.busy_seconds(machine.SERVER_CORE) - server,
        machine.busy_seconds(machine.GENERATOR_CORE) - generator,
    )


def counted(
    request: Request, seconds: int, cores: int | str = machine.GENERATOR_CORE, patience: int = 3
) -> dict[str, int]:
    """What check.lua counted. Raises SystemExit as `measure`."""
    command: list[str | Path] = [
        "wrk",
        "-t1",
        f"-c{request.connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "--script",
        SCRIPT,
        request.url,
    ]
    done = subprocess.run(
        pinned(cores, command), env=_environment(request), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"wrk failed: {done.stderr}")
    *_, numbers, example = done.stdout.split("\n")
    found: dict[str, int] = json.loads(numbers)
    if patience and not (found["replies"] or found["broken"] or request.endings):
        # The machine was elsewhere all the time, which says nothing of the server.
        return counted(request, seconds, cores, patience - 1)
    if found["wrong"] or found["broken"] or not found["replies"]:
        turned_away = not found["broken"] and "overloaded" in example
        raise (TurnedAway if turned_away else SystemExit)(
            f"{request.name}: {found['wrong']} of {found['replies']} replies were wrong, "
            f"{found['broken']} connections broke; the first wrong reply: {example}"
        )
    return found


def _environment(request: Request) -> dict[str, str]:
    """Not arguments: credentials have no place in a list of processes."""
    told = {
        "METHOD": request.method,
        "BODY": request.body,
        "CONTENT_TYPE": request.content_type,
        "AUTHORIZATION": request.authorization,
        "STATUS": str(request.status),
        "MEMBER": request.member,
        "BODIES": "\n".join(request.bodies),
        "FRESH": "yes" if request.fresh else "no",
        "HEADERS": "".join(f"{name}: {value}\n" for name, value in request.headers),
        "ENDINGS": request.endings,
    }
    return {"PATH": os.environ["PATH"], **{f"BENCH_{name}": value for name, value in told.items()}}
