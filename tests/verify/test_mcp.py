"""mcp and fastmcp: a real server of either kind, called over HTTP by a tool that tells who calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastmcp import FastMCP
from fastmcp.server.auth import TokenVerificationError
from fastmcp.server.dependencies import get_access_token as fastmcp_access_token
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import MCPServer
from starlette.testclient import TestClient
from tests.verify.asking import KEY, MakeVerifier, active
from tests.verify.issuer_server import INTROSPECTION, Issuer, Reply, inactive
from tests.verify.issuing import token
from tests.verify.waiting import Clock

from doorward_verify import Unavailable, Verifier
from doorward_verify.asgi import Guard
from doorward_verify.fastmcp import DoorwardProvider
from doorward_verify.mcp import TokenVerifier
from doorward_verify.protected_resource import resource_metadata

ORIGIN = "http://localhost:8000"
RESOURCE = f"{ORIGIN}/mcp"
METADATA_PATH = "/.well-known/oauth-protected-resource/mcp"
POINTER = f'resource_metadata="{ORIGIN}{METADATA_PATH}"'
WHO = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "who", "arguments": {}}}
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip
JSON = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}


@pytest.fixture
def clock() -> Clock:
    """Both SDKs look at the clock themselves."""
    return Clock(time.time())


@pytest.fixture
def verifier(verifier_of: MakeVerifier, issuer: Issuer, clock: Clock) -> Verifier:
    issuer.replies[INTROSPECTION] = active(aud=RESOURCE, exp=int(clock.wall()) + 1000)
    return verifier_of(audience=RESOURCE)


@pytest.fixture
def access_token(issuer: Issuer, clock: Clock) -> str:
    now = int(clock.wall())
    return token(iss=issuer.url, aud=[RESOURCE, "https://other.example"], iat=now, exp=now + 300)


def told(access: Any) -> dict[str, Any]:
    return {
        "client_id": access.client_id, "scopes": access.scopes, "subject": access.subject, "resource": access.resource,
        "iss": access.claims["iss"], "account": access.claims["account"],
    }  # fmt: skip


def sdk(verifier: Verifier, *scope: str) -> Any:
    tokens = TokenVerifier(verifier)
    server = MCPServer("Invoices", token_verifier=tokens, auth=tokens.settings(*scope))

    @server.tool()
    def who() -> dict[str, Any]:
        return told(get_access_token())

    return server.streamable_http_app(json_response=True, stateless_http=True)


def fastmcp(verifier: Verifier, *scope: str) -> Any:
    server = FastMCP("Invoices", auth=DoorwardProvider(verifier, base_url=ORIGIN, required_scopes=scope))

    @server.tool()
    def who() -> dict[str, Any]:
        return told(fastmcp_access_token())

    return server.http_app(json_response=True, stateless_http=True)


def post(client: TestClient, credential: str | None, question: dict[str, Any] = WHO) -> Any:
    headers = JSON if credential is None else {**JSON, "authorization": f"Bearer {credential}"}
    return client.post("/mcp", headers=headers, json=question)


def caller(client: TestClient, credential: str) -> Any:
    reply = post(client, credential)
    assert reply.status_code == 200
    return reply.json()["result"]["structuredContent"]


@pytest.fixture(params=[sdk, fastmcp], ids=lambda made: made.__name__)
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def client(make: Any, verifier: Verifier) -> Iterator[TestClient]:
    with TestClient(make(verifier, "invoices:read"), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def guarded(make: Any, verifier: Verifier) -> Iterator[TestClient]:
    """Behind a Guard, which says what neither SDK does."""
    app, scope = make(verifier), ("invoices:read", "invoices:write")
    metadata = resource_metadata(RESOURCE, [verifier.issuer], scopes_supported=scope)
    app.add_middleware(Guard(verifier, metadata).middleware(*scope))
    with TestClient(app, base_url=ORIGIN) as client:
        yield client


def test_a_tool_sees_whose_token_it_is(client: TestClient, access_token: str, issuer: Issuer) -> None:
    assert caller(client, access_token) == {
        "client_id": "client_8sK2", "scopes": ["invoices:read"], "subject": "client_8sK2", "resource": RESOURCE,
        "iss": issuer.url, "account": "acme",
    }  # fmt: skip


def test_an_api_key_works_as_well_and_stands_for_a_client(client: TestClient, issuer: Issuer) -> None:
    assert caller(client, KEY) == {
        "client_id": "key_1", "scopes": ["invoices:read"], "subject": "acme", "resource": RESOURCE,
        "iss": issuer.url, "account": "acme",
    }  # fmt: skip


def test_without_a_token_a_client_is_shown_the_way_to_the_issuer(client: TestClient, issuer: Issuer) -> None:
    reply = post(client, None)
    assert reply.status_code == 401
    assert POINTER in reply.headers["www-authenticate"]
    document = client.get(METADATA_PATH).json()
    assert document["resource"] == RESOURCE
    assert document["authorization_servers"] == [issuer.url]
    assert document["scopes_supported"] == ["invoices:read"]


def test_a_bad_token_is_refused(client: TestClient, access_token: str) -> None:
    for bad in (access_token[:-2], KEY[:-1], "nonsense"):
        reply = post(client, bad)
        assert reply.status_code == 401
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]


def test_a_revoked_token_is_refused_within_a_second(
    client: TestClient, access_token: str, issuer: Issuer, clock: Clock
) -> None:
    assert post(client, access_token).status_code == 200
    issuer.replies[INTROSPECTION] = inactive
    clock.advance(1)
    assert post(client, access_token).status_code == 401


def test_a_token_for_another_resource_is_refused(client: TestClient, issuer: Issuer, clock: Clock) -> None:
    now = int(clock.wall())
    assert post(client, token(iss=issuer.url, aud=f"{RESOURCE}/", iat=now, exp=now + 300)).status_code == 401


def test_a_missing_scope_is_403(client: TestClient, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = active(aud=RESOURCE, scope=..., exp=...)
    reply = post(client, KEY)
    assert reply.status_code == 403
    assert 'error="insufficient_scope"' in reply.headers["www-authenticate"]


def test_while_the_server_is_away_the_token_is_not_to_blame(verifier: Verifier, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, 401)
    with pytest.raises(Unavailable):
        asyncio.run(TokenVerifier(verifier).verify_token(KEY))
    with pytest.raises(TokenVerificationError):
        asyncio.run(DoorwardProvider(verifier, base_url=ORIGIN).verify_token(KEY))


class TestBehindAGuard:
    def test_a_tool_sees_whose_token_it_is(self, guarded: TestClient, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = active(aud=RESOURCE, scope="invoices:read invoices:write", exp=...)
        assert caller(guarded, KEY)["client_id"] == "key_1"

    def test_every_missing_scope_is_named_at_once(self, guarded: TestClient) -> None:
        reply = post(guarded, KEY)
        assert reply.status_code == 403
        assert reply.headers["www-authenticate"].endswith(f'scope="invoices:read invoices:write", {POINTER}')

    def test_without_a_token_scope_and_metadata_are_named_and_no_error(self, guarded: TestClient) -> None:
        challenged = post(guarded, None).headers["www-authenticate"]
        assert challenged.startswith(f'Bearer realm="{RESOURCE}", scope="invoices:read invoices:write", {POINTER}')
        assert guarded.get(METADATA_PATH).json()["scopes_supported"] == ["invoices:read", "invoices:write"]

    def test_a_weak_sign_in_is_asked_for_a_better_one(
        self, make: Any, verifier: Verifier, issuer: Issuer, clock: Clock, access_token: str
    ) -> None:
        app, now = make(verifier), int(clock.wall())
        metadata = resource_metadata(RESOURCE, [verifier.issuer])
        app.add_middleware(Guard(verifier, metadata).middleware("invoices:read", acr_values="mfa", max_age=300))
        strong = token(iss=issuer.url, aud=RESOURCE, iat=now, exp=now + 300, jti="strong", acr="mfa", auth_time=now)
        with TestClient(app, base_url=ORIGIN) as client:
            reply = post(client, access_token)
            assert reply.status_code == 401
            challenged = reply.headers["www-authenticate"]
            assert 'error="insufficient_user_authentication"' in challenged
            assert challenged.endswith(f'acr_values="mfa", max_age="300", scope="invoices:read", {POINTER}')
            assert caller(client, strong)["client_id"] == "client_8sK2"

    def test_an_outage_is_503(self, guarded: TestClient, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, 401)
        reply = post(guarded, KEY)
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("number", [0, 1], ids=["mcp", "fastmcp"])
def test_the_readme_is_right(readme: Callable[..., Any], number: int, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = active(aud="https://api.example.com/mcp", exp=...)
    defined = readme("MCP servers", number)
    with TestClient(defined["app"], base_url=ORIGIN) as client:
        assert client.get(METADATA_PATH).json()["resource"] == "https://api.example.com/mcp"
        assert post(client, None).status_code == 401
        assert post(client, KEY, HELLO).status_code == 200


def test_the_tool_of_the_readme_knows_its_caller(readme: Callable[..., Any], issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = active(aud="https://api.example.com/mcp", exp=...)
    app = readme("MCP servers")["server"].streamable_http_app(json_response=True, stateless_http=True)
    with TestClient(app, base_url=ORIGIN) as client:
        reply = post(client, KEY, {**WHO, "params": {"name": "account", "arguments": {}}})
    assert reply.json()["result"]["structuredContent"] == {"result": "acme"}
