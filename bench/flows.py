"""What takes several steps: a refresh token that rotates each time, and the way from a signed-in browser to tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import browsers
import doorward_server
import http_speed
import load
import machine
from doorward_server import SCOPE, Doorward, basic
from figures import Bound, Figure, Row
from load import Round
from processes import pinned

GENERATOR = Path(__file__).with_name("flow_generator.py")
ROUNDS = 5
SECONDS = 2
USERS = 32  # each with a browser and a connection of its own
BOUNDS = {
    "refresh, the token rotated": Bound(1500, 3000),
    "authorization to tokens, PKCE, signed in": Bound(500, 1000),
}


def run(place: Path, progress: Generator[None, str]) -> list[Row | Figure]:
    with doorward_server.running(place / "data") as doorward:
        progress.send("users sign in")
        flows = prepared(doorward)
        rounds: dict[str, list[Round]] = {name: [] for name in flows}
        own: dict[str, list[float]] = {name: [] for name in flows}
        issued, answered = doorward.journaled_tokens(), 0
        for number in range(ROUNDS + 1):
            for name, told in flows.items():
                progress.send(f"round {number} of {ROUNDS}: {name}")
                found, cost = measured(doorward, told, SECONDS)
                answered += found.replies
                if number:
                    rounds[name].append(found)
                    own[name].append(cost)
        issued = doorward.journaled_tokens() - issued
    if issued != answered:
        raise SystemExit(f"{answered} tokens were answered, and {issued} are in the journal")
    return [
        *(http_speed.row(name, found, bound=BOUNDS[name]) for name, found in rounds.items()),
        *(Figure(f"what the generator itself takes of its core: {name}", "µs", costs) for name, costs in own.items()),
    ]


def prepared(doorward: Doorward, users: int = USERS) -> dict[str, dict[str, Any]]:
    """Each caller refreshes a token of its own, or comes with the browser of a user of its own."""
    app = browsers.an_app(doorward)
    names = [f"ada{number}" for number in range(users)]
    cookies = [browsers.signed_in(doorward, name, app["client_id"]).cookie for name in names]
    told = {
        "host": doorward.url.removeprefix("http://"), "client_id": app["client_id"], "scope": SCOPE,
        "redirect_uri": browsers.CALLBACK, "authorization": basic(app["client_id"], app["client_secret"]),
    }  # fmt: skip
    visits = {**told, "flow": "code", "own": cookies}
    tokens = generated({**visits, "times": users}, 10)["kept"]
    return dict(zip(BOUNDS, ({**told, "flow": "refresh", "own": tokens}, visits), strict=True))


def measured(doorward: Doorward, told: dict[str, Any], seconds: float) -> tuple[Round, float]:
    """One round, and what the generator itself took for each; what the callers have now they begin the next with."""
    counted: dict[str, Any] = {}

    def count() -> dict[str, Any]:
        counted.update(generated(told, seconds))
        told["own"] = counted["own"]
        return counted

    return load.round_of(doorward.child, count), counted["generator"]


def generated(told: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the generator counted; credentials go by its standard input. Raises SystemExit for a wrong reply."""
    done = subprocess.run(
        pinned(machine.GENERATOR_CORE, [sys.executable, GENERATOR]), input=json.dumps({**told, "seconds": seconds}),
        capture_output=True, text=True, check=False, timeout=seconds + 60,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{told['flow']}: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
