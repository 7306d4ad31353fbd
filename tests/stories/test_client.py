"""A worker that never thinks of tokens: when one is revoked it goes on, when it may have none it is told why."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from tests.deployment import Doorward, free_port, running, served

from doorward_verify.client import ClientCredentials, TokenRefused

ROOT = Path(__file__).parents[2]
API = "https://api.example.com"
DEADLINE = 15  # the promise is a second; slow machines get more

pytestmark = pytest.mark.slow


@dataclass
class World:
    """A server, an api behind Guard, and a client with a grant for it."""

    doorward: Doorward
    url: str
    client: dict[str, Any] = field(repr=False)
    environment: dict[str, str] = field(repr=False)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.environment["DOORWARD_CA_FILE"])

    def worker(self) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, str(ROOT / "examples/worker/worker_httpx2.py"), self.url]
        environment = {**os.environ, **self.environment}
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served(tmp_path_factory.mktemp("client")) as doorward:
        doorward.an_api(identifier=API)
        verifier = doorward.a_verifier(api=API)
        client = doorward.a_client(api=API, account=doorward.an_account(id="acme")["id"])
        common = {"DOORWARD_ISSUER": doorward.issuer, "DOORWARD_CA_FILE": str(doorward.directory / "ca.pem")}
        guard = {"DOORWARD_VERIFIER_ID": verifier["client_id"], "DOORWARD_VERIFIER_SECRET": verifier["client_secret"]}
        port, certificate = free_port(), doorward.directory / "server.pem"
        argv = [
            sys.executable, "-m", "uvicorn", "invoices_api:app", "--app-dir", ROOT / "examples/invoices-api",
            "--port", port, "--ssl-certfile", certificate, "--ssl-keyfile", certificate,
        ]  # fmt: skip
        with running([str(word) for word in argv], "Uvicorn running", env={**os.environ, **common, **guard}):
            own = {"DOORWARD_CLIENT_ID": client["client_id"], "DOORWARD_CLIENT_SECRET": client["client_secret"]}
            yield World(doorward, f"https://localhost:{port}/invoices", client, {**common, **own})


@pytest.fixture
def credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> ClientCredentials:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    return ClientCredentials(world.url)


def test_the_example_calls_the_api(world: World) -> None:
    done = world.worker()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('200 {"account":"acme"')


def test_the_end_of_a_token_goes_unnoticed(world: World, credentials: ClientCredentials) -> None:
    sent: list[str] = []
    statuses: list[int] = []
    hooks: dict[str, list[Any]] = {
        "request": [lambda request: sent.append(request.headers["authorization"])],
        "response": [lambda response: statuses.append(response.status_code)],
    }
    with httpx2.Client(auth=credentials, verify=world.trust, trust_env=False, event_hooks=hooks) as api:
        assert api.get(world.url).status_code == 200
        revoked = sent[0].removeprefix("Bearer ")
        assert world.doorward.post("revoke", world.client, token=revoked).status_code == 200
        deadline = time.monotonic() + DEADLINE
        while 401 not in statuses:
            assert time.monotonic() < deadline, "it is still accepted"
            assert api.post(world.url, params={"amount": "1.00"}).status_code == 201
    assert statuses[-2:] == [401, 201]
    assert (len(set(sent)), sent[-2].removeprefix("Bearer "), sent[-1] != sent[0]) == (2, revoked, True)


def test_every_library_is_let_in_with_one_token(world: World, credentials: ClientCredentials) -> None:
    sent: set[str] = set()

    async def asynchronously() -> int:
        async with httpx2.AsyncClient(auth=credentials, verify=world.trust, trust_env=False) as api:
            reply = await api.get(world.url)
            sent.add(reply.request.headers["authorization"])
            return reply.status_code

    assert asyncio.run(asynchronously()) == 200
    with requests.Session() as session:
        session.auth, session.trust_env, session.verify = credentials, False, world.environment["DOORWARD_CA_FILE"]
        reply = session.get(world.url)
        sent.add(str(reply.request.headers["Authorization"]))
    assert (reply.status_code, len(sent)) == (200, 1)


@pytest.mark.parametrize(
    ("asked_for", "error", "reason", "fix"),
    [
        ({"scope": "invoices:delete"}, "invalid_scope", "scope_invalid", "doorward clients show"),
        ({"resource": "https://other.example.com"}, "invalid_target", "resource_unknown", "resource="),
        ({"client_secret": "guessed"}, "invalid_client", "client_unauthenticated", "DOORWARD_CLIENT_SECRET"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_says_why_and_can_be_explained(
    world: World, credentials: ClientCredentials, asked_for: dict[str, str], error: str, reason: str, fix: str
) -> None:
    auth = ClientCredentials(world.url, **asked_for)  # type: ignore[arg-type]
    with httpx2.Client(auth=auth, verify=world.trust, trust_env=False) as api, pytest.raises(TokenRefused) as refused:
        api.get(world.url)
    assert (refused.value.error, refused.value.reason) == (error, reason)
    assert fix in str(refused.value)
    explained = world.doorward.v1("GET", f"/requests/{refused.value.request_id}")
    assert explained.status_code == 200, explained.text
    assert explained.json()["reason"] == reason


def test_a_disabled_client_is_told(world: World) -> None:
    def turn(state: str) -> None:
        path = f"/clients/{world.client['client_id']}"
        version = world.doorward.v1("GET", path).headers["etag"]
        assert world.doorward.v1("PATCH", path, {"state": state}, if_match=version).status_code == 200

    turn("disabled")
    try:
        done = world.worker()
    finally:
        turn("active")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("invalid_client: ")
    assert "doorward explain req_" in done.stderr
    assert world.worker().returncode == 0
