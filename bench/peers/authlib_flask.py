"""Authlib on Flask, served by gunicorn: in memory and on SQLite, for speed and with the defaults."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from doorward_server import Doorward, basic
from load import Request
from processes import free_port

from peers.running import PYTHON, SCOPE, SERVED, Contender, Kind, Peer, ask, serving
from peers.workloads import AUTHLIB_SQLITE, INTROSPECT, ISSUE

CLIENT, SECRET = "worker", "a-secret-of-the-bench-0123456789"
SLOW = 16  # connections, where a reply takes that long
TOKEN = '"token_type": "Bearer"'


@dataclass(frozen=True)
class Served:
    """`keys` are "parsed" once, or a "text" that is parsed for every token."""

    who: str
    store: str
    wal: bool
    keys: str
    words: tuple[str, ...]
    connections: int


# Its documentation shows a development server and no other; Flask's names gunicorn. Threads keep connections open.
FAST = ("--worker-class", "gthread", "--threads", "4", "--keep-alive", "75")
SERVERS = (
    Served("Authlib in memory", "memory", True, "parsed", FAST, 64),
    Served("Authlib in memory, defaults", "memory", False, "text", (), SLOW),
    Served(AUTHLIB_SQLITE, "sqlite", True, "parsed", FAST, 64),
    Served(f"{AUTHLIB_SQLITE}, defaults", "sqlite", False, "text", (), SLOW),
)


@contextlib.contextmanager
def contenders(_doorward: Doorward, place: Path) -> Generator[list[Contender]]:
    with contextlib.ExitStack() as stack:
        yield [one for served in SERVERS for one in stack.enter_context(_contenders(served, place))]


@contextlib.contextmanager
def _contenders(served: Served, place: Path) -> Generator[list[Contender]]:
    port = free_port()
    store = f"sqlite:///{place}/authlib-{port}.db" if served.store == "sqlite" else served.store
    told = {"store": store, "wal": served.wal, "keys": served.keys, "client": CLIENT, "secret": SECRET}
    command: list[str | Path] = [
        PYTHON, "-m", "gunicorn", "--chdir", SERVED, "--bind", f"127.0.0.1:{port}", "--log-level", "warning",
        *served.words, "flask_app:application",
    ]  # fmt: skip
    with serving(command, port, place, {"AUTHLIB_BENCH": json.dumps(told), "PYTHONWARNINGS": "ignore"}) as child:
        issued = [
            Contender(served.who, workload, functools.partial(_issue, served, child, port, name))
            for workload, name in ISSUE.items()
        ]
        introspected = functools.partial(_introspect, served, child, port)
        yield [*issued, Contender(served.who, INTROSPECT, introspected)]


def _issue(served: Served, child: Peer, port: int, name: str) -> Request:
    return Request(
        served.who, child, f"http://127.0.0.1:{port}/{name}/token", TOKEN, authorization=basic(CLIENT, SECRET),
        body=urlencode({"grant_type": "client_credentials", "scope": SCOPE}), fresh=True,
        connections=served.connections,
    )  # fmt: skip


def _introspect(served: Served, child: Peer, port: int) -> Request:
    issue = _issue(served, child, port, "opaque")
    told, _ = ask(issue.url, issue.body.encode(), issue.authorization)
    return Request(
        served.who, child, f"http://127.0.0.1:{port}/introspect", '"active": true', authorization=issue.authorization,
        body=urlencode({"token": json.loads(told)["access_token"]}), connections=served.connections,
    )  # fmt: skip


KIND = Kind(contenders)
