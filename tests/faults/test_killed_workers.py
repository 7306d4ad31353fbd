"""F6, T219: workers are killed under load: no wrong answer, nobody fails but who was just being answered, and another
worker stands in the place of the dead one soon.
"""

from __future__ import annotations

import random
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
from tests.deployment import Doorward, Json, auth_of, served
from tests.faults import workers
from tests.faults.workers import Worker

WORKERS, CLIENTS, RATE = 3, 8, 200
KILLS, KILLS_LONG = 10, 100
DEADLINE = 60.0
READY_WITHIN = 2.0
# Of a connection that died with its worker the client learns when the kernel closed it.
IN_FLIGHT = 5.0
SEED = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def doorward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    flags = ["--database", request.getfixturevalue("postgresql_url")] if request.param == "postgresql" else []
    with served(tmp_path_factory.mktemp("killed"), "--workers", WORKERS, *flags) as doorward:
        yield doorward


@dataclass
class Load:
    """Clients with a connection each, which they keep; together they ask `RATE` times a second."""

    doorward: Doorward
    is_over: threading.Event = field(default_factory=threading.Event)
    wrong: list[str] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: list[tuple[float, Exception]] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        api = self.doorward.an_api()["identifier"]
        self.client, self.verifier = self.doorward.a_client(api=api), self.doorward.a_verifier(api=api)
        self.good, self.dead = self.doorward.token(self.client), self.doorward.token(self.client)
        assert self.doorward.post("revoke", self.client, token=self.dead).status_code == 200
        self._trust = ssl.create_default_context(cafile=self.doorward.directory / "ca.pem")
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _run(self, number: int) -> None:
        options = {"base_url": self.doorward.issuer, "verify": self._trust, "trust_env": False, "timeout": DEADLINE}
        with httpx2.Client(**options, limits=httpx2.Limits(max_connections=1)) as http:
            due = time.monotonic() + number / RATE
            while not self.is_over.wait(max(0.0, due - time.monotonic())):
                due = max(due + CLIENTS / RATE, time.monotonic() - 1)
                try:
                    self._ask(http, len(self.answers) + number)
                except httpx2.TransportError as fault:
                    self.failed.append((time.monotonic(), fault))

    def _ask(self, http: httpx2.Client, number: int) -> None:
        if number % 4 == 0:
            reply = http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth_of(self.client))
            is_right = reply.status_code == 200 and bool(reply.json()["access_token"])
        else:
            expected: Json = {self.good: True, self.dead: False}
            token = (self.good, self.dead)[number % 2]
            reply = http.post("/oauth/introspect", data={"token": token}, auth=auth_of(self.verifier))
            is_right = reply.status_code == 200 and reply.json()["active"] is expected[token]
        if reply.status_code == 503 and int(reply.headers["retry-after"]) >= 1:
            self.refused.append(time.monotonic())
        elif not is_right:
            self.wrong.append(f"{reply.status_code} {reply.text[:200]}")
        self.answers.append(time.monotonic())

    def until(self, more: int) -> None:
        wanted, deadline = len(self.answers) + more, time.monotonic() + DEADLINE
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, "nobody is answered any more"
            self.is_over.wait(0.01)


def until_whole(doorward: Doorward, victim: int) -> None:
    """Every worker answers, and none of them is the dead one."""
    deadline = time.monotonic() + DEADLINE
    while victim in (found := workers.pids(doorward)) or len(found) < WORKERS:
        assert time.monotonic() < deadline, "the worker was not started again"
        threading.Event().wait(0.01)
    for number in range(WORKERS):
        worker = Worker(doorward, f"{number + 1:02}")
        worker.asked("GET", "/readyz")
        worker.close()


@pytest.mark.slow
def test_of_a_worker_that_is_killed_only_what_it_was_answering_fails(doorward, is_long, figure):
    chance = random.Random(SEED)
    killed_at, took = [], []
    with Load(doorward) as load:
        for _ in range(KILLS_LONG if is_long else KILLS):
            load.until(2 * CLIENTS)
            victim = chance.choice(workers.pids(doorward))
            killed_at.append(time.monotonic())
            workers.end(victim, signal.SIGKILL)
            until_whole(doorward, victim)
            took.append(time.monotonic() - killed_at[-1])
        load.until(2 * CLIENTS)
    assert load.wrong == [], f"seed {SEED}"
    # The supervisor keeps the socket: whoever comes is let in by those that live.
    assert [fault for _, fault in load.failed if isinstance(fault, httpx2.ConnectTimeout | httpx2.PoolTimeout)] == []
    for at, fault in load.failed:
        assert any(0 <= at - killed <= IN_FLIGHT for killed in killed_at), repr(fault)
    # Each of them has one connection, and can have lost no more than one answer at a time.
    assert len(load.failed) <= CLIENTS * len(killed_at)
    rate = len(load.answers) / (load.answers[-1] - load.answers[0])
    figure("answers a second while workers are killed", "/s", [rate])
    # Too much for this machine, perhaps: it is no wrong answer, but nobody should get one.
    figure("requests that were refused meanwhile (503), of each kill", "", [len(load.refused) / len(killed_at)], most=0)
    figure("requests that failed with their worker, of each kill", "", [len(load.failed) / len(killed_at)])
    figure("a killed worker, until there is another one that is ready", "s", took, most=READY_WITHIN)
