"""How long a verifier that hears the feed still takes what was revoked, from the answer to its revocation on.

The verifier is in this process, on another core than the server; it is asked every fifth of a millisecond.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlencode

import doorward_server
from doorward_server import Doorward, audience
from figures import Figure, percentile
from load import FORM

from doorward_verify import Verifier
from doorward_verify.errors import InvalidToken

TIMES = 100
REQUIRED = 1000.0  # milliseconds, the promise
EVERY = 0.0002
PATIENCE = 10.0


def run(place: Path, progress: Generator[None, str]) -> list[Figure]:
    with doorward_server.running(place / "data") as doorward:
        verifier_id, secret = doorward.verifiers["ES256"]
        verifier = Verifier(doorward.url, audience=audience("ES256"), verifier_id=verifier_id, verifier_secret=secret)
        verifier.check(doorward.api_key)
        found = []
        for name, made in {"a JWT": _token, "an API key": _key}.items():
            progress.send(f"revoking {name}")
            took = [_latency(verifier, *made(doorward)) for _ in range(TIMES)]
            found += [
                Figure(f"{name} revoked, until a verifier refuses it, p50", "ms", [percentile(took, 0.5)]),
                Figure(f"{name} revoked, until a verifier refuses it, p99", "ms", [percentile(took, 0.99)],
                       required=REQUIRED),
            ]  # fmt: skip
        verifier.close()
    return found


def _token(doorward: Doorward) -> tuple[str, Callable[[], object]]:
    text = doorward.token("ES256")
    body = urlencode({"token": text}).encode()
    return text, lambda: doorward.ask("/oauth/revoke", body, doorward.clients["ES256"], FORM)


def _key(doorward: Doorward) -> tuple[str, Callable[[], object]]:
    made = doorward.make("keys", account="acme", api=doorward.first_api, scope="invoices:read")
    return made["key"], lambda: doorward.make(f"keys/{made['id']}/revoke")


def _latency(verifier: Verifier, text: str, revoke: Callable[[], object]) -> float:
    """Milliseconds."""
    verifier.check(text)
    revoke()
    answered = time.perf_counter()
    while time.perf_counter() - answered < PATIENCE:
        try:
            verifier.check(text)
        except InvalidToken:
            return 1000 * (time.perf_counter() - answered)
        time.sleep(EVERY)
    raise SystemExit("what was revoked was still taken after ten seconds")
