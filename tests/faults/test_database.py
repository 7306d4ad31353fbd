"""F7, T220: the database is restarted, or swallows everything, under load; nobody has to mend anything afterwards.

Writes are refused with 503 and Retry-After, soon; what needs no database goes on; what was acknowledged is there.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.deployment import Doorward, Response, served
from tests.faults.fault_proxy import FaultProxy, proxied
from tests.postgresql import PostgreSQL, binaries, private

from doorward_verify import Verifier

WORKERS, WRITERS = 2, 4
DEADLINE = 60.0
RESTARTS, RESTARTS_LONG = 3, 20
SWALLOWED, SWALLOWED_LONG = 5.0, 30.0
# The promises; this test judges outcomes alone, and the figures are held against them where a machine is at rest.
REFUSED_WITHIN, RECOVERED_WITHIN = 2.0, 5.0
SAMPLE = 50


@pytest.fixture(scope="module")
def cluster(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """A cluster of its own, since others use the shared one; asked for to be skipped where that one is."""
    assert binaries()
    with private() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def line(cluster: PostgreSQL) -> Iterator[tuple[str, FaultProxy]]:
    """An URL of the database that leads through a proxy."""
    url = cluster.create()
    with proxied(None, cluster.directory / ".s.PGSQL.5432") as proxy:
        yield f"postgresql://doorward@127.0.0.1:{proxy.port}/{cluster.name(url)}", proxy


@pytest.fixture(scope="module")
def doorward(line: tuple[str, FaultProxy], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    flags = ["--workers", WORKERS, "--database", line[0]]
    with served(tmp_path_factory.mktemp("database"), *flags) as doorward:
        yield doorward


@dataclass(frozen=True)
class Answer:
    began: float
    ended: float
    reply: Response

    @property
    def is_good(self) -> bool:
        return self.reply.status_code == 200


@dataclass
class Load:
    """Writers who ask for tokens, somebody who reads the keys, and a service that checks a JWT, again and again."""

    doorward: Doorward
    is_over: threading.Event = field(default_factory=threading.Event)
    writes: list[Answer] = field(default_factory=list)
    reads: list[Answer] = field(default_factory=list)
    refused: list[Exception] = field(default_factory=list)
    checked: int = 0

    def __post_init__(self) -> None:
        api = self.doorward.an_api()["identifier"]
        self.client, self.given = self.doorward.a_client(api=api), self.doorward.a_verifier(api=api)
        self.token = self.doorward.token(self.client)
        self.verifier = Verifier(
            self.doorward.issuer, audience=api, verifier_id=self.given["client_id"],
            verifier_secret=self.given["client_secret"], ca_file=str(self.doorward.directory / "ca.pem"),
        )  # fmt: skip
        assert self.verifier.check(self.token).client_id == self.client["client_id"]
        works = [*[self._write] * WRITERS, self._read, self._check]
        self._threads = [threading.Thread(target=self._on, args=(work,), daemon=True) for work in works]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE)
        self.verifier.close()

    def _on(self, work: Callable[[], None]) -> None:
        while not self.is_over.is_set():
            work()

    def _write(self) -> None:
        self._ask(self.writes, lambda: self.doorward.post("token", self.client, grant_type="client_credentials"))

    def _read(self) -> None:
        self._ask(self.reads, lambda: self.doorward.http.get("/.well-known/jwks.json"))
        self.is_over.wait(0.02)

    def _check(self) -> None:
        try:
            self.verifier.check(self.token)
            self.checked += 1
        except Exception as fault:
            self.refused.append(fault)
        self.is_over.wait(0.02)

    def _ask(self, answers: list[Answer], ask: Callable[[], Response]) -> None:
        began = time.monotonic()
        reply = ask()
        answers.append(Answer(began, time.monotonic(), reply))

    def until_written(self, since: float) -> float:
        """How long after `since` a write that began then was acknowledged."""
        deadline = time.monotonic() + DEADLINE
        while not (found := [one for one in self.writes if one.began >= since and one.is_good]):
            assert time.monotonic() < deadline, "nothing was ever committed again"
            self.is_over.wait(0.01)
        return found[0].ended - since

    def until_refused(self, since: float) -> None:
        deadline = time.monotonic() + DEADLINE
        while not any(one.began >= since and one.reply.status_code == 503 for one in self.writes):
            assert time.monotonic() < deadline, "nobody noticed that the database was gone"
            self.is_over.wait(0.01)


def assert_nobody_suffered_more_than_he_must(load: Load, doorward: Doorward) -> list[float]:
    """How long those waited who were refused."""
    refused = [one for one in load.writes if not one.is_good]
    assert {one.reply.status_code for one in refused} <= {503}
    assert all(int(one.reply.headers["retry-after"]) >= 1 for one in refused)
    assert {one.reply.status_code for one in load.reads} == {200}
    assert load.refused == []
    assert load.checked > 0
    assert doorward.program is not None
    assert "Traceback" not in doorward.program.output
    assert "QueuePool" not in doorward.program.output
    acknowledged = [one.reply.json()["access_token"] for one in load.writes if one.is_good]
    for token in random.Random(len(acknowledged)).sample(acknowledged, min(SAMPLE, len(acknowledged))):
        assert doorward.introspect(load.given, token)["active"], "a token that was acknowledged is not known"
    return [one.ended - one.began for one in refused]


def issued(url: str) -> int:
    import psycopg

    with psycopg.connect(url) as connection:
        found: Any = connection.execute(
            "SELECT count(*) FROM token_records WHERE type = 'AccessTokenIssued'"
        ).fetchone()
        return int(found[0])


@pytest.mark.slow
def test_a_database_that_is_restarted_is_missed_for_moments_and_nothing_is_lost(
    cluster: PostgreSQL, doorward: Doorward, line: tuple[str, FaultProxy], is_long, figure
) -> None:
    before, took = issued(line[0]), []
    with Load(doorward) as load:
        for _ in range(RESTARTS_LONG if is_long else RESTARTS):
            load.until_written(time.monotonic())
            cluster.stop()
            load.until_refused(time.monotonic())
            cluster.start()
            took.append(load.until_written(time.monotonic()))
    waited = assert_nobody_suffered_more_than_he_must(load, doorward)
    # One more is the token of the service.
    assert issued(line[0]) - before >= len([one for one in load.writes if one.is_good]) + 1
    figure("a restarted database, until a write is acknowledged", "s", took, most=RECOVERED_WITHIN)
    figure("a write while the database restarts, until it is refused", "s", waited, most=REFUSED_WITHIN)


@pytest.mark.slow
def test_a_database_that_swallows_everything_keeps_nobody_waiting(
    doorward: Doorward, line: tuple[str, FaultProxy], is_long, figure
) -> None:
    _, proxy = line
    with Load(doorward) as load:
        load.until_written(time.monotonic())
        proxy.spoil("black_hole")
        began = time.monotonic()
        load.until_refused(began)
        load.is_over.wait(SWALLOWED_LONG if is_long else SWALLOWED)
        late = [one for one in load.writes if one.began > began + 1 and one.is_good]
        proxy.heal()
        took = load.until_written(time.monotonic())
    assert late == [], "something was acknowledged that cannot have been written"
    waited = assert_nobody_suffered_more_than_he_must(load, doorward)
    figure("a database that answers again, until a write is acknowledged", "s", [took], most=RECOVERED_WITHIN)
    figure("a write into the void, until it is refused", "s", waited, most=REFUSED_WITHIN)
