"""Libraries that verify JWTs beside Doorward's verifier, in one process of the peers' environment."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import machine
from doorward_server import Doorward, audience
from figures import Figure
from processes import ENVIRONMENT, pinned

from peers.running import PYTHON, ROOT, SERVED, ask

ALGORITHMS = ("ES256", "RS256")
TOKENS = 1 + 9 * 250


@dataclass(frozen=True)
class Verified:
    """`unknown` and `known` are how many times Doorward's time for such a token goes into the library's."""

    workload: str
    who: str
    spent: Figure
    unknown: Figure
    known: Figure


def run(doorward: Doorward) -> list[Verified]:
    told = {
        "issuer": doorward.url,
        "jwks": json.loads(ask(f"{doorward.url}/.well-known/jwks.json")[0]),
        "verifiers": {alg: [audience(alg), *doorward.verifiers[alg]] for alg in ALGORITHMS},
        "tokens": {alg: _tokens(doorward, alg) for alg in ALGORITHMS},
    }
    paths = f"{ROOT / 'bench'}:{ROOT / 'verify' / 'src'}"
    done = subprocess.run(
        pinned(machine.GENERATOR_CORE, [PYTHON, SERVED / "verify_tokens.py"]), input=json.dumps(told), text=True,
        env={**ENVIRONMENT, "PYTHONPATH": paths}, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"the libraries could not be measured: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return [row for alg in ALGORITHMS for row in _rows(alg, found[alg])]


def _tokens(doorward: Doorward, alg: str) -> list[str]:
    """Each another one: what a verifier has seen it remembers."""
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: doorward.token(alg), range(TOKENS)))
    assert len(found) == TOKENS
    return sorted(found)


def _rows(alg: str, found: dict[str, list[float]]) -> list[Verified]:
    unknown, known = found["Doorward, unknown"], found["Doorward, known"]
    return [
        Verified(
            f"verify, {alg}", who, Figure(who, "µs", spent),
            Figure(who, "x", [theirs / mine for theirs, mine in zip(spent, unknown, strict=True)], more_is_better=True),
            Figure(who, "x", [theirs / mine for theirs, mine in zip(spent, known, strict=True)], more_is_better=True),
        )
        for who, spent in found.items()
    ]  # fmt: skip
