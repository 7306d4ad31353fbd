"""The command line as its users have it: words in, exit code and two streams out, in an empty directory."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from doorward.cli import admin_api
from doorward.cli.main import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("DOORWARD", "CLICOLOR", "NO_COLOR")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(capsys, monkeypatch) -> Run:
    def run(*words: str, stdin: str = "", terminal: bool = False) -> Ran:
        monkeypatch.setattr("sys.stdin", Terminal(stdin) if terminal else io.StringIO(stdin))
        code = main(words)
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return run


@pytest.fixture
def at(run, tmp_path) -> Run:
    """On a data directory of its own, made by the first command."""
    return lambda *words, **more: run("--data-dir", str(tmp_path / "data"), *words, **more)


@pytest.fixture(scope="session")
def acme_directory(tmp_path_factory) -> Path:
    """Made once: most of the time goes into its RSA key."""
    return prepared(tmp_path_factory.mktemp("acme") / "data")


def prepared(directory: Path) -> Path:
    """With an api and an account."""
    words = ["--scope", "invoices:read=Read your invoices", "--scope", "invoices:write=Create and change invoices"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        made = ["apis", "create", "https://api.example.com", "--name", "Invoices", *words]
        assert main(["--data-dir", str(directory), *made]) == 0
        assert main(["--data-dir", str(directory), "accounts", "create", "acme", "--name", "Acme Inc"]) == 0
    return directory


@pytest.fixture
def acme(at, acme_directory, tmp_path) -> Run:
    """An api with two scopes, and an account."""
    shutil.copytree(acme_directory, tmp_path / "data")
    return at


@pytest.fixture
def key(acme) -> dict[str, Any]:
    words = ("--account", "acme", "--api", "Invoices", "--scope", "invoices:read", "--json")
    return acme("keys", "create", *words).json


@pytest.fixture
def server(monkeypatch) -> Callable[..., list[httpx2.Request]]:
    """Answers in a server's place, one after the other, and returns what was asked."""

    def server(*answers: httpx2.Response | Exception) -> list[httpx2.Request]:
        asked: list[httpx2.Request] = []
        waiting = list(answers)

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            found = waiting.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        @asynccontextmanager
        async def connect(chosen: object, *, making: bool = False):
            transport = httpx2.MockTransport(answer)
            async with httpx2.AsyncClient(transport=transport, base_url="https://auth.example.com") as http:
                yield admin_api.AdminApi(http, "https://auth.example.com", issuer="https://auth.example.com")

        monkeypatch.setattr(admin_api, "connect", connect)
        monkeypatch.setenv("DOORWARD_URL", "https://auth.example.com")
        monkeypatch.setenv("DOORWARD_ADMIN_KEY", "dwa_live_x")
        return asked

    return server
