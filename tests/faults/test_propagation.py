"""F4, T217: what was revoked is refused everywhere, by every verifier and every worker, whatever it was."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.deployment import Doorward, Json, auth_of, served
from tests.faults.checking import DEAD, DEADLINE, GOOD, Checker, a_verifier, checking, everywhere
from tests.faults.ends import KINDS, SWEEPING, Place
from tests.faults.workers import Worker, each_worker, many_open_files

PROCESSES, WORKERS = 4, 2
SHORT, LONG = 60, 1000
POLL = 0.005
VALUE = re.compile(rb'"kind":"api_key","value":"([^"]+)"')


@pytest.fixture
def doorward(tmp_path: Path) -> Iterator[Doorward]:
    with served(tmp_path, "--workers", WORKERS) as running:
        yield running


@contextlib.contextmanager
def services(place: Place) -> Iterator[list[Checker]]:
    """Four processes, each with verifiers of its own for both apis."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                checking(
                    place.doorward, {name: a_verifier(place.doorward, api) for name, api in place.apis.items()}
                )
            )
            for _ in range(PROCESSES)
        ]  # fmt: skip


def refused_by(worker: Worker, asker: Json, text: str, begun: threading.Barrier) -> float | None:
    """When the worker said no for the first time; None when it never did."""
    assert worker.accepts(asker, text)
    begun.wait()
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while worker.accepts(asker, text):
        if time.monotonic() > deadline:
            return None
        pause.wait(POLL)
    return time.monotonic()


class Rounds:
    """Makes something, sees it accepted everywhere, ends it, and sees it refused everywhere."""

    def __init__(self, place: Place, checkers: list[Checker], workers: list[Worker], threads: ThreadPoolExecutor):
        self.place, self.checkers, self.workers, self.threads = place, checkers, workers, threads
        self.askers = {name: place.doorward.a_verifier(api=api) for name, api in place.apis.items()}
        self.missed: list[str] = []
        self.by_verifiers: list[float] = []
        self.by_workers: list[float] = []

    def run(self, number: int, kind: str) -> None:
        doomed = (KINDS | SWEEPING)[kind](self.place)
        named = [(f"{number}.{index}", *one) for index, one in enumerate(doomed.texts)]
        for name, label, text in named:
            for checker in self.checkers:
                checker.watch(name, text, label)
        for name, label, _ in named:
            for checker in self.checkers:
                checker.until(label, name, GOOD)
        label, text = doomed.texts[0]
        begun = threading.Barrier(len(self.workers) + 1)
        polls = [self.threads.submit(refused_by, one, self.askers[label], text, begun) for one in self.workers]
        begun.wait(DEADLINE)
        reply = doomed.end()
        ended_at = time.monotonic()
        assert reply.status_code == 200, reply.text
        for name, label, _ in named:
            for number_of, checker in enumerate(self.checkers):
                found = checker.first_after(label, name, DEAD, 0.0)
                self._note(self.by_verifiers, ended_at, found and found.at, f"{kind} at verifier {number_of}")
                checker.forget(name)
        for worker, poll in zip(self.workers, polls, strict=True):
            self._note(self.by_workers, ended_at, poll.result(), f"{kind} at worker {worker.node}")

    def _note(self, found: list[float], ended_at: float, at: float | None, where: str) -> None:
        if at is None:
            self.missed.append(where)
        else:
            found.append(1000 * max(0.0, at - ended_at))


@pytest.mark.slow
def test_what_was_revoked_is_refused_by_every_verifier_and_every_worker(doorward, is_long, figure):
    place = Place(doorward)
    number = LONG if is_long else SHORT
    with services(place) as checkers, each_worker(doorward) as workers, ThreadPoolExecutor(WORKERS) as threads:
        bystander = {name: doorward.token(client) for name, client in place.clients.items()}
        for checker in checkers:
            for label, text in bystander.items():
                checker.watch("bystander", text, label)
        rounds = Rounds(place, checkers, workers, threads)
        for count, kind in zip(range(number), itertools.cycle(KINDS), strict=False):
            rounds.run(count, kind)
        found = everywhere(
            checkers, lambda checker, label: [one.outcome for one in checker.history(label, "bystander")]
        )
        for count, kind in enumerate(SWEEPING, number):
            rounds.run(count, kind)
        assert rounds.missed == []
    # What nobody ended was never refused, in no process.
    assert [outcomes[0] for outcomes in found] == [GOOD] * PROCESSES * len(place.apis)
    assert not DEAD & {outcome for outcomes in found for outcome in outcomes}
    figure("a revocation, until each of 4 verifiers refuses", "ms", rounds.by_verifiers, p99=300, most=1000)
    figure("a revocation, until each of 2 workers refuses", "ms", rounds.by_workers, p99=300, most=1000)


class Subscriber:
    """One stream, read without ceremony: a thousand of them have to fit beside the server."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.heard: dict[str, float] = {}

    async def listen(self, doorward: Doorward, trust: ssl.SSLContext, verifier: Json, since: str) -> None:
        reader, writer = await asyncio.open_connection("localhost", urlsplit(doorward.issuer).port, ssl=trust)
        basic = b64encode(":".join(auth_of(verifier) or ()).encode()).decode()
        head = f"GET /revocations/stream?since={since} HTTP/1.1\r\nhost: {urlsplit(doorward.issuer).netloc}\r\n"
        writer.write(f"{head}authorization: Basic {basic}\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                self.begun.set()
                for value in VALUE.findall(line):
                    self.heard.setdefault(value.decode(), time.monotonic())
        finally:
            writer.transport.abort()


async def heard_by_many(doorward: Doorward, number: int, revocations: int) -> list[list[float | None]]:
    """For each revocation, after how many milliseconds each subscriber heard of it; None where one never did."""
    api = doorward.an_api()["identifier"]
    verifier = doorward.a_verifier(api=api)
    api_keys = [doorward.a_key(api=api)["id"] for _ in range(revocations)]
    since = doorward.http.get("/revocations", auth=auth_of(verifier)).json()["pos"]
    trust = ssl.create_default_context(cafile=doorward.directory / "ca.pem")
    subscribers = [Subscriber() for _ in range(number)]
    listening = [asyncio.create_task(one.listen(doorward, trust, verifier, since)) for one in subscribers]
    ended_at = {}
    try:
        async with asyncio.timeout(4 * DEADLINE):
            for one in subscribers:
                await one.begun.wait()
        for api_key in api_keys:
            reply = await asyncio.to_thread(doorward.v1, "POST", f"/keys/{api_key}/revoke")
            ended_at[api_key] = time.monotonic()
            assert reply.status_code == 200
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE):
                    while not all(api_key in one.heard for one in subscribers):
                        await asyncio.sleep(POLL)
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return [
        [1000 * max(0.0, one.heard[key] - at) if key in one.heard else None for one in subscribers]
        for key, at in ended_at.items()
    ]


@pytest.mark.slow
def test_every_subscriber_of_a_worker_hears_of_every_revocation(tmp_path, is_long, figure):
    number, revocations = (1000, 50) if is_long else (100, 10)
    with many_open_files(), served(tmp_path) as doorward:
        found = asyncio.run(heard_by_many(doorward, number, revocations))
    assert [heard.count(None) for heard in found] == [0] * revocations
    samples = [one for heard in found for one in heard if one is not None]
    figure(f"a revocation, until each of {number} subscribers of one worker hears of it", "ms", samples, p99=1000)
