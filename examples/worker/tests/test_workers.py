"""Both workers as they are run: their token comes from the issuer, and the api behind its Guard lets it in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from invoices_api import app

from doorward_verify.testing import Issuer

WORKERS = Path(__file__).parents[1]
DEADLINE = 20.0

pytestmark = pytest.mark.parametrize("worker", ["worker.py", "worker_httpx2.py"])


class Announced(uvicorn.Server):
    """One that says when it listens."""

    def __init__(self) -> None:
        super().__init__(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = Announced()
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    assert server.listens.wait(DEADLINE)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/invoices"
    server.should_exit = True
    running.join(DEADLINE)


def run(worker: str, url: str, client: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOORWARD_CLIENT_ID": client[0], "DOORWARD_CLIENT_SECRET": client[1]}
    words = [sys.executable, str(WORKERS / worker), url]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_worker_is_let_in_for_its_account(worker: str, url: str, issuer: Issuer) -> None:
    done = run(worker, url, issuer.client(scope="invoices:read", account="acme"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('200 {"account":"acme"')


def test_without_the_scope_the_api_refuses(worker: str, url: str, issuer: Issuer) -> None:
    done = run(worker, url, issuer.client(scope="invoices:write"))
    assert done.returncode == 1
    assert done.stdout.startswith("403")
    assert "insufficient_scope" in done.stdout


def test_a_client_that_is_unknown_gets_no_token(worker: str, url: str) -> None:
    done = run(worker, url, ("client_unknown", "guessed"))
    assert done.returncode == 1
    assert "invalid_client" in done.stdout + done.stderr
