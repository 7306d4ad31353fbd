"""Rates in a real Valkey: its script counts as `limit_cell` does, and what it says when it is not there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from tests.valkey import Valkey

from doorward.protocol import limit
from doorward.protocol.limit import Charge, Limit, Taken
from doorward.protocol.limit_cell import EMPTY, TURN, Cell, Loan, Wanted, take_all
from doorward.store import limits_in_valkey
from doorward.store.limits_in_valkey import FAILURES, Breaker, InValkey
from doorward.store.writer import Unavailable

ROOT = Path(__file__).parents[2]
ISSUER = "https://auth.example.com"
BURST = Limit("burst", 100, "minute")
DAILY = Limit("daily", 10, "day", "quota")
# The finest and the coarsest that a rate may be, and some whose interval is no whole number of microseconds.
RATES = (
    BURST, Limit("a", 1_000_000, "second"), Limit("b", 1, "day"), Limit("c", 7, "second", burst=3),
    Limit("d", 86_400_000_000 // 7, "day"), Limit("e", 333_333, "minute", burst=1),
)  # fmt: skip


class InMemory:
    """Where quotas are counted instead of a database."""

    def __init__(self) -> None:
        self.known: dict[str, Cell] = {}
        self.failing = False

    async def take(self, wanted: Sequence[Wanted]) -> tuple[Sequence[Taken], int]:
        if self.failing:
            raise Unavailable("gone")
        now = time.time_ns()
        taken, changed = take_all(wanted, self.known, now)
        self.known.update(changed)
        return taken, now

    async def read(self, charges: Sequence[Charge]) -> tuple[Mapping[str, Cell], int]:
        return self.known, time.time_ns()

    async def stop(self) -> None: ...


class Counted:
    """The cells on a loop of their own, and the server beside them as anybody sees it."""

    def __init__(self, url: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self.quotas = InMemory()
        self.cells = InValkey(url, options.get("ca_file"), ISSUER, self.quotas)

    def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def called() -> Any:
            return await call()

        return self._runner.run(called())

    def take(self, *wanted: Wanted) -> tuple[Sequence[Taken], int]:
        found: tuple[Sequence[Taken], int] = self.run(lambda: self.cells.take(wanted))
        return found

    def read(self, *cells: str) -> Mapping[str, Cell]:
        known: Mapping[str, Cell] = self.run(lambda: self.cells.read([Charge(cell, BURST, 0) for cell in cells]))[0]
        return known

    def close(self) -> None:
        self.run(self.cells.stop)
        self._runner.close()


@pytest.fixture
def server(valkey: Valkey) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(valkey.directory / "socket"), decode_responses=True) as server:
        server.flushall()
        yield server


@pytest.fixture
def counted(valkey: Valkey, server: Redis) -> Iterator[Counted]:
    found = Counted(valkey.url)
    yield found
    found.close()


def key_of(server: Redis) -> str:
    (key,) = server.keys("*")
    return str(key)


class TestTheScriptCountsAsWeDo:
    """Each step is taken twice: by the script, and by `take_all` at the moment that the script told."""

    WANTED = st.tuples(
        st.sampled_from(RATES), st.integers(-3, 1_000_000), st.integers(0, 10**6), st.integers(0, 10**6),
        st.integers(0, 50), st.integers(0, 60), st.integers(0, 3),
    )  # fmt: skip
    # Of a cell: how far ahead it is in nanoseconds, which turn it speaks of, what is lent.
    SEEN = st.tuples(st.integers(-(10**15), 10**15), st.integers(-1, 3), st.integers(0, 100), st.integers(0, 100))

    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(WANTED, st.none() | SEEN), min_size=1, max_size=4))
    def test_whatever_is_wanted_of_whatever_there_is(self, counted: Counted, server: Redis, steps: Any) -> None:
        began, known, wanted = time.time_ns(), {}, []
        server.flushall()
        for number, ((of, cost, extra, share, left, size, ago), seen) in enumerate(steps):
            cell = f"cell {number}"
            loan = Loan(min(left, size), size, began // TURN - ago)
            wanted.append(Wanted(Charge(cell, of, cost), extra, share, loan))
            if seen is not None:
                known[cell] = Cell(began + seen[0], began // TURN - seen[1], *seen[2:])
                server.set(counted.cells._prefix + cell, " ".join(map(str, known[cell])))
        found, now = counted.take(*wanted)
        expected, changed = take_all(wanted, known, now)
        assert [(one.fits, one.granted) for one in found] == [(one.fits, one.granted) for one in expected]
        assert [one.value for one in found] == [max(one.value, now) for one in expected]
        mended = {cell: after._replace(value=max(after.value, now)) for cell, after in changed.items()}
        cells = [one.charge.cell for one in wanted]
        assert counted.read(*cells) == {cell: {**known, **mended}.get(cell, EMPTY) for cell in cells}

    def test_a_rate_is_used_up_exactly(self, counted: Counted) -> None:
        once = Limit("once", 50, "day")
        assert sum(counted.take(Wanted(Charge("once", once, 1)))[0][0].fits for _ in range(60)) == 50

    def test_what_it_does_not_understand_is_an_empty_cell(self, counted: Counted, server: Redis) -> None:
        counted.take(Wanted(Charge("a", BURST, 100)))
        server.set(key_of(server), "nonsense")
        assert counted.read("a") == {"a": EMPTY}
        assert counted.take(Wanted(Charge("a", BURST, 100)))[0][0].fits

    def test_a_cell_ends_when_it_says_no_more_than_an_empty_one(self, counted: Counted, server: Redis) -> None:
        counted.take(Wanted(Charge("a", BURST, 50)))
        assert 30_000 < server.pttl(key_of(server)) <= 30_000 + 2 * TURN // 10**6 + 1


class TestQuotasBesideThem:
    def test_are_counted_elsewhere_and_both_or_none_are_taken(self, counted: Counted) -> None:
        rate, quota = Wanted(Charge("rate", BURST, 4)), Wanted(Charge("quota", DAILY, 4))
        assert [one.granted for one in counted.take(quota, rate)[0]] == [4, 4]
        counted.take(rate, quota)
        taken, _ = counted.take(quota, rate)
        assert [(one.fits, one.granted) for one in taken] == [(False, 0), (True, 0)]
        assert counted.quotas.known["quota"].value == 8
        left = 100 - 8
        assert counted.take(Wanted(Charge("rate", BURST, left)))[0][0].fits
        assert not counted.take(Wanted(Charge("rate", BURST, left)))[0][0].fits

    def test_a_rate_that_is_used_up_costs_nothing_of_the_quota(self, counted: Counted) -> None:
        counted.take(Wanted(Charge("rate", BURST, 100)))
        rate, quota = counted.take(Wanted(Charge("rate", BURST, 50)), Wanted(Charge("quota", DAILY, 1)))[0]
        assert (rate.fits, quota.fits, counted.quotas.known) == (False, True, {})

    def test_a_rate_is_given_back_when_the_quota_cannot_be_counted(self, counted: Counted) -> None:
        counted.quotas.failing = True
        with pytest.raises(Unavailable):
            counted.take(Wanted(Charge("rate", BURST, 100)), Wanted(Charge("quota", DAILY, 1)))
        assert counted.take(Wanted(Charge("rate", BURST, 100)))[0][0].fits

    def test_a_quota_alone_asks_nobody_else(self, counted: Counted, server: Redis) -> None:
        assert counted.take(Wanted(Charge("quota", DAILY, 1)))[0][0].granted == 1
        assert server.keys("*") == []


def test_all_cells_of_a_check_are_in_one_slot_and_apart_from_another_issuers(counted: Counted, server: Redis) -> None:
    counted.take(Wanted(Charge("a", BURST, 1)), Wanted(Charge("b", BURST, 1)))
    names = server.keys("*")
    assert len(names) == 2
    assert len({name.partition("}")[0] for name in names}) == 1
    assert all(name.startswith("{doorward:") for name in names)


def test_checks_use_its_connections_in_turn(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has just been answered does not ask again before those who wait, of whom some would give up."""
    for name, value in {"CONNECTIONS": 1, "PATIENCE": 60.0, "WAIT": 60.0}.items():
        monkeypatch.setattr(limits_in_valkey, name, value)
    counted, answered = Counted(valkey.url), [0] * 8
    apart = []

    async def caller(number: int) -> None:
        for _ in range(20):
            await counted.cells.take([Wanted(Charge("in turn", BURST, 1))])
            answered[number] += 1
            apart.append(max(answered) - min(answered))

    async def crowd() -> None:
        await asyncio.gather(*map(caller, range(len(answered))))

    counted.run(crowd)
    counted.close()
    assert max(apart) == 1


def test_a_script_that_was_forgotten_is_sent_again(counted: Counted, server: Redis) -> None:
    counted.take(Wanted(Charge("a", BURST, 1)))
    server.script_flush()
    taken, now = counted.take(Wanted(Charge("a", BURST, 1)))
    assert taken[0].value - now > limit.interval(BURST)


def test_no_more_rights_are_needed_than_our_page_says(valkey: Valkey, server: Redis) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "limits.md").read_text()
    rights = page.partition("Its user needs `")[2].partition("`")[0].split()
    server.execute_command("ACL", "SETUSER", "doorward", "on", ">secret", "resetkeys", "nocommands", *rights)
    counted = Counted(valkey.tls_url.replace("//", "//doorward:secret@"), ca_file=valkey.ca_file)
    server.script_flush()
    assert counted.take(Wanted(Charge("a", BURST, 1)))[0][0].fits
    assert counted.read("a")["a"].value > 0
    counted.close()
    server.acl_deluser("doorward")


def test_it_is_reached_by_tls_and_by_nobody_that_it_is_not(valkey: Valkey) -> None:
    trusted = Counted(valkey.tls_url, ca_file=valkey.ca_file)
    assert trusted.take(Wanted(Charge("tls", BURST, 1)))[0][0].fits
    trusted.close()
    for url, ca_file in ((valkey.tls_url, None), (valkey.tls_url.replace("localhost", "127.0.0.2"), valkey.ca_file)):
        stranger = Counted(url, ca_file=ca_file)
        with pytest.raises(Unavailable):
            stranger.take(Wanted(Charge("tls", BURST, 1)))
        stranger.close()


def test_who_is_gone_is_asked_no_more_for_a_while_and_found_again(valkey: Valkey, counted: Counted) -> None:
    one = Wanted(Charge("a", BURST, 1))
    counted.take(one)
    valkey.stop()
    try:
        for _ in range(FAILURES + 5):
            with pytest.raises(Unavailable):
                counted.take(one)
        assert counted.run(counted.cells.answers) is False
    finally:
        valkey.start()
    deadline = time.monotonic() + 30
    while True:
        try:
            assert counted.take(one)[0][0].fits
            break
        except Unavailable:
            assert time.monotonic() < deadline, "it was never asked again"
            time.sleep(0.05)


class TestBreaker:
    def opened(self) -> Breaker:
        breaker = Breaker()
        assert [breaker.failed(10.0) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
        return breaker

    def test_a_failure_now_and_then_opens_nothing(self) -> None:
        breaker = Breaker()
        for _ in range(FAILURES * 2):
            breaker.failed(10.0)
            assert not breaker.succeeded()
        assert breaker.lets_pass(10.0)

    def test_while_it_is_open_one_at_a_time_tries(self) -> None:
        breaker = self.opened()
        later = 10.0 + limits_in_valkey.PAUSE
        assert [breaker.lets_pass(at) for at in (10.0, later, later)] == [False, True, False]

    def test_an_answer_closes_it(self) -> None:
        breaker = self.opened()
        assert breaker.succeeded()
        assert breaker.lets_pass(10.0)


KILLED = """
import os, signal
from tests.valkey import private_valkey
with private_valkey() as server:
    print(server.directory, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_of_tests_that_is_killed_leaves_nothing_of_it() -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, cwd=ROOT, check=False)
    directory = Path(killed.stdout.strip())
    assert directory.name.startswith("doorward-valkey-"), killed.stderr
    deadline = time.monotonic() + 30
    while directory.exists():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)
