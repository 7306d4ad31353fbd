"""Wall time that does not go back when the machine's clock does: what has expired stays so (T212)."""

from __future__ import annotations

import math
from collections.abc import Callable


class SteadyClock:
    """Seconds since 1970. `server_offset` is what has to be added to monotonic time to have the server's.

    Where the clock falls behind what it has been and behind the server's too, the lesser of these counts: neither a
    clock that was wrong for a while nor a server's wrong one makes anything expire early.
    """

    def __init__(
        self, clock: Callable[[], float], monotonic: Callable[[], float], server_offset: Callable[[], float]
    ) -> None:
        self._clock, self._monotonic, self._server_offset = clock, monotonic, server_offset
        self._own_offset = -math.inf

    def __call__(self) -> float:
        wall, at = self._clock(), self._monotonic()
        offset = wall - at
        if offset >= self._own_offset:
            self._own_offset = offset
            return wall
        return max(wall, at + min(self._own_offset, self._server_offset()))
