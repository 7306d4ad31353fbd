"""django-oauth-toolkit, served by gunicorn, on SQLite and PostgreSQL: for speed, and with its defaults."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import machine
from doorward_server import Doorward, basic
from load import Request
from processes import ENVIRONMENT, Child, free_port, pinned

from peers import authlib_flask, postgresql_cluster
from peers.authlib_flask import CLIENT, SECRET, TOKEN
from peers.postgresql_cluster import Cluster
from peers.running import PYTHON, SCOPE, SECONDS, SERVED, Contender, Kind, Peer, ask, serving
from peers.workloads import INTROSPECT, ISSUE

OPAQUE = next(workload for workload, api in ISSUE.items() if api == "opaque")
VERY_SLOW = 2  # connections: a reply takes a quarter of a second of CPU
# As durable as Doorward's.
WAL = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"


@dataclass(frozen=True)
class Served:
    who: str
    fast: bool
    database: dict[str, Any]
    beside: Child | None = None


def servers(place: Path, cluster: Cluster | None) -> list[Served]:
    found = []
    for words, fast in (("", True), (", defaults", False)):
        file = str(place / f"django-{fast}.db")
        options = {"init_command": WAL, "transaction_mode": "IMMEDIATE", "timeout": 20} if fast else {"timeout": 20}
        lasting = {"CONN_MAX_AGE": None} if fast else {}
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": options, **lasting}
        found.append(Served(f"django-oauth-toolkit on SQLite{words}", fast, sqlite))
        if cluster:
            name = f"django_{fast}".lower()
            cluster.create(name)
            place_of_it = {"NAME": name, "USER": postgresql_cluster.USER, "HOST": str(cluster.folder)}
            database = {"ENGINE": "django.db.backends.postgresql", **place_of_it, **lasting}
            found.append(Served(f"django-oauth-toolkit on PostgreSQL{words}", fast, database, cluster.child))
    return found


@contextlib.contextmanager
def contenders(_doorward: Doorward, place: Path) -> Generator[list[Contender]]:
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(postgresql_cluster.running())
        yield [one for served in servers(place, cluster) for one in stack.enter_context(_contenders(served, place))]


@contextlib.contextmanager
def _contenders(served: Served, place: Path) -> Generator[list[Contender]]:
    port = free_port()
    told = {"database": served.database, "fast": served.fast, "client": CLIENT, "secret": SECRET}
    environment = {"DJANGO_BENCH": json.dumps(told)}
    made = pinned(machine.SERVER_CORE, [PYTHON, SERVED / "django_app.py"])
    subprocess.run(made, env={**ENVIRONMENT, **environment}, check=True)
    words: list[str | Path] = [
        PYTHON, "-m", "gunicorn", "--chdir", SERVED, "--bind", f"127.0.0.1:{port}", "--log-level", "warning",
        *(authlib_flask.FAST if served.fast else ()), "django_app:application",
    ]  # fmt: skip
    seconds = SECONDS if served.fast else 2 * SECONDS
    with serving(words, port, place, environment, served.beside) as child:
        yield [
            Contender(served.who, OPAQUE, functools.partial(_issue, served, child, port), seconds),
            Contender(served.who, INTROSPECT, functools.partial(_introspect, served, child, port), seconds),
        ]


def _issue(served: Served, child: Peer, port: int) -> Request:
    return Request(
        served.who, child, f"http://127.0.0.1:{port}/o/token/", TOKEN, authorization=basic(CLIENT, SECRET),
        body=urlencode({"grant_type": "client_credentials", "scope": SCOPE}), fresh=True,
        connections=64 if served.fast else VERY_SLOW,
    )  # fmt: skip


def _introspect(served: Served, child: Peer, port: int) -> Request:
    issue = _issue(served, child, port)
    told, _ = ask(issue.url, issue.body.encode(), issue.authorization)
    return Request(
        served.who, child, f"http://127.0.0.1:{port}/o/introspect/", '"active": true',
        authorization=issue.authorization,
        body=urlencode({"token": json.loads(told)["access_token"]}), connections=issue.connections,
    )  # fmt: skip


KIND = Kind(contenders)
