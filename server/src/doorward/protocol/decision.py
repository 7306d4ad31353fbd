"""What a pure function answers: a reply and the events that must be committed before the reply may leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from doorward.protocol.events import Event

Reply = TypeVar("Reply", covariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Generic[Reply]):
    """A reply with its events; without events nothing is written."""

    reply: Reply
    events: tuple[Event, ...] = ()
