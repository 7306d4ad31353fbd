"""Time that a test can turn: it goes on by itself, and only ever forward."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Both clocks of a verifier and its issuer. `turned` is called after each step."""

    def __init__(self, turned: Callable[[], None] = lambda: None) -> None:
        self._ahead = 0.0
        self.turned = turned

    def time(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time goes forward")
        self._ahead += seconds
        self.turned()
