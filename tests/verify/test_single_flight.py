"""Many ask, one goes; and who has just failed is left in peace."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from tests.verify.waiting import DEADLINE, Clock, at_once, until, waiters

from doorward_verify.errors import Unavailable
from doorward_verify.single_flight import Breaker, Pause, SingleFlight


def test_concurrent_askers_share_one_answer() -> None:
    flights: SingleFlight[object] = SingleFlight()
    asked: list[object] = []
    gate = threading.Event()

    def ask() -> object:
        asked.append(answer := object())
        gate.wait(DEADLINE)
        return answer

    racers = at_once(*[lambda: flights("key", ask)] * 8)
    until(lambda: waiters(flights) == 7)
    gate.set()
    assert [racer.result(DEADLINE) for racer in racers] == asked * 8
    assert len(asked) == 1


def test_concurrent_askers_share_one_failure_and_the_next_asks_again() -> None:
    flights: SingleFlight[int] = SingleFlight()
    gate = threading.Event()

    def fail() -> int:
        gate.wait(DEADLINE)
        raise Unavailable("gone")

    racers = at_once(*[lambda: flights("key", fail)] * 4)
    until(lambda: waiters(flights) == 3)
    gate.set()
    for racer in racers:
        assert isinstance(racer.exception(DEADLINE), Unavailable)
    assert flights("key", lambda: 2) == 2


def test_different_questions_do_not_wait_for_each_other() -> None:
    flights: SingleFlight[str] = SingleFlight()
    gate = threading.Event()
    (slow,) = at_once(lambda: flights("slow", lambda: str(gate.wait(DEADLINE))))
    until(lambda: "slow" in flights._flights)
    assert flights("quick", lambda: "done") == "done"
    gate.set()
    assert slow.result(DEADLINE) == "True"
    assert flights._flights == {}


def test_a_pause_lets_one_pass_and_then_nobody_until_it_is_over(clock: Clock) -> None:
    pause = Pause(30, clock.monotonic)
    assert pause.passes()
    clock.advance(29.9)
    assert not pause.passes()
    clock.advance(0.1)
    assert pause.passes()
    assert not pause.passes()


class TestBreaker:
    @pytest.fixture
    def breaker(self, clock: Clock) -> Breaker:
        return Breaker("keys", 1, clock.monotonic)

    def fail(self, breaker: Breaker, tries: list[str], reason: str = "server_unreachable") -> str:
        def ask() -> None:
            tries.append(reason)
            raise Unavailable("gone", reason=reason)

        with pytest.raises(Unavailable) as refused:
            breaker(ask)
        return refused.value.reason

    def test_after_a_failure_one_try_a_second_goes_out(self, breaker: Breaker, clock: Clock) -> None:
        tries: list[str] = []
        for _ in range(5):
            self.fail(breaker, tries)
        assert len(tries) == 1
        clock.advance(1)
        for _ in range(5):
            self.fail(breaker, tries)
        assert len(tries) == 2

    def test_who_does_not_try_gets_the_last_failure(self, breaker: Breaker) -> None:
        tries: list[str] = []
        self.fail(breaker, tries, "verifier_refused")
        assert self.fail(breaker, tries, "another") == "verifier_refused"

    def test_a_success_closes_it(self, breaker: Breaker, clock: Clock) -> None:
        tries: list[str] = []
        self.fail(breaker, tries)
        clock.advance(1)
        assert breaker(lambda: "yes") == "yes"
        assert breaker(lambda: "yes") == "yes"
        self.fail(breaker, tries)
        assert len(tries) == 2

    def test_who_was_heard_by_another_way_since_is_asked_at_once(self, breaker: Breaker, clock: Clock) -> None:
        self.fail(breaker, [])
        failed_at = clock.monotonic()
        with pytest.raises(Unavailable):
            breaker(lambda: "yes", heard_at=failed_at)
        assert breaker(lambda: "yes", heard_at=failed_at + 0.1) == "yes"

    def test_beginning_and_end_of_an_outage_are_logged_once(
        self, breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        works: Callable[[], int] = lambda: 1  # noqa: E731
        for _ in range(3):
            self.fail(breaker, [])
            clock.advance(1)
        breaker(works)
        breaker(works)
        assert [record.getMessage() for record in caplog.records] == ["keys: gone (None)", "keys: works again"]
