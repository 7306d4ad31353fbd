"""What a service tests of its own: who sees what, and that a revoked credential is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from invoices_api import INVOICES, app

Make = Callable[..., str]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setitem(INVOICES, "acme", [{"number": 1, "amount": "120.00"}])
    return TestClient(app)


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def test_a_caller_sees_the_invoices_of_his_account_alone(api: TestClient, token: Make) -> None:
    reply = api.get("/invoices", headers=bearer(token(scope="invoices:read", account="acme")))
    assert reply.json() == {"account": "acme", "invoices": [{"number": 1, "amount": "120.00"}]}
    reply = api.get("/invoices", headers=bearer(token(scope="invoices:read", account="globex")))
    assert reply.json() == {"account": "globex", "invoices": []}


def test_who_may_read_may_not_write(api: TestClient, token: Make) -> None:
    reply = api.post("/invoices", params={"amount": "1.00"}, headers=bearer(token(scope="invoices:read")))
    assert (reply.status_code, reply.json()["reason"]) == (403, "insufficient_scope")


def test_a_new_invoice_has_the_next_number(api: TestClient, token: Make) -> None:
    reply = api.post("/invoices", params={"amount": "1.00"}, headers=bearer(token(scope="invoices:write")))
    assert (reply.status_code, reply.json()) == (201, {"number": 2, "amount": "1.00"})


def test_nobody_is_let_in_without_a_credential(api: TestClient) -> None:
    assert api.get("/invoices").status_code == 401


def test_pages_of_any_origin_may_call_it_without_cookies(api: TestClient) -> None:
    asked = {"origin": "https://spa.example", "access-control-request-method": "GET"}
    preflight = api.options("/invoices", headers={**asked, "access-control-request-headers": "authorization"})
    assert preflight.status_code == 200
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    refused = api.get("/invoices", headers={"origin": "https://spa.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert "access-control-allow-credentials" not in {**preflight.headers, **refused.headers}


@pytest.mark.parametrize("kind", ["token", "opaque_token", "api_key"])
def test_what_was_revoked_is_refused(
    api: TestClient, request: pytest.FixtureRequest, revoke: Callable[..., None], kind: str
) -> None:
    credential = request.getfixturevalue(kind)(scope="invoices:read")
    assert api.get("/invoices", headers=bearer(credential)).status_code == 200
    revoke(credential)
    assert api.get("/invoices", headers=bearer(credential)).status_code == 401


def test_without_its_door_the_api_does_the_same(api: TestClient, auth_off: Callable[..., None]) -> None:
    auth_off(account="acme")
    assert len(api.get("/invoices").json()["invoices"]) == 1
