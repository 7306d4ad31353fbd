"""starlette: decorated endpoints of requests and WebSockets, functions and methods, sync and async."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.verify.asgi_calls import Answered, Headers, call, knock
from tests.verify.asking import KEY
from tests.verify.shells import ACCOUNT, METADATA, METADATA_PATH, STEP_UP, Shell, WebSockets, bearer

from doorward_verify import Verifier
from doorward_verify.starlette import Guard


def account(request: Request) -> JSONResponse:
    caller = request.state.verified
    return JSONResponse({"account": None if caller is None else caller.account})


async def account_async(request: Request) -> JSONResponse:
    return account(request)


async def feed(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.state.verified.account)
    await websocket.close()


@pytest.fixture
def guard(verifier: Verifier) -> Guard:
    return Guard(verifier, METADATA)


@pytest.fixture
def app(guard: Guard) -> Starlette:
    class Invoices(HTTPEndpoint):
        @guard("invoices:read")
        async def get(self, request: Request) -> JSONResponse:
            return account(request)

        @guard("invoices:read", "invoices:write")
        def post(self, request: Request) -> JSONResponse:
            return account(request)

    return Starlette(
        routes=[
            Route("/invoices", Invoices),
            Route("/me", guard()(account)),
            Route("/perhaps", guard(optional=True)(account_async)),
            Route("/transfers", guard("invoices:read", **STEP_UP)(account_async)),
            WebSocketRoute("/feed", guard("invoices:read")(feed)),
            Route(guard.metadata_path, guard.metadata),
        ]
    )


class TestShell(Shell, WebSockets):
    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return call(app, headers, path, method)


def test_a_guard_may_stand_before_a_whole_application(guard: Guard) -> None:
    app = Starlette(routes=[Route("/me", account)], middleware=[Middleware(guard.middleware("invoices:read"))])
    assert call(app, bearer(KEY), "/me").body == ACCOUNT
    assert call(app, [], "/me").status == 401
    assert call(app, [], METADATA_PATH).body == METADATA


def test_a_guard_may_stand_before_a_route(guard: Guard) -> None:
    app = Starlette(routes=[Route("/me", account, middleware=[Middleware(guard.middleware("invoices:write"))])])
    assert call(app, bearer(KEY), "/me").status == 403


def test_a_sync_endpoint_keeps_its_name_and_its_thread(guard: Guard) -> None:
    import threading

    threads: list[threading.Thread] = []

    def endpoint(request: Request) -> JSONResponse:
        threads.append(threading.current_thread())
        return account(request)

    guarded = guard()(endpoint)
    assert guarded.__name__ == "endpoint"
    assert call(Starlette(routes=[Route("/me", guarded)]), bearer(KEY), "/me").status == 200
    assert threads != [threading.current_thread()]


def test_the_readme_is_right(readme: Callable[..., Any]) -> None:
    app = readme("Starlette, and every other ASGI application")["app"]
    assert call(app, bearer(KEY)).body == ACCOUNT
    assert call(app, []).status == 401
    assert [message.get("text") for message in knock(app, bearer(KEY))] == [None, "acme", None]
    assert len(knock(app, [])) == 1
