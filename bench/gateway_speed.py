"""Requests through nginx, Caddy and HAProxy that ask Doorward, beside the same gateways asking a constant answer.

The gateway, whom it asks and the service behind it share one core. Each request is asked about.
"""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import doorward_server
import gateway_latency
import http_speed
from doorward_server import Doorward
from figures import Bound, Figure, Row
from load import Request
from processes import Child, Together

import gateways
from gateways import Behind, Place

ROUNDS, SECONDS = 3, 2
TARGET = "/ES256/7"
NAMES = {"nginx": "nginx", "caddy": "Caddy", "haproxy": "HAProxy"}
OF = "the gateway's limit"
# Of the gateway's constant-answer limit.
BOUND = Bound(aimed=50)


def run(place: Path, progress: Generator[None, str]) -> list[Row | Figure]:
    with doorward_server.running(place / "data") as doorward:
        found = [row for name in NAMES for row in _through(name, doorward, place / name, progress)]
        progress.send("latency through nginx")
        return [*found, *gateway_latency.run(doorward, place)]


def _through(name: str, doorward: Doorward, place: Path, progress: Generator[None, str]) -> list[Row]:
    """Nothing of a gateway that is not installed."""
    if gateways.program(name) is None:
        print(f"{NAMES[name]} is missing: nothing is measured through it", file=sys.stderr)
        return []
    with ExitStack() as stack:
        behind = stack.enter_context(gateways.behind(place / "behind", _yes(doorward)))
        certificate = gateways.certificate(place)
        limit = Place(place / "limit", certificate, behind.constant_url, behind.service)
        asking = Place(place / "asking", certificate, doorward.check_url, behind.service)
        requests = [
            _request(f"{NAMES[name]} and a constant answer", *stack.enter_context(gateways.standing(name, limit)),
                     behind, doorward.child, doorward.api_key),
        ]  # fmt: skip
        child, url = stack.enter_context(gateways.standing(name, asking))
        for kind, credential in (("a key", doorward.api_key), ("a JWT", doorward.token("ES256"))):
            requests.append(
                _request(f"{NAMES[name]} asks Doorward, {kind}", child, url, behind, doorward.child, credential)
            )
        rounds, _ = http_speed.in_turns(requests, progress, ROUNDS, SECONDS)
    beside = rounds[requests[0].name]
    return [
        http_speed.row(one, found, OF, beside, BOUND if found is not beside else http_speed.WITHOUT)
        for one, found in rounds.items()
    ]


def _request(name: str, gateway: Child, url: str, behind: Behind, doorward: Child, credential: str) -> Request:
    passed = Together((gateway, behind.child, doorward))
    return Request(name, passed, f"{url}{TARGET}", "ok", method="GET", authorization=f"Bearer {credential}")


def _yes(doorward: Doorward) -> dict[str, str]:
    """What Doorward says of the key, as header fields."""
    asked = {
        "Authorization": f"Bearer {doorward.api_key}", "X-Forwarded-Method": "GET", "X-Forwarded-Uri": TARGET,
        "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com",
    }  # fmt: skip
    request = urllib.request.Request(f"{doorward.check_url}/check/forward", headers=asked)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return {name: value for name, value in reply.headers.items() if name.lower().startswith("x-")}
