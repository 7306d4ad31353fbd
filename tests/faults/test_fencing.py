"""No token is born after the revocation that should have prevented it, not even at a worker that was held back.

One worker is stopped (SIGSTOP) while clients ask it for tokens, the other one revokes, and the first one goes on. Then
the journal, which is in the order of the commits, is read: of what was ended no token may come later.
"""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from tests.deployment import Doorward, Json, Response, auth_of, served
from tests.faults import workers
from tests.faults.workers import Worker, each_worker

WORKERS = 2
ASKERS = 3
SHORT, LONG = 12, 150
# Shorter than the half second after which a worker distrusts its memory by itself: that would be no test.
HELD_BACK = (0.05, 0.4)
LOCKED = 0.3
ENDS: dict[str, Callable[[Json], Json]] = {
    "grant": lambda client: {"grant": client["apis"][0]["grant_id"]},
    "client": lambda client: {"client": client["client_id"]},
    "account": lambda client: {"account": client["account"]},
}
CARELESS = "from doorward.store import writer\nwriter._is_stale = lambda *_: False\n"
TRIES = 20
# Of each asker's tokens, those that are closest to the end.
LAST = 5
ACCOUNTS = text("SELECT id, account_id FROM clients")
ISSUED = text("SELECT seq, data FROM token_records WHERE type = 'AccessTokenIssued'")
ENDED = text("SELECT seq, entity_id FROM journal WHERE type IN ('GrantRevoked', 'ClientUpdated', 'AccountUpdated')")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'doorward.db'}"


@pytest.fixture
def doorward(tmp_path: Path, database: str) -> Iterator[Doorward]:
    with served(tmp_path, "--workers", WORKERS, "--database", database) as made:
        yield made


@dataclass
class Asker:
    """Asks one worker for tokens, without a pause, until it is refused."""

    worker: Worker
    client: Json
    tokens: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    is_over: bool = False

    def run(self, begun: threading.Semaphore) -> None:
        while not self.refusals and not self.is_over:
            reply = self.worker.asked(
                "POST", "/oauth/token", data={"grant_type": "client_credentials"}, auth=auth_of(self.client)
            )
            if reply.status_code == 200:
                self.tokens.append(reply.json()["access_token"])
                begun.release()
            elif reply.status_code != 503:
                self.refusals.append(reply.json()["error"])
        self.worker.close()


def process_of(doorward: Doorward, worker: Worker) -> int:
    """The pids are in the order of the workers' numbers, as the supervisor forked them."""
    return sorted(workers.pids(doorward))[int(worker.node) - 1]


def ended_while_stopped(pid: int, end: Callable[[], Response], chance: random.Random) -> bool:
    """Whether the end was acknowledged while the process stood still. It cannot be when that holds the database's lock:
    then it goes on, and both race.
    """
    done = threading.Event()

    def run() -> None:
        reply = end()
        assert reply.status_code == 200, reply.text
        done.set()

    with ThreadPoolExecutor(1) as thread:
        workers.end(pid, signal.SIGSTOP)
        try:
            ending = thread.submit(run)
            was_acknowledged = done.wait(LOCKED)
            threading.Event().wait(chance.uniform(*HELD_BACK) if was_acknowledged else 0)
        finally:
            workers.end(pid, signal.SIGCONT)
        ending.result(workers.DEADLINE)
    return was_acknowledged


@dataclass
class Round:
    askers: list[Asker]
    was_held_back: bool


def one_round(doorward: Doorward, lagging: Worker, other: Worker, what: str, chance: random.Random) -> Round:
    """Everybody asks the one worker, which is stopped; the other one ends what they ask with."""
    account = doorward.an_account()["id"]
    client = doorward.a_client(account=account)
    body = ENDS[what]({**client, "account": account})
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    askers = [Asker(Worker(doorward, lagging.node), client) for _ in range(ASKERS)]
    begun = threading.Semaphore(0)
    with ThreadPoolExecutor(ASKERS) as threads:
        runs = [threads.submit(asker.run, begun) for asker in askers]
        try:
            for _ in range(2 * ASKERS):
                assert begun.acquire(timeout=workers.DEADLINE)
            # A connection to the other one is there already: a new one might be the stopped one's to accept.
            assert other.request("GET", "/healthz").status_code == 200
            was_held_back = ended_while_stopped(
                process_of(doorward, lagging),
                lambda: other.request("POST", "/v1/revocations", json=body, headers=headers),
                chance,
            )
            for run in runs:
                run.result(workers.DEADLINE)
        finally:
            for asker in askers:
                asker.is_over = True
    return Round(askers, was_held_back)


def late(database: str) -> list[str]:
    """The clients that got a token after they, their grant or their account had ended, as the journal tells it."""
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        ended_at = {entity: seq for seq, entity in connection.execute(ENDED)}
        issued = [(seq, json.loads(data)) for seq, data in connection.execute(ISSUED)]
        accounts = dict(connection.execute(ACCOUNTS).all())
    engine.dispose()
    assert issued
    assert ended_at
    return [
        data["client_id"]
        for seq, data in issued
        for name in (data["client_id"], data["grant_id"], accounts[data["client_id"]])
        if seq > ended_at.get(name, seq)
    ]


def rounds(doorward: Doorward, number: int) -> list[Round]:
    chance = random.Random(number)
    with each_worker(doorward) as both:
        return [
            one_round(doorward, *(both if count % 2 else both[::-1]), list(ENDS)[count % len(ENDS)], chance)
            for count in range(number)
        ]


@pytest.mark.slow
def test_no_token_is_born_after_what_should_have_prevented_it(doorward, database, is_long):
    found = rounds(doorward, LONG if is_long else SHORT)
    assert any(one.was_held_back for one in found)
    askers = [asker for one in found for asker in one.askers]
    assert {refusal for asker in askers for refusal in asker.refusals} <= {"invalid_client", "invalid_target"}
    assert late(database) == []
    for asker in askers:
        verifier = doorward.a_verifier(api=asker.client["apis"][0]["api"])
        for token in asker.tokens[-LAST:]:
            assert doorward.introspect(verifier, token) == {"active": False}


@pytest.mark.slow
def test_a_writer_that_does_not_look_for_changes_would_be_found_out(tmp_path):
    """The same rounds, without the guard that they are about: they have teeth."""
    (tmp_path / "sitecustomize.py").write_text(CARELESS)
    database = f"sqlite:///{tmp_path / 'doorward.db'}"
    flags, variables = ["--workers", WORKERS, "--database", database], {"PYTHONPATH": str(tmp_path)}
    with served(tmp_path, *flags, variables=variables) as doorward:
        for _ in range(TRIES):
            rounds(doorward, 3)
            if late(database):
                return
    pytest.fail("the writer was careless, and nobody noticed")
