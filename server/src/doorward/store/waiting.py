"""Those who wait for the database, until when each does, and who tells him that it is enough."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from doorward import deadline
from doorward.store.writer import Unavailable

WATCH_INTERVAL = 0.1


class Waiting:
    """One look in a tenth of a second costs less than a timer for each."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Future[Any], float] = {}
        self._is_watched = False

    def __len__(self) -> int:
        return len(self._until)

    def begin(self, patience: float) -> asyncio.Future[Any]:
        """What is waited for: it raises Unavailable after `patience` seconds, or when its request has none left."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(WATCH_INTERVAL, self._watch)
        self._until[future] = time.monotonic() + deadline.left(patience)
        return future

    def end(self, future: asyncio.Future[Any], problem: Exception | None, answer: Any = None) -> None:
        """Who waits no more, or was told already, is left alone."""
        self._until.pop(future, None)
        if future.done():
            return
        if problem is None:
            future.set_result(answer)
        else:
            future.set_exception(problem)

    def _watch(self) -> None:
        now = time.monotonic()
        for future in [future for future, until in self._until.items() if until <= now]:
            self.end(future, Unavailable("the database does not answer"))
        self._is_watched = bool(self._until)
        if self._is_watched:
            asyncio.get_running_loop().call_later(WATCH_INTERVAL, self._watch)
