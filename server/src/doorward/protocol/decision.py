"""What a pure function answers: a reply and the events that must be committed before the reply may leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from doorward.protocol.events import Event
from doorward.protocol.use import Used

Reply = TypeVar("Reply", covariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Generic[Reply]):
    """A reply with its events; without events nothing is written. `uses` are counted when it is answered."""

    reply: Reply
    events: tuple[Event, ...] = ()
    uses: tuple[Used, ...] = ()
