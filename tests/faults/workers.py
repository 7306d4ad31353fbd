"""The workers of a server, one by one: a connection that stays at one of them, and its process."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from tests.deployment import Doorward, Json, Response, auth_of

DEADLINE = 30.0


def node_of(reply: Response) -> str:
    """Which worker answered: its number stands in every request id (decision 23)."""
    return str(reply.headers["x-request-id"][12:14])


def pids(doorward: Doorward) -> list[int]:
    """The processes that the supervisor forked."""
    assert doorward.program is not None
    pid = doorward.program.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Worker:
    """Requests to one worker, over one connection; when it is lost, another one that leads there is looked for."""

    def __init__(self, doorward: Doorward, node: str) -> None:
        self.node = node
        self._doorward = doorward
        self._trust = ssl.create_default_context(cafile=doorward.directory / "ca.pem")
        self._http: httpx2.Client | None = None

    def request(self, method: str, path: str, **options: Any) -> Response:
        """Asks before whether the connection still leads there: what goes elsewhere proves nothing."""
        deadline = time.monotonic() + DEADLINE
        while True:
            http = self._http or self._connection()
            self._http = http
            try:
                if node_of(http.get("/healthz")) == self.node:
                    reply = http.request(method, path, **options)
                    if node_of(reply) == self.node:
                        return reply
            except httpx2.TransportError:
                pass
            self.close()
            assert time.monotonic() < deadline, f"worker {self.node} never answered"

    def asked(self, method: str, path: str, **options: Any) -> Response:
        """The same without looking first, for what is asked over and over and changes nothing."""
        deadline = time.monotonic() + DEADLINE
        while True:
            self._http = self._http or self._connection()
            with contextlib.suppress(httpx2.TransportError):
                reply = self._http.request(method, path, **options)
                if node_of(reply) == self.node:
                    return reply
            self.close()
            assert time.monotonic() < deadline, f"worker {self.node} never answered"

    def accepts(self, verifier: Json, text: str) -> bool:
        reply = self.asked("POST", "/oauth/introspect", data={"token": text}, auth=auth_of(verifier))
        assert reply.status_code == 200, reply.text
        return bool(reply.json()["active"])

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        self._http = None

    def _connection(self) -> httpx2.Client:
        limits = httpx2.Limits(max_connections=1)
        return httpx2.Client(
            base_url=self._doorward.issuer, verify=self._trust, trust_env=False, limits=limits, timeout=DEADLINE
        )


@contextlib.contextmanager
def each_worker(doorward: Doorward) -> Iterator[list[Worker]]:
    workers = [Worker(doorward, f"{number + 1:02}") for number in range(len(pids(doorward)))]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


@contextlib.contextmanager
def many_open_files() -> Iterator[None]:
    """As many as the system allows, here and in the processes that are started meanwhile."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def end(pid: int, number: int) -> None:
    """A signal to a worker that this test started."""
    os.kill(pid, number)
