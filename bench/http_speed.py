"""Requests a second over HTTP, each beside the bare application in the same rounds, so that ratios hold."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import doorward_server
from doorward_server import Doorward
from figures import Bound, Figure, Row
from load import Request, Round, measure
from processes import free_port, started

# Many short turns: the speed of a machine in the cloud wanders within seconds, and a ratio needs both at one speed.
ROUNDS = 5
SECONDS = 1
WARM_UP_SECONDS = 1
BARE = Path(__file__).with_name("bare.py")
WITHOUT = Bound()
BOUNDS = {
    "issue a JWT, ES256": Bound(15, 25),
    "/v1/keys/verify": Bound(40),
    "/v1/keys/verify, with a rate limit in the database": Bound(30, 45),
    "/check/nginx, a key": Bound(40),
    "/check/nginx, a JWT": Bound(40),
}


@contextlib.contextmanager
def bare_requests(place: Path) -> Generator[list[Request]]:
    """The yardstick first: the bare application on Doorward's own server class."""
    with contextlib.ExitStack() as stack:
        requests = []
        for server in ("doorward", "uvicorn"):
            port = free_port()
            child = stack.enter_context(started([sys.executable, BARE, server, str(port)], place))
            url = f"http://127.0.0.1:{port}/"
            requests.append(Request(f'bare "ok" on {_NAMES[server]}', child, url, '"ok"', body="grant_type=none"))
        yield requests


@contextlib.contextmanager
def counted_in_valkey(place: Path) -> Generator[list[Request]]:
    """A server whose rates are in Valkey or Redis, where there is one."""
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        print("Valkey and Redis are missing: what is counted there is not measured", file=sys.stderr)
        yield []
        return
    socket = place / "valkey.sock"
    argv = [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(place)]
    data_dir, url = place / "shared" / "data", f"unix://{socket}"
    with started(argv, place), doorward_server.running(data_dir, url) as found:
        yield doorward_server.limited(found, "in Valkey")


_NAMES = {"doorward": "Doorward's server", "uvicorn": "plain uvicorn"}


def run(place: Path, progress: Generator[None, str]) -> list[Row | Figure]:
    with doorward_server.running(place / "data") as doorward:
        idle = doorward.child.resident_megabytes
        rows = _measured(doorward, place, progress)
        busy = doorward.child.resident_megabytes
    return [
        *rows,
        Figure("memory of one worker when idle", "MB", [idle], required=100, aimed=70),
        Figure("memory of one worker after the load", "MB", [busy], required=130, aimed=70),
    ]


def _measured(doorward: Doorward, place: Path, progress: Generator[None, str]) -> list[Row]:
    with bare_requests(place) as bare, counted_in_valkey(place) as shared:
        requests = [*bare, *doorward_server.requests(doorward), *shared]
        issued = doorward.journaled_tokens()
        rounds, answered = in_turns(requests, progress)
    issued = doorward.journaled_tokens() - issued
    if issued < answered:
        raise SystemExit(f"{answered} tokens were answered, and only {issued} are in the journal")
    beside = rounds[requests[0].name]
    return [row(name, found, "bare", beside, BOUNDS.get(name, WITHOUT)) for name, found in rounds.items()]


def in_turns(
    requests: Sequence[Request], progress: Generator[None, str], number: int = ROUNDS, seconds: int = SECONDS
) -> tuple[dict[str, list[Round]], int]:
    """The rounds of each by its name, after a warm-up; and how many tokens were answered, warm-up and all."""
    rounds: dict[str, list[Round]] = {request.name: [] for request in requests}
    answered = 0
    for request in requests:
        progress.send(f"warming up: {request.name}")
        answered += _tokens(request, measure(request, WARM_UP_SECONDS))
    for count in range(1, number + 1):
        for request in requests:
            progress.send(f"round {count} of {number}: {request.name}")
            rounds[request.name].append(measure(request, seconds))
            answered += _tokens(request, rounds[request.name][-1])
    return rounds, answered


def _tokens(request: Request, found: Round) -> int:
    return found.replies if request.fresh else 0


def row(name: str, rounds: Sequence[Round], of: str = "", beside: Sequence[Round] = (), bound: Bound = WITHOUT) -> Row:
    """`bound` is of the share, or of the rate where nothing stands beside it."""
    pairs = list(zip(rounds, beside, strict=True)) if beside else []
    share = cpu_share = None
    asked: dict[str, Any] = {"more_is_better": True, "required": bound.required, "aimed": bound.aimed}
    if pairs:
        share = Figure(name, "%", [100 * one.per_second / other.per_second for one, other in pairs], **asked)
        spent = [100 * other.cpu_microseconds / one.cpu_microseconds for one, other in pairs]
        cpu_share = Figure(name, "%", spent)
    return Row(
        rate=Figure(name, "/s", [one.per_second for one in rounds], **({} if pairs else asked)),
        cpu=Figure(name, "µs", [one.cpu_microseconds for one in rounds]),
        p50=Figure(name, "ms", [one.p50 for one in rounds]),
        p99=Figure(name, "ms", [one.p99 for one in rounds]),
        others=Figure(name, "%", [one.others for one in rounds]),
        of=of, share=share, cpu_share=cpu_share,
    )  # fmt: skip
