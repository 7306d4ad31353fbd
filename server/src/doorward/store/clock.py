"""The time of decisions: the wall clock, except that it is not turned back (T212).

What had expired does not come back to life, and no token is older than one that was issued before it, but for the
leeway that every clock is allowed. Whoever corrects a clock by more than a day means it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from doorward.protocol.policy import DAY
from doorward.protocol.revocation_log import LEEWAY

log = logging.getLogger("doorward.clock")


class Clock:
    """`newest` is the time of what was committed last, by whomever. One for a process, asked by any thread."""

    def __init__(self, newest: int, wall: Callable[[], float] = time.time) -> None:
        self._newest = newest
        self._wall = wall
        self._alarmed = False

    def now(self) -> int:
        wall = int(self._wall())
        back = self._newest - wall
        if back <= LEEWAY:
            self._newest, self._alarmed = max(wall, self._newest), False
            return wall
        if not self._alarmed:
            self._alarmed = True
            log.error("the clock was turned back by %d seconds, or was wrong before: look after it", back)
        if back > DAY:
            self._newest = wall
            return wall
        return self._newest - LEEWAY
