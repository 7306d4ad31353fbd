"""A worker's limiter: few questions, nothing given away twice, and never more than there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import pytest
from tests.protocol.given import refused

from doorward.protocol import limit
from doorward.protocol.limit import SECOND, Admission, Charge, Limit, Taken
from doorward.protocol.limit_cell import Cell, Wanted, take_all
from doorward.store.writer import Unavailable
from doorward.web.limiter import Limiter

BURST = Limit("burst", 1000, "minute")
DAILY = Limit("daily", 50, "day", "quota")
AT_ONCE = 50


class Cells:
    """The one place that all workers take from; `asked` is how often."""

    def __init__(self) -> None:
        self.known: dict[str, Cell] = {}
        self.asked = self.at_once = self.most_at_once = 0
        self.now, self.failing = 1_800_000_000 * SECOND, False

    async def take(self, wanted: Sequence[Wanted]) -> tuple[Sequence[Taken], int]:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failing:
            raise Unavailable("gone")
        taken, changed = take_all(wanted, self.known, self.now)
        self.known.update(changed)
        return taken, self.now

    async def read(self, charges: Sequence[Charge]) -> tuple[Mapping[str, Cell], int]:
        return self.known, self.now

    def left(self, of: Limit, at: int = 0) -> int:
        return limit.available(of, self.known[of.name].value, at or self.now)

    def clock(self) -> int:
        """Of a worker: it does not go as theirs does."""
        return self.now - 77 * SECOND


@pytest.fixture
def cells() -> Cells:
    return Cells()


def a_limiter(cells: Cells, precision: float = 0.01, **options: Any) -> Limiter:
    return Limiter(cells, precision, clock=cells.clock, **options)


def all_of(*calls: Awaitable[Any]) -> list[Any]:
    async def gathered() -> list[Any]:
        return list(await asyncio.gather(*calls))

    return asyncio.run(gathered())


def passed(admissions: list[Admission]) -> int:
    return sum(not one.refused for one in admissions)


def uses(limiter: Limiter, number: int, *of: Limit, cost: int = 1) -> list[Admission]:
    charges = [Charge(one.name, one, cost) for one in of]
    groups = [range(number)[begin : begin + AT_ONCE] for begin in range(0, number, AT_ONCE)]
    return [one for group in groups for one in all_of(*(limiter.admit(charges) for _ in group))]


def test_a_rate_is_given_away_to_its_end_with_few_questions(cells: Cells) -> None:
    limiter = a_limiter(cells)
    assert passed(uses(limiter, 1500, BURST)) == 1000
    assert cells.asked < 200


def test_what_is_used_up_is_refused_from_memory_until_there_is_more(cells: Cells) -> None:
    limiter = a_limiter(cells)
    uses(limiter, 1000, BURST)
    asked = cells.asked
    (refused,) = uses(limiter, 1, BURST)
    assert (cells.asked, refused.reason, refused.retry_after) == (asked, "rate_limited", 1)
    cells.now += SECOND
    assert passed(uses(limiter, 20, BURST)) == 16


@pytest.mark.parametrize("number", [1, 4, 16])
def test_any_number_of_workers_keeps_one_limit_to_within_a_hundredth(cells: Cells, number: int) -> None:
    workers = [a_limiter(cells) for _ in range(number)]
    total = 0
    for _ in range(100):
        for worker in workers:
            total += passed(uses(worker, 20 // number + 1, BURST))
        cells.now += SECOND // 10
    refilled = 1000 * 10 // 60
    assert 0.99 * (1000 + refilled) <= total <= 1000 + refilled + 1


def test_many_workers_hold_no_more_than_the_share_together(cells: Cells) -> None:
    workers = [a_limiter(cells) for _ in range(50)]
    for _ in range(4):
        given = sum(passed(uses(worker, 1, BURST)) for worker in workers)
        assert given == 50
    missing = 1000 - cells.left(BURST) - 4 * 50
    assert 0 < missing <= 10


def test_without_a_share_every_use_is_asked_for(cells: Cells) -> None:
    workers = [a_limiter(cells, precision=0) for _ in range(2)]
    assert [passed(uses(worker, 30, BURST)) for worker in workers] == [30, 30]
    assert (cells.asked, cells.left(BURST)) == (60, 940)


def test_where_nothing_is_lent_nobody_waits_for_another_one(cells: Cells) -> None:
    few = Limit("few", 99, "minute")
    assert passed(uses(a_limiter(cells), 120, few)) == 99
    assert (cells.asked, cells.most_at_once) == (100, AT_ONCE)


def test_what_a_worker_did_not_give_away_is_there_again_when_it_asks(cells: Cells) -> None:
    limiter = a_limiter(cells)
    uses(limiter, 4, BURST)
    assert cells.left(BURST) < 996
    uses(limiter, 1, BURST, cost=100)
    assert passed(uses(limiter, 1000, BURST)) == 896


def test_what_a_dead_worker_held_is_lent_to_others_two_turns_later(cells: Cells) -> None:
    for _ in range(20):
        uses(a_limiter(cells), 2, BURST)
    assert cells.known["burst"].lent == 10
    others = a_limiter(cells)
    uses(others, 4, BURST)
    assert cells.known["burst"].lent == 10
    cells.now += 10 * SECOND
    uses(others, 4, BURST)
    assert 0 < cells.known["burst"].lent < 10


def test_a_loan_that_nobody_confirmed_is_given_away_by_nobody(cells: Cells) -> None:
    limiter = a_limiter(cells)
    uses(limiter, 3, BURST)
    cells.failing = True
    with refused("temporarily_unavailable", reason="limits_uncountable"):
        uses(limiter, 1, BURST, cost=500)
    cells.failing = False
    asked = cells.asked
    uses(limiter, 1, BURST)
    assert cells.asked == asked + 1


def test_one_worker_gets_what_the_others_do_not_use(cells: Cells) -> None:
    workers = [a_limiter(cells) for _ in range(4)]
    early = sum(passed(uses(worker, 20, BURST)) for worker in workers)
    late = passed(uses(workers[0], 1500, BURST))
    assert 990 <= early + late <= 1000


def test_little_is_taken_for_those_who_need_little(cells: Cells) -> None:
    limiter = a_limiter(cells)
    for _ in range(10):
        uses(limiter, 1, BURST)
        cells.now += 6 * SECOND
    assert cells.left(BURST, cells.now - 6 * SECOND) == 999


def test_quotas_are_taken_one_by_one_and_exactly(cells: Cells) -> None:
    workers = [a_limiter(cells) for _ in range(2)]
    assert sum(passed(uses(worker, 40, DAILY)) for worker in workers) == 50
    asked = cells.asked
    assert passed(uses(workers[1], 5, DAILY)) == 0
    assert cells.asked == asked


def test_a_refused_quota_costs_nothing_of_the_rate_beside_it(cells: Cells) -> None:
    limiter = a_limiter(cells)
    assert passed(uses(limiter, 80, BURST, DAILY)) == 50
    assert cells.left(BURST) == 950


def test_a_cost_is_taken_whole_or_not_at_all(cells: Cells) -> None:
    limiter = a_limiter(cells)
    assert passed(uses(limiter, 20, BURST, cost=300)) == 3
    assert passed(uses(limiter, 1, BURST, cost=100)) == 1


def test_a_limit_that_was_changed_begins_with_what_the_cell_says(cells: Cells) -> None:
    limiter = a_limiter(cells)
    uses(limiter, 1000, BURST)
    larger = Limit("burst", 2000, "minute")
    assert passed(uses(limiter, 1, larger)) == 0
    cells.now += SECOND
    assert passed(uses(limiter, 50, larger)) == 33


def test_what_is_lent_is_a_hundredth_at_most_and_paid_for(cells: Cells) -> None:
    limiter = a_limiter(cells)
    charges = [Charge("burst", BURST, 1)]
    ((admission, spare),) = all_of(limiter.lend(charges, 500))
    assert (admission.refused, spare) == ((), 10)
    assert cells.left(BURST) == 989
    uses(limiter, 985, BURST)
    ((admission, spare),) = all_of(limiter.lend(charges, 500))
    assert (admission.refused, spare) == ((), 0)


def test_nothing_is_lent_of_a_quota(cells: Cells) -> None:
    ((_, spare),) = all_of(a_limiter(cells).lend([Charge("burst", BURST, 1), Charge("daily", DAILY, 1)], 5))
    assert spare == 0


def test_without_an_answer_nobody_passes_unless_the_settings_say_so(cells: Cells) -> None:
    cells.failing = True
    with refused("temporarily_unavailable", reason="limits_uncountable"):
        uses(a_limiter(cells), 1, BURST)
    counted: list[None] = []
    (admission,) = uses(a_limiter(cells, failed=lambda: counted.append(None)), 1, BURST)
    assert (admission.refused, admission.is_counted, len(counted)) == ((), False, 1)


def test_who_lends_asks_once_when_nobody_answers_and_lends_nothing(cells: Cells) -> None:
    cells.failing = True
    counted: list[None] = []
    limiter = a_limiter(cells, failed=lambda: counted.append(None))
    ((admission, spare),) = all_of(limiter.lend([Charge("burst", BURST, 1)], 5))
    assert (admission.is_counted, spare, len(counted), cells.asked) == (False, 0, 1, 1)


def test_after_a_failure_the_next_one_asks_again(cells: Cells) -> None:
    limiter = a_limiter(cells)
    cells.failing = True
    with refused("temporarily_unavailable", reason="limits_uncountable"):
        uses(limiter, 1, BURST)
    cells.failing = False
    assert passed(uses(limiter, 3, BURST)) == 3
