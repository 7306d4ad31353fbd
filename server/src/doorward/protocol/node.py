"""Nodes: every `doorward serve` over one database, as all of them see each other; a row for each of their workers.

GET /v1/nodes   {"items": [{"id": "web1-8443-3fa9.1", "state": "ready", "lag_events": 0, "clock_skew": 0.002, ...}]}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from doorward.protocol.moment import Position

STARTING, READY, DRAINING, LOST = "starting", "ready", "draining", "lost"
# Seconds of the database's clock. Who was not seen for so long is lost, and then forgotten.
LOST_AFTER = 10
GONE_AFTER = 3600
# Milliseconds. So far a clock may be from the database's unnoticed; so far from everybody's it does harm.
SKEW_NOTICED = 2_000
SKEW_LIMIT = 60_000


@dataclass(frozen=True, slots=True)
class Sign:
    """What a worker is as long as it runs; `authority` tells which local CA signed its certificate, if one did.

    Another process that has its name has another `instance`.
    """

    name: str
    worker: int
    instance: str
    version: str
    schema_revision: str
    authority: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}.{self.worker}"


@dataclass(frozen=True, slots=True)
class Node:
    """A worker as it was last seen: `seen_at` by the database's clock, `clock_skew` in milliseconds ahead of that."""

    id: str
    name: str
    worker: int
    instance: str
    version: str
    schema_revision: str
    authority: str
    state: str
    created_at: int
    seen_at: int
    epoch: int
    seq: int
    lag_events: int
    lag_seconds: int
    verifiers: int
    clock_skew: int


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """`now` is the database's."""

    node: Node
    now: int


@dataclass(frozen=True, slots=True)
class NodeObject:
    """One worker of a node. `position` is how far it heard the journal when it was seen, and `lag_events` and
    `lag_seconds` what it had not heard then; `clock_skew` is in seconds ahead of the database's clock.
    """

    id: str
    name: str
    worker: int
    state: str
    version: str
    schema_revision: str
    started_at: int
    seen_at: int
    position: str
    lag_events: int
    lag_seconds: int
    connected_verifiers: int
    clock_skew: float


def show(facts: NodeFacts) -> NodeObject:
    node = facts.node
    state = LOST if is_lost(node, facts.now) else node.state
    return NodeObject(
        node.id, node.name, node.worker, state, node.version, node.schema_revision, node.created_at, node.seen_at,
        str(Position(node.epoch, node.seq)), node.lag_events, node.lag_seconds, node.verifiers, node.clock_skew / 1000,
    )  # fmt: skip


def is_lost(node: Node, now: int) -> bool:
    return now - node.seen_at > LOST_AFTER


def may_bear(sign: Sign, known: Node | None, now: int, *, anew: bool) -> bool:
    """Whether the name is this process's: of two the younger has it, since a worker that died is started again."""
    return anew or known is None or known.instance == sign.instance or is_lost(known, now)


def strangers(sign: Sign, others: Iterable[Node]) -> tuple[str, ...]:
    """Nodes whose certificate comes from elsewhere, when one of both comes from a local CA (decision 22)."""
    return tuple(sorted({one.name for one in others if one.authority != sign.authority}))


def is_astray(skew: int, others: Sequence[Node]) -> bool:
    """Whether this clock is far from what most say, the database among them.

    Two cannot tell which of them is wrong: a node that is alone with its database is never astray.
    """
    known = {one.name: one.clock_skew for one in others}
    clocks = sorted([0, skew, *known.values()])
    middle = (clocks[(len(clocks) - 1) // 2] + clocks[len(clocks) // 2]) / 2
    return bool(known) and abs(skew - middle) > SKEW_LIMIT
