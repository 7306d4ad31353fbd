"""A day of a deployment that nobody has yet: how much of it is answered where, and what is full first.

python bench/simulate.py --keys 100000000 --checks 1000000000 --verifiers 10000 --apis 100

Whoever checks is played: some of the verifiers see their share of the day's checks, one after the other, and remember
as `doorward_verify` does; what they would have asked is asked of a node that remembers as a worker does. The rest is
multiplication, by costs (`Costs`: some measured, some not) and assumptions that are named (`Day`). What comes of it is
told in docs/explanation/scale.md.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields

from doorward.store import memory as node_memory
from doorward.store import usage
from doorward_verify import verdict, verifier

DAY = 86_400
MEGABYTE = 1_000_000
PLAYED = 40  # verifiers
ASKED = 300_000  # questions to the one node that is played


@dataclass(frozen=True)
class Day:
    """What is assumed. Keys are used as words are in a language: the n-th as often as the first, divided by n^skew."""

    keys: int = 100_000_000
    checks: int = 1_000_000_000
    verifiers: int = 10_000
    apis: int = 100
    regions: int = 3
    skew: float = 1.0
    peak: float = 2.5  # the busiest hour beside the mean
    revoked: float = 0.0002  # of all keys, a day
    tokens: float = 0.2  # of all checks are JWTs, which nobody asks about
    issued_each: int = 50  # checks of a JWT before its client wants another
    cores: int = 4  # of a node, one worker each
    busy: float = 0.6  # of a core, at the peak: the rest is for bad days


@dataclass(frozen=True)
class Costs:
    """Microseconds of a core, and bytes. Measured are those that say so, each on a small machine; the rest is assumed.

    `make bench` (1), `make bench-postgresql` (2), `bench/counting.py` (3). While (2) and (3) ran, others had most of
    the machine, which makes CPU time longer than it is.
    """

    remembered: float = 0.7  # check of a known key at a verifier (1)
    asked_warm: float = 160.0  # introspection of a key by its digest, from the node's memory (1)
    issued: float = 260.0  # a JWT, ES256, durably, on PostgreSQL, which has 36 more to do itself (2)
    key_bytes: int = 384  # of rows and indexes; measured over 100,000 keys on SQLite
    asked_cold: float = 900.0  # the same from the database
    beat: float = 40.0  # a heartbeat to one verifier, once a second
    counted: float = 180.0  # a key's use in one hour, written: PostgreSQL's part, which the server adds 57 to (3)
    hour_bytes: int = 180  # of a key's uses in one hour, with its index (3)
    entry_bytes: int = 300  # of a revocation on its way to a verifier
    beat_bytes: int = 700


@dataclass(frozen=True)
class Outcome:
    """What was played."""

    known: float  # of all checks of keys, without a question
    warm: float  # of the questions, from a node's memory
    hours: float  # different (key, hour) a day


def drawn(day: Day, chance: random.Random) -> int:
    """A key's rank among those of its api; a continuous stand-in for Zipf's law, which needs no table."""
    number, u = day.keys // day.apis, chance.random()
    if day.skew == 1.0:
        return int(math.exp(u * math.log(number + 1)))
    power = 1.0 - day.skew
    return int(((((number + 1) ** power) - 1.0) * u + 1.0) ** (1.0 / power))


class Remembered:
    """The latest so many, each for so many seconds."""

    def __init__(self, limit: int, lifetime: float) -> None:
        self._limit, self._lifetime = limit, lifetime
        self._known: dict[tuple[int, int], float] = {}

    def asks(self, key: tuple[int, int], now: float) -> bool:
        """Whether it was not known; it is from now on."""
        until = self._known.get(key)
        if until is not None and now < until:
            return False
        self._known.pop(key, None)
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[key] = now + self._lifetime
        return True


def met(day: Day, chance: random.Random) -> Iterator[tuple[float, int]]:
    """The day of one verifier: when, and the rank of whose key. Any caller may come to any verifier of his api."""
    mean = day.checks * (1 - day.tokens) / day.verifiers / DAY
    now = 0.0
    while (now := now + chance.expovariate(mean)) < DAY:
        yield now, drawn(day, chance)


def play(day: Day, seed: int) -> Outcome:
    chance = random.Random(seed)
    asked: list[int] = []
    checks = hours = 0
    for _ in range(PLAYED):
        known, seen = Remembered(verifier.MEMORY_LIMIT, verdict.HELD_FOR), set()
        for now, rank in met(day, chance):
            checks += 1
            seen.add((rank, int(now // 3600)))
            if known.asks((0, rank), now):
                asked.append(rank)
        hours += len(seen)
    return Outcome(1 - len(asked) / checks, _warm(day, asked, chance), hours / PLAYED * day.verifiers)


def _warm(day: Day, asked: list[int], chance: random.Random) -> float:
    """One worker of a node, asked by everybody: how much of it he still remembers."""
    kept, found = Remembered(node_memory.LIMIT, math.inf), 0
    for _ in range(ASKED):
        found += not kept.asks((chance.randrange(day.apis), chance.choice(asked)), 0.0)
    return found / ASKED


@dataclass(frozen=True)
class Need:
    """A line of the table: how much there is of something at the busiest hour, and what a core or a node does of it."""

    what: str
    amount: float
    unit: str
    cores: float = 0.0


def needs(day: Day, costs: Costs, outcome: Outcome) -> list[Need]:
    peak = day.checks / DAY * day.peak
    of_keys, of_tokens = peak * (1 - day.tokens), peak * day.tokens
    asked = of_keys * (1 - outcome.known)
    cold = asked * (1 - outcome.warm)
    issued = of_tokens / day.issued_each
    ended = day.keys * day.revoked / DAY * day.peak
    told = ended * day.verifiers / day.apis
    hours = outcome.hours / DAY * day.peak
    sent = day.verifiers * costs.beat_bytes + told * costs.entry_bytes
    kept = outcome.hours * usage.RETENTION / DAY * costs.hour_bytes
    return [
        Need("checks", peak, "a second"),
        Need("of them at verifiers alone", peak - asked, "a second", (peak - asked) * costs.remembered / 1e6),
        Need("questions to nodes, from memory", asked - cold, "a second", (asked - cold) * costs.asked_warm / 1e6),
        Need("questions to nodes, from the database", cold, "a second", cold * costs.asked_cold / 1e6),
        Need("JWTs issued", issued, "a second", issued * costs.issued / 1e6),
        Need("heartbeats", day.verifiers, "a second", day.verifiers * costs.beat / 1e6),
        Need("revocations told", told, "a second", told * costs.beat / 1e6),
        Need("uses written, a row each", hours, "a second", hours * costs.counted / 1e6),
        Need("sent to verifiers", sent / MEGABYTE, "MB/s"),
        Need("keys in the database", day.keys * costs.key_bytes / 1e9, "GB"),
        Need("uses by the hour, kept for 35 days", kept / 1e9, "GB"),
    ]  # fmt: skip


AT_NODES = range(2, 7)  # the lines that nodes' cores do; writing is the database's


def nodes(day: Day, lines: list[Need]) -> int:
    """As many as the busiest hour needs, and in each region one more than that."""
    cores = sum(lines[number].cores for number in AT_NODES) / day.busy
    each = math.ceil(cores / day.cores / day.regions)
    return day.regions * (each + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for one in fields(Day):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    parser.add_argument("--seed", type=int, default=7)
    given = vars(parser.parse_args())
    seed = given.pop("seed")
    day, costs = Day(**given), Costs()
    outcome = play(day, seed)
    lines = needs(day, costs, outcome)
    print(f"{PLAYED} of {day.verifiers:,} verifiers played, seed {seed}: {outcome.known:.1%} of checks of keys known")
    print(f"at verifiers, {outcome.warm:.1%} of questions at nodes; the busiest hour, {day.peak:g} times the mean:")
    for line in lines:
        cores = f"{line.cores:8.2f} cores" if line.cores else ""
        print(f"  {line.what:40}{line.amount:14,.1f} {line.unit:10}{cores}")
    print(f"nodes of {day.cores} cores, {day.busy:.0%} busy, one to spare in each of {day.regions} regions: "
          f"{nodes(day, lines)}")  # fmt: skip


if __name__ == "__main__":
    main()
