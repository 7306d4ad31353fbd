"""Many ask, one goes: askers of one question share its answer, and who has just failed is left in peace."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from doorward_verify.errors import Unavailable

Answer = TypeVar("Answer")
log = logging.getLogger("doorward_verify")


class SingleFlight(Generic[Answer]):
    """Calls with a name that is in flight wait for its answer, or for its exception."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Future[Answer]] = {}

    def __call__(self, name: Hashable, ask: Callable[[], Answer]) -> Answer:
        with self._lock:
            flight = self._flights.get(name)
            if flight is None:
                own = self._flights[name] = Future()
        if flight is not None:
            return flight.result()
        try:
            own.set_result(ask())
        except BaseException as problem:
            own.set_exception(problem)
        finally:
            with self._lock:
                self._flights.pop(name, None)
        return own.result()


class Pause:
    """Lets one pass, then nobody for `seconds`."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._over_at: float | None = None

    def passes(self) -> bool:
        with self._lock:
            now = self._monotonic()
            if self._over_at is not None and now < self._over_at:
                return False
            self._over_at = now + self._seconds
            return True

    def begin(self) -> None:
        with self._lock:
            self._over_at = self._monotonic() + self._seconds


class Breaker:
    """After a failure one try a second goes out; whoever asks meanwhile gets the failure at once.

    `heard_at` is when the other side was last heard by another way: after a failure that is older, all may try.
    """

    def __init__(self, what: str, seconds: float, monotonic: Callable[[], float]) -> None:
        self._what = what
        self._pause = Pause(seconds, monotonic)
        self._failure: Unavailable | None = None
        self._monotonic = monotonic
        self._failed_at = -math.inf

    def __call__(self, ask: Callable[[], Answer], heard_at: float = -math.inf) -> Answer:
        failure = self._failure
        if failure is not None and heard_at <= self._failed_at and not self._pause.passes():
            raise Unavailable(failure.description, reason=failure.reason)
        try:
            result = ask()
        except Unavailable as problem:
            if failure is None or failure.reason != problem.reason:
                log.warning("%s: %s (%s)", self._what, problem.description, problem.__cause__)
            self._failure, self._failed_at = problem, self._monotonic()
            self._pause.begin()
            raise
        if failure is not None:
            log.warning("%s: works again", self._what)
        self._failure = None
        return result
