"""asgi: a plain ASGI application behind Guard, and what a real server makes of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from tests.verify.asgi_calls import Answered, Headers, call, knock
from tests.verify.asking import KEY
from tests.verify.shells import ACCOUNT, METADATA, METADATA_PATH, POINTER, STEP_UP, Shell, WebSockets, bearer
from tests.verify.waiting import until

from doorward_verify import Verifier
from doorward_verify.asgi import Guard


async def account(scope: Any, receive: Any, send: Any) -> None:
    caller = scope["doorward.verified"]
    found = None if caller is None else caller.account
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": found})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps({"account": found}).encode()})


@pytest.fixture
def app(verifier: Verifier) -> Any:
    guard = Guard(verifier, METADATA)
    doors = {
        ("GET", "/invoices"): guard.middleware("invoices:read")(account),
        ("POST", "/invoices"): guard.middleware("invoices:read", "invoices:write")(account),
        ("GET", "/me"): guard.middleware()(account),
        ("GET", "/perhaps"): guard.middleware(optional=True)(account),
        ("GET", "/transfers"): guard.middleware("invoices:read", **STEP_UP)(account),
        ("", "/feed"): guard.middleware("invoices:read")(account),
        ("GET", METADATA_PATH): guard.metadata,
    }

    async def route(scope: Any, receive: Any, send: Any) -> None:
        await doors[scope.get("method", ""), scope["path"]](scope, receive, send)

    return route


class TestShell(Shell, WebSockets):
    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return call(app, headers, path, method)


def test_metadata_are_served_in_front_of_an_application_that_is_guarded_as_a_whole(verifier: Verifier) -> None:
    app = Guard(verifier, METADATA).middleware("invoices:read")(account)
    assert call(app, [], METADATA_PATH).body == METADATA
    assert call(app, [], "/anything").status == 401
    assert call(app, bearer(KEY), "/anything").body == ACCOUNT
    assert knock(app, [], METADATA_PATH)[0]["type"] == "websocket.close"


def test_without_metadata_their_path_is_guarded_like_any_other(verifier: Verifier) -> None:
    answered = call(Guard(verifier).middleware()(account), [], METADATA_PATH)
    assert answered.status == 401
    assert "resource_metadata" not in answered.all("www-authenticate")[0]


def test_what_was_proved_is_in_the_state_of_the_request(verifier: Verifier) -> None:
    async def read(scope: Any, receive: Any, send: Any) -> None:
        assert Request(scope).state.verified is scope["doorward.verified"]
        await account(scope, receive, send)

    assert call(Guard(verifier).middleware()(read), bearer(KEY)).body == ACCOUNT


def test_the_start_and_end_of_an_application_pass_unseen(verifier: Verifier) -> None:
    seen: list[str] = []

    async def lifespan(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guard(verifier).middleware("invoices:read")(lifespan)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


@pytest.fixture
def port(verifier: Verifier) -> Iterator[int]:
    """A real server before the application."""
    app = Guard(verifier, METADATA).middleware("invoices:read")(account)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None))
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    running.join(10)


@pytest.mark.parametrize(("credential", "status"), [(None, 401), (KEY[:-1], 401), (KEY, 101)])
def test_a_real_server_answers_the_handshake_of_a_websocket(port: int, credential: str | None, status: int) -> None:
    handshake = {
        "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    client.request("GET", "/feed", headers=handshake | ({"x-api-key": credential} if credential else {}))
    reply = client.getresponse()
    assert reply.status == status
    if status == 401:
        assert (reply.headers.get_all("www-authenticate") or [""])[0].endswith(POINTER)
        assert json.loads(reply.read())["request_id"] == reply.headers["x-request-id"]
    client.close()
