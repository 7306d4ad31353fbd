"""A thousand reports in one call of GitHub: every key is refused by every worker and every connected verifier."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.deployment import Doorward, served
from tests.faults.checking import DEAD, DEADLINE, GOOD, Checker, a_verifier, checking
from tests.faults.conftest import Report
from tests.faults.workers import Worker, each_worker
from tests.spec.test_leak_partners import Publisher, found

WORKERS, SERVICES = 2, 2
SHORT, LONG = 100, 1000
PROMISED = 1000.0
# A service that asks about all of them all the time would measure itself.
TIMED, POLL = 20, 0.02


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    made.add("first")
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def doorward(publisher: Publisher, tmp_path: Path) -> Iterator[Doorward]:
    variables = {"DOORWARD__GITHUB_KEYS": publisher.url}
    with served(tmp_path, "--workers", WORKERS, variables=variables) as running:
        yield running


def report(doorward: Doorward, publisher: Publisher, keys: list[str], label: str = "true_positive") -> float:
    """When it was sent."""
    body = json.dumps([found(key) for key in keys]).encode()
    fields = {"Github-Public-Key-Identifier": "first", "Github-Public-Key-Signature": publisher.sign("first", body)}
    sent_at = time.monotonic()
    reply = doorward.http.post("/leaks/github", content=body, headers=fields)
    assert [one["label"] for one in reply.json()] == [label] * len(keys)
    return sent_at


def all_refused_by(worker: Worker, doorward: Doorward, keys: list[str], begun: threading.Barrier) -> float | None:
    """When a worker refused every one of them; None when it never did."""
    assert not refuses(worker, doorward, keys)
    begun.wait(DEADLINE)
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while not refuses(worker, doorward, keys):
        if time.monotonic() > deadline:
            return None
        pause.wait(POLL)
    return time.monotonic()


def refuses(worker: Worker, doorward: Doorward, keys: list[str]) -> bool:
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    body = {"keys": [{"key": key} for key in keys]}
    reply = worker.asked("POST", "/v1/keys/verify/batch", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    return not any(one["active"] for one in reply.json()["results"])


class Asked:
    """One verifier of a service, which knows every key; what it is asked all the time is few of them."""

    def __init__(self, checker: Checker, keys: dict[str, str]) -> None:
        self.checker, self.keys = checker, keys

    def watch(self, names: Iterable[str]) -> None:
        for name in names:
            self.checker.watch(name, self.keys[name])

    def learn(self) -> None:
        self.watch(self.keys)
        self.all(self.keys, GOOD)
        for name in self.keys:
            self.checker.forget(name)

    def all(self, names: Iterable[str], outcomes: str | frozenset[str]) -> list[float]:
        """When it found one of these of each."""
        return [self.checker.until("it", name, outcomes).at for name in names]


@pytest.mark.slow
def test_every_key_of_a_report_is_refused_everywhere_and_its_sibling_nowhere(
    doorward: Doorward, publisher: Publisher, is_long: bool, figure: Report
) -> None:
    api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
    number = LONG if is_long else SHORT
    keys = {str(count): doorward.a_key(api=api, account=account)["key"] for count in range(number)}
    timed = [*[*keys][:: number // TIMED], str(number - 1)]
    rotating = doorward.a_key(api=api, account=account)
    sibling = doorward.v1("POST", f"/keys/{rotating['id']}/rotate", {"starts": "now"}).json()["key"]
    known = keys | {"old": rotating["key"], "sibling": sibling}
    with (
        checking(doorward, {"it": a_verifier(doorward, api)}) as one,
        checking(doorward, {"it": a_verifier(doorward, api)}) as other,
        each_worker(doorward) as workers,
        ThreadPoolExecutor(WORKERS) as threads,
    ):
        services = [Asked(checker, known) for checker in (one, other)]
        for service in services:
            service.learn()
            service.watch([*timed, "sibling"])
            service.all([*timed, "sibling"], GOOD)
        # Every worker has read GitHub's keys by now, as it has for every call but its first.
        for _ in range(4 * WORKERS):
            report(doorward, publisher, ["dw_live_x"], "false_positive")
        begun = threading.Barrier(WORKERS + 1)
        few = [keys[name] for name in timed[-5:]]
        polls = [threads.submit(all_refused_by, worker, doorward, few, begun) for worker in workers]
        begun.wait(DEADLINE)
        sent_at = report(doorward, publisher, [*keys.values(), rotating["key"]])
        by_verifiers = [at for service in services for at in service.all(timed, DEAD)]
        by_workers = [at for poll in polls if (at := poll.result()) is not None]
        assert len(by_workers) == WORKERS
        for service in services:
            service.watch([*keys, "old"])
            service.all([*keys, "old"], DEAD)
            assert {found.outcome for found in service.checker.history("it", "sibling")} == {GOOD}
        texts = [*keys.values()]
        for start in range(0, number, TIMED):
            assert all(refuses(worker, doorward, texts[start : start + TIMED]) for worker in workers)
    many = f"{number:,} keys in one report of GitHub, from its arrival until each of 2"
    since = [1000 * (at - sent_at) for at in by_verifiers]
    figure(f"{many} verifiers refuses each of {TIMED} of them", "ms", since, most=PROMISED)
    figure(f"{many} workers refuses them", "ms", [1000 * (at - sent_at) for at in by_workers], most=PROMISED)
