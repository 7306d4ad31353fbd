"""An api behind two worker processes refuses a revoked JWT, and has asked the server about none."""

from __future__ import annotations

import os
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.deployment import API, SCOPES, Doorward, free_port, running, served
from tests.faults.fault_proxy import FaultProxy, proxied

ROOT = Path(__file__).parents[2]
PROCESSES = 2
CHECKS = 50
# The promise is a second; the deadline is for slow machines.
DEADLINE = 30.0
# What a verifier reads once and then follows: neither of them names a credential.
PUBLIC = {"/.well-known/oauth-authorization-server", "/.well-known/jwks.json"}
FEED = {"/revocations", "/revocations/stream", "/revocations/jwks"}


@dataclass
class Invoices:
    """The example api: each of its processes by a connection of its own, and what they sent to the server."""

    doorward: Doorward
    proxy: FaultProxy
    processes: list[httpx2.Client]

    def calls(self, token: str) -> list[int]:
        bearer = {"authorization": f"Bearer {token}"}
        return [http.get("/invoices", headers=bearer).status_code for http in self.processes]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Doorward, FaultProxy]]:
    """The services reach the server through a proxy that counts; the administrator and the clients do not."""
    port = free_port()
    with served(tmp_path, "--workers", 2, "--issuer", f"https://localhost:{port}") as doorward:
        direct = int(doorward.issuer.rpartition(":")[2])
        with proxied(doorward.directory / "server.pem", direct, port) as proxy:
            yield replace(doorward, issuer=proxy.url), proxy


@pytest.fixture
def invoices(line: tuple[Doorward, FaultProxy]) -> Iterator[Invoices]:
    doorward, proxy = line
    doorward.an_api(identifier=API, name="Invoices", scopes=SCOPES)
    verifier = doorward.a_verifier(api=API)
    variables = {
        "DOORWARD_ISSUER": proxy.url,
        "DOORWARD_VERIFIER_ID": verifier["client_id"],
        "DOORWARD_VERIFIER_SECRET": verifier["client_secret"],
        "DOORWARD_CA_FILE": str(doorward.directory / "ca.pem"),
    }
    certificate, trust = (
        doorward.directory / "server.pem",
        ssl.create_default_context(cafile=variables["DOORWARD_CA_FILE"]),
    )

    def started(port: int) -> Any:
        arguments = [
            sys.executable, "-m", "uvicorn", "invoices_api:app", "--app-dir", ROOT / "examples/invoices-api",
            "--port", port, "--ssl-certfile", certificate, "--ssl-keyfile", certificate,
        ]  # fmt: skip
        return running([str(word) for word in arguments], "Uvicorn running", env={**os.environ, **variables})

    first, second = free_port(), free_port()
    with (
        started(first), started(second),
        httpx2.Client(base_url=f"https://localhost:{first}", verify=trust, trust_env=False) as one,
        httpx2.Client(base_url=f"https://localhost:{second}", verify=trust, trust_env=False) as two,
    ):  # fmt: skip
        yield Invoices(doorward, proxy, [one, two])


@pytest.mark.slow
def test_two_processes_refuse_a_revoked_token_and_asked_the_server_about_none(invoices: Invoices) -> None:
    doorward = invoices.doorward
    client = doorward.a_client(api=API)
    tokens = [doorward.token(client) for _ in range(CHECKS)]
    revoked, *others = tokens
    for token in tokens:
        assert invoices.calls(token) == [200] * PROCESSES

    assert doorward.post("revoke", client, token=revoked).status_code == 200
    deadline = time.monotonic() + DEADLINE
    while invoices.calls(revoked) != [401] * PROCESSES:
        assert time.monotonic() < deadline, "it is still accepted"
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(invoices.calls, others)) == [[200] * PROCESSES] * len(others)

    refused = invoices.processes[0].get("/invoices", headers={"authorization": f"Bearer {revoked}"})
    assert refused.json()["reason"] == "credential_revoked"
    asked = invoices.proxy.asked
    assert set(asked) <= PUBLIC | FEED, asked
    # Each process read the metadata and the keys once, and joined one stream.
    assert {asked[path] for path in PUBLIC} == {PROCESSES}
    assert asked["/revocations/stream"] >= PROCESSES

    # The counter does count: of an API key the server is asked, once a process, however often it comes.
    key = doorward.a_key(api=API)["key"]
    for _ in range(3):
        assert invoices.calls(key) == [200] * PROCESSES
    assert asked["/oauth/introspect"] == PROCESSES
