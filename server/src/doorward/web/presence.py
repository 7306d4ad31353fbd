"""How this worker is seen by all others: its row is written anew every second, and at once when its state changes.

Nobody leads, and nobody is asked: who is not seen is lost. Of the others it sees whether its clock is theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from functools import partial

from doorward import __version__
from doorward.data_directory import DataDirectory
from doorward.node_settings import name_of
from doorward.protocol import node
from doorward.protocol.node import DRAINING, READY, STARTING, Sign
from doorward.settings import Refusal, Settings, StartRefused
from doorward.store import nodes, schema
from doorward.store.store import Store
from doorward.store.writer import Unavailable
from doorward.web.metrics import Metrics

FIRST_PAUSE = 1.0

log = logging.getLogger("doorward.node")


def sign(settings: Settings, data: DataDirectory, worker: int) -> Sign:
    name = name_of(settings.node_name, settings.port, data.path)
    authority = "" if data.ca_file is None else hashlib.sha256(data.ca_file.read_bytes()).hexdigest()
    return Sign(name, worker, os.urandom(8).hex(), __version__, schema.HEAD, authority)


def join(store: Store, mine: Sign) -> None:
    """At a start, before any worker runs. Raises StartRefused."""
    strangers = store.consume_now(partial(nodes.join, sign=mine))
    if strangers:
        raise StartRefused(_not_beside(strangers))


def _not_beside(names: tuple[str, ...]) -> Refusal:
    return Refusal(
        f"{', '.join(names)} serves the same database, and a local CA is for one node: clients trust no other's",
        (
            "give every node a certificate of an authority that clients trust: --tls-cert FILE --tls-key FILE",
            "let a load balancer do TLS, and each node listen to a proxy beside it (--no-tls, --behind-proxy)",
            f"stop the other one; when it did not end by itself, wait {node.LOST_AFTER} seconds",
        ),
    )


class Presence:
    """Lives on the worker's loop."""

    def __init__(self, store: Store, metrics: Metrics, mine: Sign) -> None:
        self.state = STARTING
        self.is_astray = False
        self._store, self._metrics, self._sign = store, metrics, mine
        self._changed = asyncio.Event()
        self._pause = FIRST_PAUSE
        self._is_known = False
        self._under_way: asyncio.Future[nodes.Seen | None] | None = None
        self._noted: set[str] = set()

    def become(self, state: str) -> None:
        """Nobody comes back from draining."""
        if self.state != DRAINING:
            self.state = state
            self._changed.set()

    async def beat_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        while True:
            try:
                await self.beat()
            except Unavailable:
                pass
            except Exception as fault:
                log.error("this node was not shown to the others: %s", type(fault).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._pause)
            self._changed.clear()

    async def beat(self) -> None:
        verifiers = self._metrics.subscribers
        position, anew = self._store.memory.position, not self._is_known
        self._under_way = asyncio.ensure_future(
            self._store.write_aside(
                lambda connection: nodes.beat(connection, self._sign, self.state, position, verifiers, anew=anew)
            )
        )
        seen = await asyncio.shield(self._under_way)
        self._is_known = True
        self._note(
            "name", seen is None and self.state == READY, "another process is called %s: set node_name", self._sign.name
        )
        if seen is not None:
            self._heed(seen)

    def _heed(self, seen: nodes.Seen) -> None:
        skew, self._pause = seen.mine.clock_skew, seen.pause
        self.is_astray = node.is_astray(skew, seen.others)
        self._note("skew", abs(skew) > node.SKEW_NOTICED, "the clock is %.1f s ahead of the database's", skew / 1000)
        self._note("astray", self.is_astray, "the clock is not that of the other nodes: this one is not ready")
        self._metrics.gauges.update(
            doorward_ready_workers=self.state == READY and not self.is_astray,
            doorward_journal_lag_events=seen.mine.lag_events,
            doorward_journal_lag_seconds=seen.mine.lag_seconds,
            doorward_clock_skew_seconds=skew / 1000,
        )

    def _note(self, what: str, holds: bool, text: str, *values: object) -> None:
        """Once, when it begins."""
        if holds and what not in self._noted:
            log.error(text, *values)
        self._noted = self._noted | {what} if holds else self._noted - {what}

    async def leave(self) -> None:
        """Who ends as he was told is not lost. What he said last must not come after it."""
        if self._under_way is not None:
            await asyncio.gather(self._under_way, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await self._store.write_aside(partial(nodes.leave, sign=self._sign))
