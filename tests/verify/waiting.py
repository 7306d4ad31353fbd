"""Time that the test turns by hand, and waiting for what other threads do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from tests.verify.issuing import NOW

from doorward_verify.single_flight import SingleFlight

DEADLINE = 20.0


class Clock:
    """Both clocks of a verifier; they stand still until they are advanced."""

    def __init__(self, now: float = NOW) -> None:
        self.now = float(now)
        self.uptime = 1_000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.uptime

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.uptime += seconds


def until(condition: Callable[[], bool]) -> None:
    """Waits for what another thread is about to do."""
    pause = threading.Event()
    for _ in range(int(DEADLINE / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen in time")


def at_once(*calls: Callable[[], Any]) -> list[Future[Any]]:
    """Every call in a thread of its own; each future has its result or its exception."""
    futures: list[Future[Any]] = []
    for call in calls:
        future: Future[Any] = Future()
        threading.Thread(target=_run, args=(call, future), daemon=True).start()
        futures.append(future)
    return futures


def _run(call: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as problem:
        future.set_exception(problem)


def waiters(flights: SingleFlight[Any]) -> int:
    """How many threads wait for an answer that another one went for."""
    conditions: list[Any] = [flight._condition for flight in list(flights._flights.values())]
    return sum(len(condition._waiters) for condition in conditions)
