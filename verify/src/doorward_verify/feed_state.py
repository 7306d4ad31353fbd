"""What a verifier may believe of its feed: a function of what it heard and of monotonic time (decision 14a).

connecting --snapshot, heartbeat--> synced --no heartbeat for max_staleness--> stale --heartbeat--> synced
                   ^-------------------- a gap, or another epoch ------------------'
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from doorward_verify.revocations import ORIGIN, Entry, Position

Phase = Literal["connecting", "synced", "stale"]
Verdict = Literal["good", "old", "gap"]

# What the clock of a server may be slower than ours; it is never stepped back while it is slewed.
DRIFT = 0.001


@dataclass(frozen=True, slots=True)
class Snapshot:
    position: Position


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Up to `position` all was told, and the last of it was `last`. `issued_at` is by the server's clock."""

    position: Position
    last: Position
    issued_at: int


@dataclass(frozen=True, slots=True)
class Polled:
    """The end of an answer to a poll, whose entries were heard: true at `true_at`, a monotonic time."""

    position: Position
    true_at: float


Message = Snapshot | Entry | Heartbeat | Polled


@dataclass(frozen=True, slots=True)
class State:
    """`last` is the position of the entry heard last, or where this connection began; up to `head` nothing is missing.

    `vouched_at` is the monotonic time at which that was true. `first` and `newest` date the heartbeats of a connection:
    the arrival and the time of issue of the first, the time of issue of the newest.
    """

    last: Position | None = None
    head: Position = ORIGIN
    vouched_at: float = -math.inf
    first: tuple[float, int] | None = None
    newest: int = 0

    @property
    def resume(self) -> Position:
        """Whoever goes on from here misses nothing. Without a snapshot there is no such place."""
        assert self.last is not None
        return max(self.last, self.head)

    def phase(self, now: float, max_staleness: float) -> Phase:
        if self.vouched_at == -math.inf:
            return "connecting"
        return "synced" if now - self.vouched_at < max_staleness else "stale"


def joined(state: State) -> State:
    """At the beginning of a connection: the first entry will name the place from which it goes on."""
    return replace(state, last=state.resume, first=None, newest=0)


def hear(state: State, message: Message, now: float) -> tuple[State, Verdict]:
    """After a gap everything begins anew; what is old changes nothing."""
    for applies, verdict in RULES[type(message)]:
        if applies(state, message):
            return (State(), verdict) if verdict == "gap" else (state, verdict)
    return _believe(state, message, now), "good"


Rule = tuple[Callable[[State, Any], bool], Verdict]


def _nothing_before(state: State, _: Message) -> bool:
    return state.last is None


def _of_another_epoch(state: State, message: Any) -> bool:
    return state.last is None or message.position[0] != state.last[0]


def _behind_the_head(state: State, message: Any) -> bool:
    return bool(message.position < state.head)


# The first rule that applies decides; where none does, the message is good.
# fmt: off
RULES: dict[type, tuple[Rule, ...]] = {
    Snapshot: (),
    Entry: (
        (_nothing_before,                                       "gap"),
        (_of_another_epoch,                                     "gap"),
        (lambda state, entry: entry.previous != state.last,     "gap"),
        (lambda state, entry: entry.position <= state.last,     "gap"),
    ),
    Heartbeat: (
        (_nothing_before,                                       "gap"),
        (_behind_the_head,                                      "old"),
        (lambda state, beat: beat.issued_at < state.newest,     "old"),
        (_of_another_epoch,                                     "gap"),
        (lambda state, beat: beat.last != state.last,           "gap"),
        (lambda state, beat: beat.position < state.last,        "gap"),
    ),
    Polled: (
        (_nothing_before,                                       "gap"),
        (_behind_the_head,                                      "old"),
        (_of_another_epoch,                                     "gap"),
        (lambda state, polled: polled.position < state.last,    "gap"),
    ),
}
# fmt: on


def _believe(state: State, message: Message, now: float) -> State:
    match message:
        case Snapshot():
            return State(last=message.position, head=message.position)
        case Entry():
            return replace(state, last=message.position)
        case Heartbeat():
            first = state.first or (now, message.issued_at)
            vouched_at = max(state.vouched_at, min(now, _issued_by(first, message.issued_at, now)))
            return replace(state, head=message.position, vouched_at=vouched_at, first=first, newest=message.issued_at)
        case Polled():
            return replace(state, head=message.position, vouched_at=max(state.vouched_at, message.true_at))


def _issued_by(first: tuple[float, int], issued_at: int, now: float) -> float:
    """The latest monotonic time at which a heartbeat can have been issued, whatever held it back on its way here.

    The first was issued before it arrived; from then on the server's clock, which tells whole seconds, counts.
    """
    arrived_at, first_issued_at = first
    return arrived_at + (issued_at - first_issued_at) + 1 + DRIFT * (now - arrived_at)
