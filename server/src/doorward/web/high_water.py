"""Marks how far the database has come, each second that it moved and at the end (decision 22a).

What was committed and lost within one second, before anybody marked it, is not missed.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from doorward import high_water
from doorward.protocol.moment import Position
from doorward.settings import StartRefused
from doorward.store import deployment
from doorward.store.store import Store
from doorward.web.upkeep import regularly

log = logging.getLogger("doorward")


class HighWater:
    """Lives on the worker's loop; of several workers one is enough."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store, self._directory = store, directory
        self._made_at = store.read_now(deployment.made_at)
        self._marked: Position | None = None

    async def look_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        await regularly(self._look, "the high-water mark was not written")

    async def _look(self) -> None:
        if self._store.reached != self._marked:
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        reached = self._store.reached
        try:
            high_water.reach(self._directory, self._made_at, reached)
        except (OSError, StartRefused) as fault:
            log.error("the high-water mark was not written: %s", type(fault).__name__)
        else:
            self._marked = reached
