"""What a cell holds and what is lent of it: nobody knows how many borrow, and together they never hold too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorward.protocol import limit, limit_cell
from doorward.protocol.limit import SECOND, Charge, Limit
from doorward.protocol.limit_cell import EMPTY, NOTHING, TURN, Cell, Loan, Wanted, take_all

AT = 1_800_000_000 * SECOND
TURN_NOW = AT // TURN
BURST = Limit("burst", 100, "minute")
HOURLY = Limit("hourly", 1000, "hour", burst=500)
DAILY = Limit("daily", 10, "day", "quota")
INTERVAL = limit.interval(BURST)


def charge(of: Limit = BURST, cost: int = 1) -> Charge:
    return Charge(of.name, of, cost)


def taken_of(wanted: Wanted, cell: Cell = EMPTY, at: int = AT) -> tuple[limit.Taken, Cell]:
    (taken,), changed = take_all([wanted], {wanted.charge.cell: cell}, at)
    return taken, changed.get(wanted.charge.cell, cell)


class TestWhatMayBeLent:
    def test_a_share_of_what_may_be_used_at_once_and_nothing_of_a_quota(self) -> None:
        assert [limit_cell.share(of, 0.01) for of in (BURST, HOURLY, DAILY)] == [1, 5, 0]
        assert limit_cell.share(BURST, 0) == 0

    def test_each_gets_half_of_what_is_left_of_it(self) -> None:
        cell, got = EMPTY, []
        for _ in range(5):
            taken, cell = taken_of(Wanted(charge(), 50, 10), cell)
            got.append(taken.granted - 1)
        assert (got, cell.lent) == ([5, 3, 1, 1, 0], 10)

    def test_no_more_than_is_wanted_and_than_is_there(self) -> None:
        assert taken_of(Wanted(charge(), 2, 10))[0].granted == 3
        assert taken_of(Wanted(charge(cost=98), 5, 10))[0].granted == 100

    def test_what_is_lent_is_forgotten_after_two_turns(self) -> None:
        _, cell = taken_of(Wanted(charge(), 10, 10))
        for later, lent in ((0, (1, 5)), (1, (1, 5)), (2, (1, 0))):
            _, after = taken_of(Wanted(charge(), 1, 10), cell, AT + later * TURN)
            assert (after.lent - (cell.lent if later == 0 else 0), after.lent_before + cell.lent * (later == 0)) == lent

    def test_a_clock_that_was_set_back_holds_nothing_for_anybody(self) -> None:
        _, cell = taken_of(Wanted(charge(), 10, 10), at=AT + 7200 * SECOND)
        taken, _ = taken_of(Wanted(charge(cost=0), 10, 10), cell._replace(value=0))
        assert taken.granted == 5


class TestWhatIsPaidBack:
    def lent(self) -> tuple[Cell, Loan]:
        taken, cell = taken_of(Wanted(charge(), 5, 10))
        return cell, Loan(3, taken.granted - 1, TURN_NOW)

    def test_what_was_not_given_away_is_there_again(self) -> None:
        cell, loan = self.lent()
        taken, after = taken_of(Wanted(charge(), 0, 10, loan), cell)
        assert (cell.value - AT) // INTERVAL == 6
        assert ((taken.value - AT) // INTERVAL, after.lent) == (6 - 3 + 1, 0)

    def test_in_the_next_turn_too(self) -> None:
        cell, loan = self.lent()
        _, after = taken_of(Wanted(charge(), 2, 10, loan), cell, AT + TURN)
        assert (after.lent, after.lent_before) == (2, 0)

    def test_what_is_forgotten_is_worth_nothing(self) -> None:
        _, loan = self.lent()
        _, full = taken_of(Wanted(charge(cost=100)), EMPTY, AT + 2 * TURN)
        taken, _ = taken_of(Wanted(charge(), 0, 10, loan), full, AT + 2 * TURN)
        assert taken.fits is False

    def test_it_is_settled_whatever_the_answer(self) -> None:
        cell, loan = self.lent()
        taken, after = taken_of(Wanted(charge(cost=101), 0, 10, loan), cell)
        assert (taken.fits, (after.value - AT) // INTERVAL, after.lent) == (False, 3, 0)


class TestAllOrNothing:
    def test_where_one_has_too_little_nothing_is_taken_of_any(self) -> None:
        known = {"daily": Cell(10)}
        taken, changed = take_all([Wanted(charge(), 5, 10), Wanted(charge(DAILY))], known, AT)
        assert ([one.fits for one in taken], [one.granted for one in taken], changed) == ([True, False], [0, 0], {})

    def test_what_was_only_asked_is_not_kept(self) -> None:
        assert taken_of(Wanted(charge(cost=0)), Cell(5))[1] == Cell(5)

    def test_a_cell_that_says_too_much_is_mended_by_a_refusal(self) -> None:
        taken, after = taken_of(Wanted(charge()), Cell(AT + 7200 * SECOND))
        assert (taken.fits, after.value) == (False, AT + 60 * SECOND)


Step = tuple[int, int, int, bool]
STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 9000), st.integers(0, 40), st.booleans()), min_size=1, max_size=80
)  # fmt: skip


@given(STEPS)
def test_no_stretch_of_time_sees_more_than_a_burst_what_refilled_and_the_share(steps: list[Step]) -> None:
    """Workers borrow, give away, pay back, or die with what they hold; every stretch is looked at."""
    share, cell, at = 10, EMPTY, AT
    loans: dict[int, Loan] = {}
    given: list[tuple[int, int]] = []
    for worker, wait, give, dies in steps:
        at += wait * SECOND // 1000
        loan = loans.get(worker, NOTHING)
        if loan.turn in (at // TURN, at // TURN - 1):
            here = min(give, loan.left)
            given.append((at, here))
            loan = loan._replace(left=loan.left - here)
        if dies:
            loan = NOTHING
        taken, cell = taken_of(Wanted(charge(), give, share, loan), cell, at)
        spare = max(taken.granted - 1, 0)
        loans[worker] = Loan(spare, spare, at // TURN)
        given.append((at, int(taken.fits)))
        assert cell.lent + cell.lent_before <= share
    for index, (begin, _) in enumerate(given):
        total = 0
        for end, number in given[index:]:
            total += number
            assert total <= 100 + share + (end - begin) * 100 // (60 * SECOND) + 1
