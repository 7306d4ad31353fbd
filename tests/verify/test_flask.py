"""flask: decorated views, sync and async, and a blueprint that is guarded as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, g
from tests.verify.asgi_calls import Answered, Headers
from tests.verify.asking import KEY
from tests.verify.shells import ACCOUNT, METADATA, STEP_UP, Shell, bearer

from doorward_verify import Verifier
from doorward_verify.flask import Guard


@pytest.fixture
def guard(verifier: Verifier) -> Guard:
    return Guard(verifier, METADATA)


def account() -> dict[str, Any]:
    return {"account": None if g.verified is None else g.verified.account}


@pytest.fixture
def app(guard: Guard) -> Flask:
    app = Flask(__name__)

    @app.get("/invoices")
    @guard("invoices:read")
    def invoices() -> dict[str, Any]:
        return account()

    @app.post("/invoices")
    @guard("invoices:read", "invoices:write")
    async def create() -> dict[str, Any]:
        return account()

    app.add_url_rule("/me", "me", guard()(account))
    app.add_url_rule("/perhaps", "perhaps", guard(optional=True)(account))
    app.add_url_rule("/transfers", "transfers", guard("invoices:read", **STEP_UP)(account))
    app.add_url_rule(guard.metadata_path, view_func=guard.metadata)
    return app


def call(app: Flask, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
    fields = [(name.decode(), value.decode("latin-1")) for name, value in headers]
    response = app.test_client().open(path, method=method, headers=fields)
    raw = [(name.encode(), value.encode()) for name, value in response.headers]
    return Answered(response.status_code, raw, response.get_json())


class TestShell(Shell):
    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return call(app, headers, path, method)


def test_a_guard_may_stand_before_a_whole_blueprint(guard: Guard) -> None:
    app, blueprint = Flask(__name__), Blueprint("invoices", __name__)
    blueprint.before_request(guard("invoices:read")(lambda: None))
    blueprint.add_url_rule("/invoices", "invoices", account)
    app.register_blueprint(blueprint)
    assert call(app, bearer(KEY)).body == ACCOUNT
    assert call(app, []).status == 401


def test_a_view_gets_its_arguments_and_keeps_its_name(guard: Guard) -> None:
    app = Flask(__name__)

    @app.get("/invoices/<int:number>")
    @guard("invoices:read")
    def invoice(number: int) -> dict[str, int]:
        return {"number": number}

    assert call(app, bearer(KEY), "/invoices/7").body == {"number": 7}
    assert "invoice" in app.view_functions


def test_what_no_header_can_hold_is_no_credential(app: Flask) -> None:
    assert call(app, [(b"authorization", b"Bearer \xff\xfe")]).body["reason"] == "credential_unknown"


def test_the_readme_is_right(readme: Callable[..., Any]) -> None:
    app = readme("Flask")["app"]
    assert call(app, bearer(KEY)).body == ACCOUNT
    assert call(app, []).status == 401
