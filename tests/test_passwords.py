"""argon2id: the same work whether there is a password or not, never more at once than is meant, measured once."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest
from argon2 import PasswordHasher, extract_parameters

from doorward import deadline, passwords
from doorward.passwords import LADDER, THREADS, WAITING_LIMIT, Overloaded, Passwords, chosen


@pytest.fixture
def quick(monkeypatch):
    """Parameters that cost nothing, and every comparison that was made."""
    done: list[str] = []
    monkeypatch.setattr(passwords, "LADDER", ((16, 2), (8, 1)))
    verify = PasswordHasher.verify

    def counted(self, phc, text):
        done.append(str(phc))
        return verify(self, phc, text)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    pool = Passwords()
    yield pool, done
    pool.stop()


def test_a_password_matches_its_hash_and_no_other(quick):
    pool, _ = quick

    async def run():
        phc = await pool.hash("correct horse battery")
        assert phc.startswith("$argon2id$v=19$")
        assert phc != await pool.hash("correct horse battery")
        assert await pool.matches(phc, "correct horse battery")
        assert not await pool.matches(phc, "correct horse batterx")
        assert not await pool.matches("no hash at all", "correct horse battery")

    asyncio.run(run())


def test_without_a_password_the_same_work_is_done_for_nothing(quick):
    """T145: one comparison either way, with the same parameters."""
    pool, done = quick

    async def run():
        phc = await pool.hash("correct horse battery")
        done.clear()
        assert not await pool.matches(phc, "wrong")
        assert not await pool.matches(None, "wrong")
        assert not await pool.matches(None, "nobody's password")

    asyncio.run(run())
    assert len(done) == 3
    assert len({(p.memory_cost, p.time_cost, p.parallelism) for p in map(extract_parameters, done)}) == 1


def test_what_was_kept_with_other_parameters_decides_them(quick):
    """Else a user who is there would be known by the time that he takes."""
    pool, done = quick
    kept = PasswordHasher(time_cost=3, memory_cost=64, parallelism=1).hash("correct horse battery")

    async def run():
        assert await pool.matches(kept, "correct horse battery")
        done.clear()
        assert not await pool.matches(None, "x")
        assert not await pool.matches(kept, "x")
        assert await pool.matches(kept, "correct horse battery")

    asyncio.run(run())
    assert {(p.memory_cost, p.time_cost) for p in map(extract_parameters, done)} == {(64, 3)}


def test_many_at_once_whose_parameters_are_others_do_not_wait_for_each_other(quick):
    pool, _ = quick
    kept = PasswordHasher(time_cost=3, memory_cost=64, parallelism=1).hash("correct horse battery")

    async def run():
        asking = [pool.matches(kept, "correct horse battery") for _ in range(8 * THREADS)]
        return await asyncio.wait_for(asyncio.gather(*asking), 60)

    assert asyncio.run(run()) == [True] * 8 * THREADS


def test_two_at_once_fifty_wait_and_the_rest_is_refused(monkeypatch):
    """T148."""
    pool, held, at_work, most = Passwords(), threading.Event(), [], []

    def compare(self, phc, text):
        at_work.append(text)
        most.append(len(at_work))
        assert held.wait(30)
        at_work.remove(text)
        return True

    monkeypatch.setattr(Passwords, "_matches", compare)

    async def run():
        asking = [asyncio.create_task(pool.matches("phc", str(n))) for n in range(60)]
        done, _ = await asyncio.wait(asking[THREADS + WAITING_LIMIT :])
        assert all(isinstance(task.exception(), Overloaded) for task in done)
        while len(at_work) < THREADS:
            await asyncio.sleep(0.005)
        held.set()
        assert await asyncio.gather(*asking[: THREADS + WAITING_LIMIT]) == [True] * 52
        assert await pool.matches("phc", "afterwards"), "a queue that is empty takes more"

    asyncio.run(run())
    pool.stop()
    assert max(most) == THREADS


def test_the_threads_that_compare_step_back_for_those_who_check_tokens():
    pool = Passwords()

    async def niceness():
        return await pool._run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        assert asyncio.run(niceness()) == passwords.NICENESS
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
    finally:
        pool.stop()


@pytest.mark.parametrize(
    ("weakest", "expected"),
    [(0.001, LADDER[0]), (0.04, LADDER[0]), (0.08, LADDER[1]), (0.2, LADDER[2]), (9, LADDER[2])],
)
def test_the_strongest_that_is_quick_enough_is_taken_and_never_less_than_the_least(weakest, expected):
    memory, passes = LADDER[2]
    estimates = {rung: weakest * rung[0] * rung[1] / (memory * passes) for rung in LADDER}
    assert chosen(weakest, 0.25) == expected
    assert estimates[expected] <= 0.25 or expected == LADDER[2]


def test_the_least_is_what_is_recommended():
    assert min(LADDER) == (19 * 1024, 2)
    assert sorted(LADDER, reverse=True) == [*LADDER]


def test_who_has_no_time_left_is_not_kept_waiting_for_a_free_thread(quick):
    pool, done = quick
    held = threading.Event()

    async def run():
        await pool.hash("measured")
        busy = [asyncio.ensure_future(pool._run(held.wait)) for _ in range(THREADS)]
        await asyncio.sleep(0)
        deadline.begin(time.monotonic() + 0.05)
        done.clear()
        with pytest.raises(Overloaded):
            await pool.matches(None, "correct horse battery")
        held.set()
        await asyncio.gather(*busy)

    asyncio.run(run())
    assert done == [], "nobody waits for it any more"
