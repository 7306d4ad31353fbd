"""Cells of limits on both engines: what several processes take of one limit at once is exactly what there is."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sqlalchemy import Engine
from tests.store.committing import a_writer, an_append, count
from tests.store.conftest import Database

from doorward.protocol.limit import SECOND, Charge, Limit, Taken
from doorward.store import limits, tables
from doorward.store.tallies import delete_ended

NOW = 1_800_000_000
AT = NOW * SECOND
BURST = Limit("burst", 100, "minute")
DAILY = Limit("daily", 25, "day", "quota")


def take(engine: Engine, *charges: Charge, extra: int = 0, at: int = AT) -> Sequence[Taken]:
    found: list[tuple[Taken, ...]] = []
    wanted = [(charge, extra) for charge in charges]
    append = an_append(also=lambda connection: found.append(limits.take(connection, wanted, at)))
    ((_, problem),) = a_writer(engine).commit([append])
    assert problem is None
    return found[-1]


def test_what_was_taken_stays_taken(database: Database) -> None:
    engine = database.engine()
    assert take(engine, Charge("a", BURST, 60))[0].fits
    assert take(database.engine(), Charge("a", BURST, 60))[0].fits is False
    assert take(engine, Charge("a", BURST, 40), extra=100)[0].granted == 40
    assert take(engine, Charge("b", BURST, 60))[0].fits


def test_all_limits_agree_or_none_is_charged(database: Database) -> None:
    engine = database.engine()
    take(engine, Charge("daily", DAILY, 20))
    assert [one.fits for one in take(engine, Charge("a", BURST, 10), Charge("daily", DAILY, 10))] == [True, False]
    assert take(engine, Charge("a", BURST, 100))[0].fits


def test_a_clock_that_was_set_back_locks_nobody_out(database: Database) -> None:
    engine = database.engine()
    take(engine, Charge("a", BURST, 100), at=AT + 7200 * SECOND)
    assert take(engine, Charge("a", BURST, 1))[0].fits is False
    assert take(engine, Charge("a", BURST, 1), at=AT + SECOND)[0].fits


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


def test_a_cell_is_swept_once_it_says_no_more_than_an_empty_one(database: Database) -> None:
    engine = database.engine()
    take(engine, Charge("a", BURST, 50), Charge("q", DAILY, 1))
    for now, left in ((NOW + 20, 2), (NOW + 40, 1), (NOW + 86_400, 0)):
        with engine.begin() as connection:
            delete_ended(tables.limit_cells, now, connection)
        assert count(engine, tables.limit_cells) == left
