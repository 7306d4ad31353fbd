"""Api keys on a schedule: what is over by the policy of its api ends, and owners are told of ends that are near.

Each worker looks once a minute. Of several at once one commits; the others find nothing left to do.
"""

from __future__ import annotations

import os

from doorward.protocol import key_life
from doorward.protocol.moment import Moment
from doorward.store import key_life as rows
from doorward.store.memory import Reader
from doorward.store.store import Store
from doorward.web.upkeep import BY_SCHEDULE, Patience, regularly

LOOK = 60.0


class KeyUpkeep:
    """Lives on the worker's loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._patience = Patience(store.now)

    async def look_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        await regularly(self.look, "api keys were not looked after", LOOK)

    async def look(self) -> None:
        """Raises Stale when another worker was quicker."""
        while await self._expire():
            pass
        for days in key_life.STEPS:
            while await self._announce(days):
                pass

    async def _expire(self) -> bool:
        now = self._patience.now()

        def facts(read: Reader, _: None) -> tuple[key_life.Aged, ...]:
            return rows.overdue(read, now)

        gathered = await self._store.gather(facts, None)
        events = key_life.expire(gathered.facts, Moment(now, os.urandom, gathered.position)).events
        if events:
            await self._store.commit(events, gathered, BY_SCHEDULE, now)
        return len(events) == rows.EXPIRED_LIMIT

    async def _announce(self, days: int) -> bool:
        now = self._patience.now()
        return await self._store.consume(lambda connection: rows.announce(connection, days, now))
