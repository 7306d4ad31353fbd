"""Until when a request is to be answered: one instant, set when all of it is there; every wait takes what is left.

So waits do not add up (F7): for a turn, a thread, a commit, a place where something is counted or compared. What others
take is left out, since it has limits of its own: the client that sends its body, a server elsewhere. Work for which no
request waits has no deadline.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# On the clock of `time.monotonic`, which loops have too.
_until = ContextVar("until", default=math.inf)


def begin(until: float) -> None:
    """For this task and what it begins from now on; `math.inf` for what goes on by itself."""
    _until.set(until)


def left(most: float) -> float:
    """Seconds that may be waited, `most` at most and 0 at least."""
    return max(0.0, min(most, _until.get() - time.monotonic()))


@contextmanager
def not_counted() -> Iterator[None]:
    """What is waited for in here is somebody else's to limit."""
    began = time.monotonic()
    try:
        yield
    finally:
        _until.set(_until.get() + time.monotonic() - began)
