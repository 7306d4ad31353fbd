# ruff: noqa: B008  a default is the other way to write it
"""fastapi_routes: a Guard in an annotation that FastAPI cannot look up is refused when the route is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from tests.verify.asgi_calls import call, knock
from tests.verify.asking import KEY
from tests.verify.shells import bearer

from doorward_verify import Misconfigured, Verified, Verifier
from doorward_verify.fastapi import Guard

if TYPE_CHECKING:
    from doorward_verify import Verified as Caller

LOST = "would not be asked"


@pytest.fixture(name="guard")  # else the module had this name, and FastAPI would find it
def guard_of_the_test(verifier: Verifier) -> Guard:
    return Guard(verifier)


def test_a_guard_that_is_local_to_a_function_is_refused_in_an_annotation(guard: Guard) -> None:
    app = FastAPI()
    with pytest.raises(Misconfigured, match=LOST) as refused:

        @app.get("/invoices")
        def invoices(caller: Annotated[Verified, guard("invoices:read")] = None) -> str:  # type: ignore[assignment]
            return "open"

    assert "caller: Annotated[Verified, guard('invoices:read')]" in str(refused.value)
    assert "invoices" in str(refused.value)
    assert call(app, []).status == 404


@pytest.mark.parametrize("kind", ["post", "put", "websocket"])
def test_it_is_refused_on_every_kind_of_route(guard: Guard, kind: str) -> None:
    for router in (FastAPI(), APIRouter()):
        with pytest.raises(Misconfigured, match=LOST):

            @getattr(router, kind)("/invoices")
            def invoices(caller: Annotated[Verified, guard()]) -> None: ...


def test_it_is_refused_in_what_a_route_depends_on(guard: Guard) -> None:
    def account(caller: Annotated[Verified, guard()]) -> str | None:
        return caller.account

    app = FastAPI()
    with pytest.raises(Misconfigured, match=LOST):

        @app.get("/invoices", dependencies=[Depends(account)])
        def invoices() -> None: ...


def test_it_is_refused_in_what_routes_depend_on_once_they_are_included(guard: Guard) -> None:
    def account(caller: Annotated[Verified, guard()] = None) -> None: ...  # type: ignore[assignment]

    def invoices() -> None: ...

    router = APIRouter()
    router.get("/invoices")(invoices)
    for app, added in ((FastAPI(), [Depends(account)]), (FastAPI(dependencies=[Depends(account)]), None)):
        with pytest.raises(Misconfigured, match=LOST):
            app.include_router(router, dependencies=added)
        assert call(app, []).status == 404


def test_a_name_for_type_checkers_alone_is_refused_too() -> None:
    app = FastAPI()
    with pytest.raises(Misconfigured, match="type checkers"):

        @app.get("/invoices")
        def invoices(caller: Annotated[Caller, everywhere("invoices:read")]) -> None: ...


def test_as_a_default_or_a_dependency_of_the_route_a_local_guard_works(guard: Guard) -> None:
    app = FastAPI()

    @app.get("/invoices")
    def invoices(caller: Caller = guard("invoices:read")) -> str | None:
        return caller.account

    @app.get("/me", dependencies=[guard("invoices:read")])
    def me() -> str:
        return "acme"

    @app.websocket("/feed")
    async def feed(websocket: WebSocket, caller: Verified = guard("invoices:read")) -> None:
        await websocket.accept()

    for path in ("/invoices", "/me"):
        assert call(app, bearer(KEY), path).body == "acme"
        assert call(app, [], path).status == 401
    assert knock(app, bearer(KEY))[0]["type"] == "websocket.accept"
    assert knock(app, [])[0]["type"] == "websocket.close"


def test_what_a_route_returns_may_be_known_to_type_checkers_alone(guard: Guard) -> None:
    app = FastAPI()

    @app.get("/invoices", response_model=None)
    def invoices(caller: Verified = guard()) -> Caller:
        return {"account": caller.account}  # type: ignore[return-value]

    assert call(app, bearer(KEY)).body == {"account": "acme"}


def everywhere(_: str) -> object:
    raise AssertionError("it is never asked, since the type before it is not found")
