"""Limits of several nodes: what all of them give away together, and what holds while nobody counts.

`limit_precision` is a hundredth here, as by default: of a rate that all nodes race for no more than that is missed, and
nothing is given away twice; a quota is used up exactly.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, Json, Response, served
from tests.faults.conftest import Report
from tests.faults.fault_proxy import FaultProxy, proxied
from tests.valkey import Valkey

NODES = 4
BATCH = 20
PROMISED = 1.0
# What is promised, and how long a machine that does other things may take for it.
TOLD_WITHIN, RECOVERED_WITHIN, DEADLINE = 2.0, 5.0, 60.0
PLACES = ("database", "valkey")


@contextlib.contextmanager
def nodes(directory: Path, *flags: str, **variables: str) -> Iterator[list[Doorward]]:
    """Servers over one database that were told the same secrets: the first one makes them."""
    homes = [directory / str(number) for number in range(NODES)]
    for home in homes:
        home.mkdir()
    given = {f"DOORWARD__{name.upper()}": value for name, value in variables.items()}
    secrets = {
        "DOORWARD__MASTER_KEY_FILE": str(homes[0] / "data" / "master.key"),
        "DOORWARD__PEPPER_FILE": str(homes[0] / "data" / "pepper"),
    }
    # As behind a load balancer: a local CA is for one node.
    flags = ("--no-tls", "--behind-proxy", "127.0.0.1/32", *flags)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(NODES) as threads:
        first = stack.enter_context(served(homes[0], *flags, variables=given))
        others = [served(home, *flags, variables=given | secrets) for home in homes[1:]]
        started = list(threads.map(stack.enter_context, others))
        for node in started:
            node.admin_key = first.admin_key
        yield [first, *started]


@pytest.fixture(scope="module", params=PLACES)
def cluster(request: Any, tmp_path_factory: Any) -> Iterator[tuple[str, list[Doorward]]]:
    """Four nodes over one PostgreSQL; rates are counted there, or in Valkey."""
    directory, url = tmp_path_factory.mktemp("nodes"), request.getfixturevalue("postgresql").create()
    counts = {"limits_url": request.getfixturevalue("valkey").url} if request.param == "valkey" else {}
    with nodes(directory, "--database", url, "--issuer", "https://auth.example.com", **counts) as found:
        yield request.param, found


@dataclass(frozen=True)
class Race:
    """How many checks passed; of an answer that never came nobody knows, it may have been counted or not."""

    passed: int
    unknown: int


def raced(asked: list[Doorward], key: str, batches: int | None = None) -> Race:
    """All nodes at once, until all refuse; or the first one alone does, and the others stop with what they hold."""
    barrier = threading.Barrier(len(asked))

    def use(number: int) -> Race:
        barrier.wait()
        total = unknown = asked_for = 0
        while asked_for != (batches if number else None) and (passed := passed_of(asked[number], key)) != 0:
            total, asked_for = total + (passed or 0), asked_for + 1
            unknown += BATCH if passed is None else 0
        return Race(total, unknown)

    with ThreadPoolExecutor(len(asked)) as threads:
        races = list(threads.map(use, range(len(asked))))
    return Race(sum(race.passed for race in races), sum(race.unknown for race in races))


def passed_of(node: Doorward, key: str) -> int | None:
    reply = node.v1("POST", "/keys/verify/batch", {"keys": [{"key": key}] * BATCH})
    assert reply.status_code in (200, 503), reply.text
    return sum(one["active"] for one in reply.json()["results"]) if reply.status_code == 200 else None


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_rate_that_all_nodes_race_for_is_kept_to_within_the_promise(
    cluster: tuple[str, list[Doorward]], number: int, is_long: bool, figure: Report
) -> None:
    place, found = cluster
    amount = 20_000 if is_long else 1000
    missed = []
    for batches in (None, 5) * (5 if is_long else 1):
        key = found[0].a_key(limits=[{"name": "daily", "amount": amount, "per": "day"}])["key"]
        began = time.monotonic()
        race = raced(found[:number], key, batches)
        refilled = int((time.monotonic() - began) * amount / 86_400) + 1
        assert amount * (1 - PROMISED / 100) - race.unknown <= race.passed <= amount + refilled
        missed.append(100 * max(amount - race.passed - race.unknown, 0) / amount)
    figure(f"of a rate raced by {number} nodes, {place}: missed", "%", missed, most=PROMISED)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_quota_that_all_nodes_race_for_is_used_up_exactly(
    cluster: tuple[str, list[Doorward]], number: int, is_long: bool, figure: Report
) -> None:
    place, found = cluster
    amount = 5000 if is_long else 200
    limits = [{"name": "daily", "amount": amount, "per": "month", "type": "quota"}]
    # With a rate beside it, which is counted elsewhere where there is Valkey, and never is what ends it.
    rate = {"name": "wide", "amount": 10 * amount, "per": "day"}
    off = []
    for more in ([], [rate]):
        race = raced(found[:number], found[0].a_key(limits=limits + more)["key"])
        assert amount - race.unknown <= race.passed <= amount
        off.append(max(amount - race.passed - race.unknown, 0))
    figure(f"of a quota raced by {number} nodes, {place}: missed", "uses", off, most=0)


@dataclass
class Counting:
    """A server whose rates are counted behind a cable that can be cut; `mode` is its `on_limiter_failure`."""

    mode: str
    doorward: Doorward
    proxy: FaultProxy
    key: Json

    def check(self) -> tuple[float, Response]:
        began = time.monotonic()
        reply = self.doorward.v1("POST", "/keys/verify", {"key": self.key["key"]})
        return time.monotonic() - began, reply

    def is_uncounted(self, reply: Response) -> bool:
        if self.mode == "refuse":
            is_told = reply.status_code == 503 and reply.json()["reason"] == "limits_uncountable"
            return is_told and "retry-after" in reply.headers
        return reply.status_code == 200 and reply.json()["active"] and not reply.json()["limits"]

    def is_counted(self, reply: Response) -> bool:
        return reply.status_code == 200 and bool(reply.json()["limits"])


@pytest.fixture(scope="module", params=["refuse", "allow"])
def counting(request: Any, tmp_path_factory: Any, valkey: Valkey) -> Iterator[Counting]:
    directory = tmp_path_factory.mktemp("counting")
    with proxied(valkey.certificate, valkey.port) as proxy:
        variables = {
            "DOORWARD__LIMITS_URL": f"rediss://localhost:{proxy.port}",
            "DOORWARD__LIMITS_CA_FILE": str(valkey.ca_file),
            "DOORWARD__ON_LIMITER_FAILURE": request.param,
        }
        with served(directory, variables=variables) as doorward:
            # Too few for anything to be lent: every check is counted there.
            key = doorward.a_key(limits=[{"name": "burst", "amount": 99, "per": "second"}])
            yield Counting(request.param, doorward, proxy, key)


def under_load(counting: Counting, broken: Callable[[], None], mended: Callable[[], None]) -> tuple[list[float], float]:
    """How long each check took while nobody counted, and until one was counted again."""
    waits: list[float] = []
    ended = threading.Event()

    def load(_: int) -> list[tuple[float, Response]]:
        seen = []
        while not ended.is_set():
            seen.append(counting.check())
        return seen

    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(load, number) for number in range(3)]
        try:
            until(lambda: counting.is_counted(counting.check()[1]), "nothing was ever counted")
            broken()
            until(lambda: counting.is_uncounted(counting.check()[1]), "the outage was never noticed")
            waits += [waited for waited, reply in (counting.check() for _ in range(10)) if counting.is_uncounted(reply)]
            assert len(waits) == 10
            mended()
            healed = time.monotonic()
            until(lambda: counting.is_counted(counting.check()[1]), "nothing was ever counted again")
            recovery = time.monotonic() - healed
        finally:
            ended.set()
        seen = [one for load in loads for one in load.result()]
    assert all(counting.is_counted(reply) or counting.is_uncounted(reply) for _, reply in seen)
    return waits + [waited for waited, reply in seen if counting.is_uncounted(reply)], recovery


def until(holds: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, complaint


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["black_hole", "cut", "restart"])
def test_while_nobody_counts_everybody_is_told_soon_and_it_heals_by_itself(
    counting: Counting, valkey: Valkey, fault: Any, is_long: bool, figure: Report
) -> None:
    waits, recoveries = [], []
    broken, mended = (lambda: counting.proxy.spoil(fault)), counting.proxy.heal
    if fault == "restart":
        broken, mended = valkey.stop, valkey.start
    for _ in range(10 if is_long else 1):
        waited, recovery = under_load(counting, broken, mended)
        waits += waited
        recoveries.append(recovery)
    assert max(waits) < DEADLINE
    figure(f"{fault} of Valkey, {counting.mode}: until it is said", "s", waits, most=TOLD_WITHIN)
    figure(f"{fault} of Valkey, {counting.mode}: until it is counted again", "s", recoveries, most=RECOVERED_WITHIN)
