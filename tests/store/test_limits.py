"""Cells of limits on both engines: what several processes take of one limit at once is exactly what there is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import BigInteger, Engine, literal
from tests.store.committing import a_writer, an_append, count
from tests.store.conftest import Database

from doorward.protocol import limit_cell
from doorward.protocol.limit import SECOND, Charge, Limit, Taken
from doorward.protocol.limit_cell import NOTHING, Cell, Loan, Wanted
from doorward.store import limits, tables
from doorward.store.sweeping import expired

NOW = 1_800_000_000
AT = NOW * SECOND
BURST = Limit("burst", 100, "minute")
DAILY = Limit("daily", 25, "day", "quota")


@pytest.fixture
def at(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the clock where limits are counted."""

    def set_clock(now: int) -> None:
        monkeypatch.setattr(limits, "OF_POSTGRESQL", literal(now, BigInteger))
        monkeypatch.setattr("doorward.store.limits.time.time_ns", lambda: now)

    set_clock(AT)
    return set_clock


def take(engine: Engine, *charges: Charge, extra: int = 0, back: Loan = NOTHING) -> Sequence[Taken]:
    found: list[tuple[Taken, ...]] = []
    wanted = [Wanted(charge, extra, 1000, back) for charge in charges]
    append = an_append(also=lambda connection: found.append(limits.take(connection, wanted)[0]))
    ((_, problem),) = a_writer(engine).commit([append])
    assert problem is None
    return found[-1]


def test_the_time_is_that_of_the_place_where_it_is_counted(database: Database) -> None:
    before = time.time_ns()
    with database.engine().connect() as connection:
        _, now = limits.read(connection, ["nothing"])
    # PostgreSQL tells microseconds; a minute is for a machine that is busy.
    assert before - 1000 <= now < before + 60 * SECOND


@pytest.mark.usefixtures("at")
def test_what_was_taken_stays_taken(database: Database) -> None:
    engine = database.engine()
    assert take(engine, Charge("a", BURST, 60))[0].fits
    assert take(database.engine(), Charge("a", BURST, 60))[0].fits is False
    assert take(engine, Charge("a", BURST, 40), extra=100)[0].granted == 40
    assert take(engine, Charge("b", BURST, 60))[0].fits


@pytest.mark.usefixtures("at")
def test_all_limits_agree_or_none_is_charged(database: Database) -> None:
    engine = database.engine()
    take(engine, Charge("daily", DAILY, 20))
    assert [one.fits for one in take(engine, Charge("a", BURST, 10), Charge("daily", DAILY, 10))] == [True, False]
    assert take(engine, Charge("a", BURST, 100))[0].fits


def test_a_clock_that_was_set_back_locks_nobody_out(database: Database, at: Callable[[int], None]) -> None:
    engine = database.engine()
    at(AT + 7200 * SECOND)
    take(engine, Charge("a", BURST, 100))
    at(AT)
    assert take(engine, Charge("a", BURST, 1))[0].fits is False
    at(AT + SECOND)
    assert take(engine, Charge("a", BURST, 1))[0].fits


def test_what_is_lent_stands_in_the_cell_until_it_is_paid_back(database: Database, at: Callable[[int], None]) -> None:
    engine, turn = database.engine(), AT // limit_cell.TURN

    def cell() -> Cell:
        with engine.connect() as connection:
            return limits.read(connection, ["a"])[0]["a"]

    (taken,) = take(engine, Charge("a", BURST, 1), extra=5)
    assert (taken.granted, cell().turn, cell().lent) == (6, turn, 5)
    at(AT + 5 * SECOND)
    take(engine, Charge("a", BURST, 1), extra=2)
    assert cell()[1:] == (turn + 1, 2, 5)
    take(engine, Charge("a", BURST, 1), back=Loan(3, 5, turn))
    assert cell()[1:] == (turn + 1, 2, 0)


@pytest.mark.usefixtures("at")
def test_a_quota_raced_by_many_processes_is_used_up_exactly(database: Database) -> None:
    engines = [database.engine() for _ in range(4)]
    passed: list[int] = []

    def use(engine: Engine) -> None:
        passed.append(sum(take(engine, Charge("q", DAILY, 1))[0].fits for _ in range(15)))

    threads = [threading.Thread(target=use, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(passed), len(passed)) == (25, 4)


@pytest.mark.usefixtures("at")
def test_a_cell_is_swept_once_it_says_no_more_than_an_empty_one(database: Database) -> None:
    engine = database.engine()
    take(engine, Charge("a", BURST, 50), Charge("q", DAILY, 1))
    for now, left in ((NOW + 20, 2), (NOW + 40, 1), (NOW + 86_400, 0)):
        with engine.begin() as connection:
            expired(tables.limit_cells, 0, now, connection, 10)
        assert count(engine, tables.limit_cells) == left
