"""testing: what a gateway asserts, for services that stand behind one and test themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from doorward_verify.starlette import Guard
from doorward_verify.testing import Issuer

AUDIENCE = "https://api.example.com"
PATH = "/invoices/caf%C3%A9?page=2&q=%20"

Call = Callable[..., Any]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.close()


@pytest.fixture
def call(issuer: Issuer) -> Iterator[Call]:
    """Of a service behind a gateway: the caller's members, or the status and reason of the refusal."""
    guard = Guard(issuer.verifier(AUDIENCE), behind="billing")

    @guard("invoices:read")
    async def invoices(request: Request) -> JSONResponse:
        caller = request.state.verified
        return JSONResponse({"account": caller.account, "credential": caller.credential, "key_id": caller.key_id})

    routes = [Route("/invoices/{name}", invoices, methods=["GET", "POST"])]
    with TestClient(Starlette(routes=routes), base_url="https://api.example.com") as client:

        def called(text: str | None, method: str = "GET", target: str = PATH) -> Any:
            reply = client.request(method, target, headers={} if text is None else {"x-auth-assertion": text})
            return reply.json() if reply.status_code == 200 else (reply.status_code, reply.json()["reason"])

        yield called


def test_a_service_is_called_as_the_gateway_would_call_it(issuer: Issuer, call: Call) -> None:
    found = call(issuer.assertion("billing", "GET", PATH, scope="invoices:read", account="globex", key_id="key_7"))
    assert found == {"account": "globex", "credential": "api_key", "key_id": "key_7"}
    assert call(None) == (401, "credential_missing")


@pytest.mark.parametrize("kind", ["token", "opaque_token", "api_key"])
def test_it_is_of_a_credential_and_ends_with_it(issuer: Issuer, call: Call, kind: str) -> None:
    credential = getattr(issuer, kind)(scope="invoices:read")
    named = {"token": "jwt", "opaque_token": "opaque"}.get(kind, kind)
    assert call(issuer.assertion("billing", "GET", PATH, credential))["credential"] == named
    late = issuer.assertion("billing", "GET", PATH, credential)
    issuer.revoke(credential)
    assert call(late) == (401, "credential_revoked")


def test_it_is_for_one_service_method_and_target_and_for_ten_seconds(issuer: Issuer, call: Call) -> None:
    assert call(issuer.assertion("shipping", "GET", PATH, scope="invoices:read")) == (401, "wrong_audience")
    assert call(issuer.assertion("billing", "POST", PATH, scope="invoices:read")) == (401, "assertion_misplaced")
    assert call(issuer.assertion("billing", "GET", "/other", scope="invoices:read")) == (401, "assertion_misplaced")
    assert call(issuer.assertion("billing", "GET", PATH))[0] == 403
    once = issuer.assertion("billing", "POST", PATH, scope="invoices:read")
    assert call(once, "POST")["account"] == "acme"
    assert call(once, "POST") == (401, "assertion_replayed")
    late = issuer.assertion("billing", "GET", PATH, scope="invoices:read")
    issuer.clock.advance(30)
    assert call(late) == (401, "credential_expired")


def test_what_this_issuer_did_not_make_is_asserted_by_nobody(issuer: Issuer) -> None:
    with pytest.raises(LookupError):
        issuer.assertion("billing", "GET", PATH, "dw_live_x")
