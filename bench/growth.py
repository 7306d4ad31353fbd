"""A thousand, a hundred thousand and a million of keys, grants and opaque tokens: what that does to speed and memory.

Three servers share the core, one works at a time. "Warm" goes round 300 keys that were asked for before. The largest
has 5,000 live revocations, too.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path

import doorward_server
import filling
import flows
import http_speed
from doorward_server import Doorward, basic
from figures import Bound, Figure, Row, percentile
from load import JSON, Request
from processes import started

SIZES = (1_000, 100_000, 1_000_000)
CHECKED = 300
STARTS = 3
ROUNDS = 3
REVOCATIONS = 5_000
# No request costs more than a tenth more.
FLAT = Bound(required=100 / 1.1)


@dataclass(frozen=True)
class Grown:
    doorward: Doorward
    size: int
    texts: list[str] = field(repr=False)
    opaque: str = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.size:,}"


def run(place: Path, progress: Generator[None, str]) -> list[Row | Figure]:
    with contextlib.ExitStack() as stack:
        found: list[Figure] = []
        servers = []
        for size in SIZES:
            progress.send(f"filling a database with {size:,}")
            grown = _filled(place / str(size), size)
            starts, standing = _starts(grown, stack)
            found += [
                Figure(f"{grown.name} keys: start", "s", starts, required=3.0),
                Figure(f"{grown.name} keys: memory of a worker", "MB", [standing.doorward.child.resident_megabytes],
                       required=150.0),
            ]  # fmt: skip
            servers.append(standing)
        progress.send("keys that nobody asked for yet")
        found += _first_checks(servers)
        progress.send(f"{REVOCATIONS:,} revocations")
        _revoke(servers[-1].doorward)
        return [*_warm(servers, progress), *found]


def _filled(place: Path, size: int) -> Grown:
    with doorward_server.running(place / "data") as doorward:
        opaque = doorward.token("opaque")
        texts = [
            doorward.make("keys", account="acme", api=doorward.first_api, scope="invoices:read")["key"]
            for _ in range(CHECKED)
        ]
        # Whose grants are filled in: no client that is measured has so many.
        doorward.make("clients", account="acme", name="others", api=doorward.first_api, scope="invoices:read")
    filling.fill(doorward.data_dir / "doorward.db", size)
    return Grown(doorward, size, texts, opaque)


def _starts(grown: Grown, stack: contextlib.ExitStack) -> tuple[list[float], Grown]:
    """Seconds to the first answer; the last one stays."""
    times = []
    doorward = grown.doorward
    for number in range(STARTS):
        begun = time.perf_counter()
        child = started(doorward.command, doorward.data_dir.parent)
        with contextlib.ExitStack() as once:
            running = (stack if number == STARTS - 1 else once).enter_context(child)
            _check(_connected(doorward), doorward, doorward.api_key)
            times.append(time.perf_counter() - begun)
    return times, replace(grown, doorward=replace(doorward, child=running))


def _first_checks(servers: list[Grown]) -> list[Figure]:
    """One after the other, over one connection."""
    found, medians = [], []
    for grown in servers:
        connection, took = _connected(grown.doorward), []
        for text in grown.texts:
            begun = time.perf_counter()
            _check(connection, grown.doorward, text)
            took.append(1000 * (time.perf_counter() - begun))
        medians.append(percentile(took, 0.5))
        found.append(Figure(f"first check of one of {grown.name} keys", "ms", took, required=5.0))
    beside = f"first check of one of {servers[-1].name} keys, beside one of {servers[0].name}"
    return [*found, Figure(beside, "x", [medians[-1] / medians[0]], required=2.0)]


def _connected(doorward: Doorward) -> HTTPConnection:
    return HTTPConnection(doorward.url.removeprefix("http://"), timeout=10)


def _check(connection: HTTPConnection, doorward: Doorward, text: str) -> None:
    headers = {"content-type": JSON, "authorization": doorward.admin}
    connection.request("POST", "/v1/keys/verify", json.dumps({"key": text}), headers)
    answer = json.load(connection.getresponse())
    if not answer["active"]:
        raise SystemExit(f"a good key was refused: {answer['reason']}")


def _revoke(doorward: Doorward) -> None:
    told = {
        "flow": "revoke", "host": doorward.url.removeprefix("http://"), "own": [""] * flows.USERS, "times": REVOCATIONS,
        "authorization": doorward.clients["ES256"],
    }  # fmt: skip
    flows.generated(told, 120)


def _warm(servers: list[Grown], progress: Generator[None, str]) -> list[Row]:
    """Each request on each server, in turns; the share is of the smallest."""
    requests = {(kind, grown.name): one for grown in servers for kind, one in _requests(grown).items()}
    rounds, _ = http_speed.in_turns(list(requests.values()), progress, ROUNDS)
    smallest = servers[0].name
    return [
        http_speed.row(
            one.name, rounds[one.name], f"{smallest} keys", rounds[requests[kind, smallest].name],
            http_speed.WITHOUT if name == smallest else FLAT,
        )
        for (kind, name), one in sorted(requests.items(), key=lambda item: item[0][0])
    ]  # fmt: skip


def _requests(grown: Grown) -> dict[str, Request]:
    doorward, verifiers = grown.doorward, grown.doorward.verifiers
    digests = (hashlib.sha256(text.encode()).digest() for text in grown.texts)
    asked = tuple(f"token_sha256={base64.urlsafe_b64encode(one).decode().rstrip('=')}" for one in digests)

    def introspect(name: str, api: str, *bodies: str) -> Request:
        url, caller = f"{doorward.url}/oauth/introspect", basic(*verifiers[api])
        return Request(name, doorward.child, url, '"active":true', bodies=bodies, authorization=caller)

    checks = replace(
        doorward_server.check(doorward, f"warm key check, {grown.name} keys", ""),
        bodies=tuple(json.dumps({"key": text}) for text in grown.texts),
    )
    issue = doorward_server.requests(doorward)[0]
    return {
        "check": checks,
        "introspect a key": introspect(f"warm introspection of a key, {grown.name} keys", "ES256", *asked),
        "introspect a token": introspect(
            f"warm introspection of an opaque token, {grown.name} of them", "opaque", f"token={grown.opaque}"
        ),
        "issue": replace(issue, name=f"warm, issue a JWT, {grown.name} grants"),
    }
