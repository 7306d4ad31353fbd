"""The verifier at work against a running server, beside PyJWT in the same process; and what Guard adds to a request."""

import asyncio
import json
import time
from collections.abc import Callable, Generator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import doorward_server
import jwt as pyjwt
import uvloop
from doorward_server import SCOPE, Doorward, audience
from fastapi import FastAPI
from figures import Bound, Comparison, Figure
from live_entries import checks, entries, megabytes
from load import FORM
from timing import Contestant, in_turns

from doorward_verify import Verified, Verifier
from doorward_verify.fastapi import Guard
from doorward_verify.revocations import Log

CALLS = 1000
TOKENS = 200
GUARDED_CALLS = 100
LIMIT, AIM = 3.0, 1.5
BY_ALGORITHM = {"ES256": Bound(1.4, 1.5), "RS256": Bound(1.8, 2.4)}
OF = "PyJWT"


def run(place: Path, progress: Generator[None, str]) -> list[Comparison | Figure]:
    """The feed is heard meanwhile, which is part of the figures."""
    with doorward_server.running(place / "data") as doorward:
        compared: list[Comparison | Figure] = []
        for algorithm, bound in BY_ALGORITHM.items():
            progress.send(f"the verifier beside PyJWT, {algorithm}")
            verifier = _verifier(doorward, algorithm)
            compared += _beside_pyjwt(doorward, verifier, algorithm, bound)
            verifier.close()
        progress.send("the verifier and Guard")
        verifier = _verifier(doorward, "ES256")
        found = [*compared, *_alone(doorward, verifier)]
        verifier.close()
        return found


def _verifier(doorward: Doorward, api: str) -> Verifier:
    """It hears the feed."""
    verifier_id, secret = doorward.verifiers[api]
    verifier = Verifier(doorward.url, audience=audience(api), verifier_id=verifier_id, verifier_secret=secret)
    deadline = time.monotonic() + 10
    while verifier.check(doorward.token(api)) and verifier.state != "synced":
        if time.monotonic() > deadline:
            raise SystemExit("the feed was not heard in ten seconds")
        time.sleep(0.05)
    return verifier


def _beside_pyjwt(doorward: Doorward, verifier: Verifier, algorithm: str, bound: Bound) -> list[Comparison]:
    """Both with their keys parsed, over the same tokens: the same claims are asked of both."""
    tokens, line = _tokens(doorward, algorithm), verifier._view.feed.line
    key = _pyjwt_key(doorward, tokens[0])
    plain, full = line.log, Log(line.log.epoch, entries())

    def forget(log: Log) -> None:
        verifier._memory._known.clear()
        line.log = log

    def theirs(text: str) -> None:
        claims = pyjwt.decode(
            text, key, algorithms=[algorithm], audience=audience(algorithm), issuer=doorward.url,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )  # fmt: skip
        assert claims["client_id"]

    unknown, filled, known, peer = in_turns(
        Contestant(verifier.check, tokens, lambda: forget(plain)),
        Contestant(verifier.check, tokens, lambda: forget(full)),
        Contestant(verifier.check, tokens[:1] * CALLS, lambda: forget(plain)),
        Contestant(theirs, tokens),
    )
    forget(plain)
    kinds = {
        f"a JWT that is not known, {algorithm}": (unknown, bound),
        f"a JWT that is not known, {algorithm}, the feed with 10,000 entries": (filled, bound),
        f"a JWT that is known, {algorithm}": (known, Bound(30)),
    }
    return [_compared(name, ours, peer, asked) for name, (ours, asked) in kinds.items()]


def _compared(name: str, ours: Sequence[float], theirs: Sequence[float], asked: Bound) -> Comparison:
    ratios = [other / one for one, other in zip(ours, theirs, strict=True)]
    share = Figure(name, "x", ratios, more_is_better=True, required=asked.required, aimed=asked.aimed)
    return Comparison(Figure(name, "µs", ours), Figure(OF, "µs", theirs), share, OF)


def _pyjwt_key(doorward: Doorward, token: str) -> Any:
    connection = HTTPConnection(doorward.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/.well-known/jwks.json")
    found = pyjwt.PyJWKSet.from_json(connection.getresponse().read().decode())
    connection.close()
    return found[pyjwt.get_unverified_header(token)["kid"]].key


def _tokens(doorward: Doorward, api: str) -> list[str]:
    """As many different ones, over one connection."""
    connection = HTTPConnection(doorward.url.removeprefix("http://"), timeout=10)
    body = urlencode({"grant_type": "client_credentials", "scope": SCOPE})
    headers = {"content-type": FORM, "authorization": doorward.clients[api]}
    found = []
    for _ in range(TOKENS):
        connection.request("POST", "/oauth/token", body, headers)
        found.append(json.loads(connection.getresponse().read())["access_token"])
    connection.close()
    return found


def _alone(doorward: Doorward, verifier: Verifier) -> list[Figure]:
    credentials = {"a JWT": doorward.token("ES256"), "an API key": doorward.api_key}
    known = in_turns(*(Contestant(verifier.check, [text] * CALLS) for text in credentials.values()))
    return [
        *(Figure(f"check of {name} that is known", "µs", found, required=LIMIT, aimed=AIM)
          for name, found in zip(credentials, known, strict=True)),
        *checks(verifier, credentials["a JWT"]),
        megabytes(),
        *(_guard(verifier, name, text) for name, text in credentials.items()),
    ]  # fmt: skip


def _guard(verifier: Verifier, name: str, text: str) -> Figure:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ask = _asking(_application(verifier), runner, text)
        plain, guarded = in_turns(*(Contestant(ask, [path] * GUARDED_CALLS) for path in ("/open", "/guarded")))
    added = [after - before for before, after in zip(plain, guarded, strict=True)]
    return Figure(f"Guard adds to a FastAPI request with {name} that is known", "µs", added, required=25, aimed=10)


def _application(verifier: Verifier) -> FastAPI:
    app, guard = FastAPI(), Guard(verifier)

    @app.get("/open")
    async def unguarded() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/guarded")
    async def guarded(caller: Annotated[Verified, guard("invoices:read")]) -> dict[str, str]:
        assert caller.account == "acme"
        return {"status": "ok"}

    return app


def _asking(app: FastAPI, runner: asyncio.Runner, credential: str) -> Callable[[str], None]:
    """Calls the application as a server would, without a socket between."""
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {credential}".encode())]
    loop, statuses = runner.get_loop(), set()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        statuses.add(message.get("status", 200))

    def ask(path: str) -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        loop.run_until_complete(app(scope, receive, send))
        assert statuses == {200}

    return ask
