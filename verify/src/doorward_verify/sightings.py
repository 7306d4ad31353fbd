"""Keys that were seen in a URL or a browser: told to the server once each, on the way that usage goes.

{"usage": [], "seen": [{"id": "key_8sK2...", "where": "url", "seen_at": 1795559999}]}
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Any

LIMIT = 10_000
BATCH = 500

Batch = list[dict[str, Any]]


class Sightings:
    """Any thread notes, one sends. `tell` raises Unavailable to keep a batch."""

    def __init__(self, tell: Callable[[Batch], None]) -> None:
        self._tell = tell
        self._told: set[tuple[str, str]] = set()
        self._untold: dict[tuple[str, str], int] = {}

    @property
    def is_waiting(self) -> bool:
        return bool(self._untold)

    def note(self, key_id: str, where: str) -> None:
        """A sighting that does not fit is told when the key is seen again."""
        name = key_id, where
        if name not in self._told and len(self._untold) < LIMIT:
            self._untold.setdefault(name, int(time.time()))

    def send(self) -> None:
        """Raises Unavailable. The server keeps the first of each, so that it may be told again."""
        while batch := list(islice(list(self._untold.items()), BATCH)):
            self._tell([{"id": id_, "where": where, "seen_at": at} for (id_, where), at in batch])
            if len(self._told) >= LIMIT:
                self._told.clear()
            for name, _ in batch:
                self._told.add(name)
                del self._untold[name]
