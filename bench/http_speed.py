"""Requests a second over HTTP, each beside the bare application in the same rounds, so that ratios hold."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import doorward_server
from doorward_server import Doorward
from figures import Figure
from load import Request, Round, measure
from processes import free_port, started

# Many short turns: the speed of a machine in the cloud wanders within seconds, and a ratio needs both at one speed.
ROUNDS = 9
SECONDS = 1
WARM_UP_SECONDS = 1
BARE = Path(__file__).with_name("bare.py")
REQUIRED = {
    "issue a JWT, ES256": 15.0, "/v1/keys/verify": 40.0, "/v1/keys/verify, with a rate limit in the database": 30.0,
    "/check/nginx, a key": 40.0, "/check/nginx, a JWT": 40.0,
}  # fmt: skip
AIMED = {"issue a JWT, ES256": 25.0}


@dataclass(frozen=True)
class Row:
    """A request's rate and its share of the bare rate; the server's CPU time for one reply, and its share likewise."""

    rate: Figure
    share: Figure
    cpu: Figure
    cpu_share: Figure
    p50: Figure
    p99: Figure
    others: Figure


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


def run(doorward: Doorward, place: Path, progress: Generator[None, str]) -> list[Row]:
    with bare_requests(place) as bare, counted_in_valkey(place) as shared:
        requests = [*bare, *doorward_server.requests(doorward), *shared]
        issued = doorward.journaled_tokens()
        rounds: dict[str, list[Round]] = {request.name: [] for request in requests}
        answered = 0
        for request in requests:
            progress.send(f"warming up: {request.name}")
            answered += _tokens(request, measure(request, WARM_UP_SECONDS))
        for number in range(1, ROUNDS + 1):
            for request in requests:
                progress.send(f"round {number} of {ROUNDS}: {request.name}")
                rounds[request.name].append(measure(request, SECONDS))
                answered += _tokens(request, rounds[request.name][-1])
    issued = doorward.journaled_tokens() - issued
    if issued < answered:
        raise SystemExit(f"{answered} tokens were answered, and only {issued} are in the journal")
    return [_row(name, found, rounds[requests[0].name]) for name, found in rounds.items()]


def _tokens(request: Request, found: Round) -> int:
    return found.replies if request.fresh else 0


def _row(name: str, rounds: Sequence[Round], bare: Sequence[Round]) -> Row:
    pairs = list(zip(rounds, bare, strict=True))
    shares = [100 * one.per_second / other.per_second for one, other in pairs]
    return Row(
        rate=Figure(name, "/s", [one.per_second for one in rounds]),
        share=Figure(name, "%", shares, more_is_better=True, required=REQUIRED.get(name), aimed=AIMED.get(name)),
        cpu=Figure(name, "µs", [one.cpu_microseconds for one in rounds]),
        cpu_share=Figure(name, "%", [100 * other.cpu_microseconds / one.cpu_microseconds for one, other in pairs]),
        p50=Figure(name, "ms", [one.p50 for one in rounds]),
        p99=Figure(name, "ms", [one.p99 for one in rounds]),
        others=Figure(name, "%", [one.others for one in rounds]),
    )
