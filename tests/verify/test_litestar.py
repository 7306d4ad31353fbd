"""litestar: a middleware at every layer, HTTP and WebSocket, and the route of the metadata."""

# Annotations are no strings here: Litestar reads them, and those of a function are not to be found from outside.

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Controller, Litestar, Request, WebSocket, get, post, websocket
from tests.verify.asgi_calls import Answered, Headers, call
from tests.verify.asking import KEY
from tests.verify.shells import ACCOUNT, METADATA, STEP_UP, Shell, WebSockets, bearer

from doorward_verify import Verified, Verifier
from doorward_verify.litestar import Guard

Asked = Request[Any, Verified | None, Any]


def account(request: Asked) -> dict[str, str | None]:
    return {"account": None if request.auth is None else request.auth.account}


@pytest.fixture
def guard(verifier: Verifier) -> Guard:
    return Guard(verifier, METADATA)


@pytest.fixture
def app(guard: Guard) -> Litestar:
    @get("/invoices", middleware=[guard("invoices:read")], sync_to_thread=False)
    def invoices(request: Asked) -> dict[str, str | None]:
        return account(request)

    @post("/invoices", middleware=[guard("invoices:read", "invoices:write")], status_code=200)
    async def create(request: Asked) -> dict[str, str | None]:
        return account(request)

    @get("/me", middleware=[guard()])
    async def me(request: Asked) -> dict[str, str | None]:
        return account(request)

    @get("/perhaps", middleware=[guard(optional=True)])
    async def perhaps(request: Asked) -> dict[str, str | None]:
        return account(request)

    @get("/transfers", middleware=[guard("invoices:read", **STEP_UP)])
    async def transfers(request: Asked) -> dict[str, str | None]:
        return account(request)

    @websocket("/feed", middleware=[guard("invoices:read")])
    async def feed(socket: WebSocket[Any, Verified, Any]) -> None:
        await socket.accept()
        await socket.send_text(socket.auth.account or "")
        await socket.close()

    return Litestar([invoices, create, me, perhaps, transfers, feed, guard.metadata], openapi_config=None)


class TestShell(Shell, WebSockets):
    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return call(app, headers, path, method)


def test_a_guard_may_stand_before_a_controller_and_a_narrower_one_before_a_handler(guard: Guard) -> None:
    class Invoices(Controller):
        path = "/invoices"
        middleware = [guard("invoices:read")]  # noqa: RUF012  Litestar's own way

        @get()
        async def read(self, request: Asked) -> dict[str, str | None]:
            return account(request)

        @post(middleware=[guard("invoices:write")])
        async def create(self, request: Asked) -> dict[str, str | None]:
            return account(request)

    app = Litestar([Invoices], openapi_config=None)
    assert call(app, bearer(KEY)).body == ACCOUNT
    assert call(app, bearer(KEY), method="POST").status == 403


def test_the_state_of_the_request_has_it_too(guard: Guard) -> None:
    @get("/me", middleware=[guard()])
    async def me(request: Asked) -> dict[str, str | None]:
        assert request.state.verified is request.auth
        return account(request)

    assert call(Litestar([me], openapi_config=None), bearer(KEY), "/me").body == ACCOUNT


def test_the_readme_is_right(readme: Callable[..., Any]) -> None:
    app = readme("Litestar")["app"]
    assert call(app, bearer(KEY)).body == ACCOUNT
    assert call(app, []).status == 401
