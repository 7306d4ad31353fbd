"""The verifier at work against a running server, and what Guard adds to a request of a FastAPI application."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import uvloop
from doorward_server import Doorward, audience
from fastapi import FastAPI
from figures import Figure
from live_entries import checks, megabytes
from timing import Contestant, in_turns

from doorward_verify import Verified, Verifier
from doorward_verify.fastapi import Guard

CALLS = 1000
GUARDED_CALLS = 100
LIMIT = 3.0


def run(doorward: Doorward) -> list[Figure]:
    """The feed is heard meanwhile, which is part of the figures."""
    verifier_id, secret = doorward.verifiers["ES256"]
    verifier = Verifier(doorward.url, audience=audience("ES256"), verifier_id=verifier_id, verifier_secret=secret)
    credentials = {"a JWT": doorward.token("ES256"), "an API key": doorward.api_key}
    known = in_turns(*(Contestant(verifier.check, [text] * CALLS) for text in credentials.values()))
    return [
        *(Figure(f"check of {name} that is known", "µs", found, required=LIMIT)
          for name, found in zip(credentials, known, strict=True)),
        *checks(verifier, credentials["a JWT"]),
        megabytes(),
        _guard(verifier, doorward.api_key),
    ]  # fmt: skip


def _guard(verifier: Verifier, api_key: str) -> Figure:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ask = _asking(_application(verifier), runner, api_key)
        plain, guarded = in_turns(*(Contestant(ask, [path] * GUARDED_CALLS) for path in ("/open", "/guarded")))
    added = [after - before for before, after in zip(plain, guarded, strict=True)]
    return Figure("Guard adds to a FastAPI request with a known key", "µs", added)


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


def _asking(app: FastAPI, runner: asyncio.Runner, api_key: str) -> Callable[[str], None]:
    """Calls the application as a server would, without a socket between."""
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {api_key}".encode())]
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
