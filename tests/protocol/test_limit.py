"""Limits: what they may say, how rates refill all the time (GCRA), quotas by the calendar; what is told of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.protocol import limit
from doorward.protocol.limit import SECOND, ApiLimit, Charge, Limit, LimitState, admission, charges, take, unfit, window

NOW = 1_800_000_000
AT = NOW * SECOND
BURST = Limit("burst", 100, "minute")
MONTHLY = Limit("monthly", 1000, "month", "quota")


def charge(of: Limit = BURST, cost: int = 1) -> Charge:
    return Charge("cell", of, cost)


def granted(of: Limit, times: int, at: int = AT, value: int | None = None) -> tuple[int, int]:
    """How many of so many uses at one moment there are, and what the cell holds then."""
    count = 0
    for _ in range(times):
        taken = take(charge(of), value, 0, at)
        count, value = count + taken.fits, taken.value
    return count, value or 0


class TestWhatALimitMayBe:
    @pytest.mark.parametrize(
        "wrong",
        [
            Limit("", 1, "minute"), Limit("Burst", 1, "minute"), Limit("a" * 33, 1, "minute"), Limit('x"', 1, "minute"),
            Limit("a", 0, "minute"), Limit("a", 10**12 + 1, "day", "quota"), Limit("a", 10, "month"),
            Limit("a", 10, "second", "quota"), Limit("a", 10, "day", "quota", burst=5), Limit("a", 10, "day", burst=11),
            Limit("a", 10, "day", burst=0), Limit("a", 1_000_001, "second"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_kept_is_named(self, wrong: Limit) -> None:
        assert unfit([wrong])

    def test_several_are_named_differently_and_are_at_most_ten(self) -> None:
        assert unfit([BURST, MONTHLY]) is None
        assert unfit([BURST, BURST])
        assert unfit([Limit(f"a{number}", 1, "minute") for number in range(11)])

    @pytest.mark.parametrize(
        "right", [Limit("a", 1_000_000, "second"), Limit("a", 60_000_000, "minute"), Limit("a", 10, "day", burst=1)]
    )
    def test_what_can_be_kept_is_fit(self, right: Limit) -> None:
        assert unfit([right]) is None


class TestRates:
    def test_all_of_it_may_be_used_at_once_and_no_more(self) -> None:
        assert granted(BURST, 150)[0] == 100

    def test_a_burst_may_be_smaller_than_the_amount(self) -> None:
        assert granted(Limit("a", 100, "minute", burst=10), 150)[0] == 10

    def test_it_refills_all_the_time(self) -> None:
        _, value = granted(BURST, 100)
        for later, more in ((0.5, 0), (0.6, 1), (6, 10), (60, 100), (3600, 100)):
            assert granted(BURST, 150, AT + int(later * SECOND), value)[0] == more

    @given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 7)), min_size=1, max_size=60))
    def test_no_stretch_of_time_sees_more_than_a_burst_and_what_refilled(self, uses: list[tuple[int, int]]) -> None:
        """GCRA's promise, over every stretch that begins with a use."""
        value, at, seen = None, AT, []
        for wait, cost in uses:
            at += wait * SECOND // 1000
            taken = take(charge(BURST, cost), value, 0, at)
            value = taken.value
            seen.append((at, cost if taken.fits else 0))
        for index, (begin, _) in enumerate(seen):
            total = 0
            for end, cost in seen[index:]:
                total += cost
                assert total <= 100 + (end - begin) * 100 // (60 * SECOND) + 1

    def test_more_than_the_cost_is_lent_as_far_as_it_is_there(self) -> None:
        assert take(charge(cost=2), None, 20, AT).granted == 22
        _, value = granted(BURST, 90)
        assert take(charge(cost=2), value, 20, AT).granted == 10

    def test_what_is_too_much_takes_nothing(self) -> None:
        _, value = granted(BURST, 99)
        refused = take(charge(cost=2), value, 0, AT)
        assert (refused.fits, refused.granted, refused.value) == (False, 0, value)
        assert take(charge(cost=1), value, 0, AT).fits

    def test_asking_for_nothing_is_always_granted(self) -> None:
        _, value = granted(BURST, 100)
        assert take(charge(cost=0), value, 0, AT) == (charge(cost=0), True, 0, value)

    def test_a_cell_never_says_more_than_its_limit_can(self) -> None:
        _, value = granted(Limit("burst", 100, "day"), 100)
        smaller = Limit("burst", 60, "minute")
        mended = take(charge(smaller), value, 0, AT)
        assert (mended.fits, mended.value) == (False, AT + 60 * SECOND)
        assert take(charge(smaller), mended.value, 0, AT + SECOND).fits


class TestQuotas:
    def test_it_is_exact(self) -> None:
        assert granted(Limit("m", 7, "month", "quota"), 20) == (7, 7)

    def test_a_cost_that_does_not_fit_takes_nothing(self) -> None:
        assert take(charge(MONTHLY, 600), 500, 0, AT) == (charge(MONTHLY, 600), False, 0, 500)

    @given(st.integers(0, 4_000_000_000))
    def test_months_are_those_of_the_calendar(self, now: int) -> None:
        day = datetime.fromtimestamp(now, UTC)
        begins = datetime(day.year, day.month, 1, tzinfo=UTC)
        ends = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
        assert window(MONTHLY, now) == (begins.timestamp(), ends.timestamp())

    @pytest.mark.parametrize(("per", "length"), [("minute", 60), ("hour", 3600), ("day", 86_400)])
    def test_other_windows_begin_when_the_clock_strikes(self, per: limit.Per, length: int) -> None:
        begins, ends = window(Limit("a", 1, per, "quota"), NOW + 59)
        assert (begins % length, ends - begins) == (0, length)


class TestWhoIsCharged:
    OF_API = (
        ApiLimit("burst", 10, "minute"), ApiLimit("each", 5, "minute", each="account"),
        ApiLimit("all", 50, "minute", each="api"),
    )  # fmt: skip

    def cells(self, *of_key: Limit) -> list[tuple[str, int]]:
        found = charges("key_1", "acme", "api_1", of_key, (MONTHLY,), self.OF_API, 3, NOW)
        assert all(one.cost == 3 for one in found)
        return [(one.cell, one.limit.amount) for one in found]

    def test_a_key_an_account_and_an_api_each_count_for_themselves(self) -> None:
        month = window(MONTHLY, NOW)[0]
        assert self.cells() == [
            (f"account/acme/monthly/month/{month}", 1000), ("key/key_1/burst", 10), ("account/acme/api_1/each", 5),
            ("api/api_1/all", 50),
        ]  # fmt: skip

    def test_a_keys_own_limit_takes_the_place_of_its_apis(self) -> None:
        assert ("key/key_1/burst", 100) in self.cells(BURST)
        assert ("key/key_1/burst", 10) not in self.cells(BURST)

    def test_no_key_can_put_its_own_in_the_place_of_what_all_share(self) -> None:
        assert ("api/api_1/all", 50) in self.cells(Limit("all", 9999, "minute"))


class TestWhatIsTold:
    def test_what_is_left_and_when_all_of_it_is_there_again(self) -> None:
        _, value = granted(BURST, 40)
        found = admission([(charge(), value, 3, True)], AT)
        assert found.states == (LimitState("burst", "rate", 100, "minute", 60, 63, 24),)
        assert (found.refused, found.reason) == ((), None)

    def test_a_refusal_says_when_the_cost_will_fit_and_not_a_second_too_early(self) -> None:
        _, value = granted(BURST, 100)
        found = admission([(charge(cost=5), value, 0, False)], AT)
        assert (found.reason, found.retry_after) == ("rate_limited", 3)
        assert take(charge(cost=5), value, 0, AT + 3 * SECOND).fits
        assert not take(charge(cost=5), value, 0, AT + 2 * SECOND).fits

    def test_a_quota_says_when_its_window_ends(self) -> None:
        found = admission([(charge(), 0, 0, True), (charge(MONTHLY), 1000, 0, False)], AT)
        ends = window(MONTHLY, NOW)[1]
        assert (found.reason, found.retry_after, found.refused) == ("quota_exceeded", ends - NOW, (MONTHLY,))
        assert found.states[1].remaining == 0
