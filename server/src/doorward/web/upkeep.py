"""Work on a schedule: signing keys take their turns, and nobody leads (T210).

Each worker looks every second, in memory, and commits what is due. Of several at once one commits; the facts of the
others are stale, and at their next look there is nothing left to do.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable

from doorward.protocol import signing_key
from doorward.protocol.entities import SigningKey
from doorward.protocol.moment import Moment
from doorward.sign import Signer
from doorward.store import signing_keys
from doorward.store.journal import Context
from doorward.store.rows import Stale
from doorward.store.store import Store
from doorward.store.writer import Unavailable

LOOK = 1.0
BY_SCHEDULE = Context("server")

log = logging.getLogger("doorward.upkeep")


def elapsed() -> float:
    """Seconds that nobody can turn; where there is such a clock, those of a machine that slept count too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Patience:
    """The time as the schedule has it: a clock that jumps, to either side, makes nothing happen early (T212)."""

    def __init__(self, now: Callable[[], int], elapsed: Callable[[], float] = elapsed) -> None:
        self._now, self._elapsed = now, elapsed
        self._began_at, self._began = now(), elapsed()

    def now(self) -> int:
        return min(self._now(), self._began_at + int(self._elapsed() - self._began))


def fresh(signer: Signer, keys: Iterable[SigningKey], moment: Moment) -> tuple[SigningKey, ...]:
    """New keys for whatever is missing; to be called from a thread, since one of RS256 takes a moment."""
    return tuple(
        signer.generate(moment.id("signing"), use.algorithm, moment.now, use.purpose, state)
        for use, state in signing_key.missing(keys)
    )


async def regularly(look: Callable[[], Awaitable[None]], failed: str, pause: float = LOOK) -> None:
    """Looks each second; who was slower than another worker, or finds no database, looks again. Never returns."""
    while True:
        await asyncio.sleep(pause)
        try:
            await look()
        except (Stale, Unavailable):
            continue
        except Exception as fault:
            log.error("%s: %s", failed, type(fault).__name__)


class Upkeep:
    """Lives on the worker's loop."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store, self._signer = store, signer
        self._patience = Patience(store.now)

    async def look_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        await regularly(self.look, "signing keys were not looked after")

    async def look(self) -> None:
        """Raises Stale when another worker was quicker."""
        gathered = await self._store.gather(signing_keys.standing, None)
        keys = gathered.facts
        self._signer.forget(but={key.id for key in keys if key.state == "active"})
        moment = Moment(self._patience.now(), os.urandom, gathered.position)
        made = await asyncio.to_thread(fresh, self._signer, keys, moment) if signing_key.missing(keys) else ()
        events = signing_key.upkeep(made, keys, self._store.policy, moment).events
        if events:
            await self._store.commit(events, gathered, BY_SCHEDULE, moment.now)
