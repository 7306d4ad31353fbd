"""Wall time that does not go back when the machine's clock does (T212)."""

from __future__ import annotations

import math

import pytest

from doorward_verify.steady_clock import SteadyClock

NOW = 1_790_000_000.0
HOUR = 3600.0


class Times:
    """The clocks of a service and of its server, each with a will of its own."""

    def __init__(self) -> None:
        self.wall, self.monotonic, self.server = NOW, 100.0, NOW
        self.clock = SteadyClock(lambda: self.wall, lambda: self.monotonic, lambda: self.server - self.monotonic)
        self.clock()

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        self.server += seconds


@pytest.fixture
def times() -> Times:
    return Times()


def test_it_tells_the_time(times: Times) -> None:
    times.run(5)
    assert times.clock() == NOW + 5


def test_a_clock_that_goes_back_goes_on_as_if_it_had_not(times: Times) -> None:
    times.wall -= HOUR
    times.run(5)
    assert times.clock() == NOW + 5


def test_a_clock_that_was_ahead_for_a_while_may_be_corrected(times: Times) -> None:
    times.wall += HOUR
    assert times.clock() == NOW + HOUR
    times.wall -= HOUR
    times.run(5)
    assert times.clock() == NOW + 5


def test_a_server_that_is_ahead_makes_nothing_expire(times: Times) -> None:
    times.server += HOUR
    assert times.clock() == NOW


def test_without_a_server_it_is_the_clock_of_the_machine(times: Times) -> None:
    clock = SteadyClock(lambda: times.wall, lambda: times.monotonic, lambda: -math.inf)
    assert clock() == NOW
    times.wall -= HOUR
    assert clock() == NOW - HOUR
