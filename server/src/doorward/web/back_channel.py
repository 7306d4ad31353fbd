"""Tells clients that sessions ended, OpenID Connect Back-Channel Logout 1.0 §2.5; whoever signs out waits for nothing.

Who has to be told is a row of the database from the moment that the session ends. Each worker looks every second, and
one of them takes what is due: what it cannot finish, another one does later.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial

from doorward.fetch import Fetch, FetchFailed
from doorward.protocol import logout_token
from doorward.protocol.moment import Moment
from doorward.protocol.people import LogoutDelivery
from doorward.sign import Signer
from doorward.store import logout_deliveries
from doorward.store.store import Store
from doorward.web.upkeep import BY_SCHEDULE, regularly

log = logging.getLogger("doorward.logout")


class BackChannel:
    """Lives on the worker's loop."""

    def __init__(self, store: Store, signer: Signer, fetch: Fetch) -> None:
        self._store, self._signer, self._fetch = store, signer, fetch

    async def look_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        await regularly(self.look, "clients were not told of logouts")

    async def look(self) -> None:
        """Each of those that are due is tried at once, and by itself: a slow client makes no other one wait."""
        now = self._store.now()
        if not await self._store.read(partial(logout_deliveries.due, now=now)):
            return
        claimed = await self._store.consume(partial(logout_deliveries.claim, now=now))
        failed = await asyncio.gather(*map(self._deliver, claimed), return_exceptions=True)
        for fault in filter(None, failed):
            log.warning("a logout token was not delivered, and will be tried again: %s", type(fault).__name__)

    async def _deliver(self, delivery: LogoutDelivery) -> None:
        failure = await self._tell(delivery)
        events = logout_token.outcome(delivery, failure)
        if not events:
            return
        if failure is not None:
            log.warning("client %s was not told that a session ended: %s", delivery.client_id, failure)
        # What happened, whatever became of the client meanwhile: it rests on no facts.
        nothing = await self._store.gather(lambda read, request: None, None)  # noqa: ARG005
        await self._store.commit(events, nothing, BY_SCHEDULE, self._store.now())

    async def _tell(self, delivery: LogoutDelivery) -> str | None:
        """Why it did not take it, in one word; None when it did."""
        gathered = await self._store.gather(logout_deliveries.facts, delivery)
        moment = Moment(self._store.now(), os.urandom, gathered.position)
        made = logout_token.issue(delivery, gathered.facts, self._store.policy, moment)
        if made is None:
            return logout_token.UNREGISTERED
        text = self._signer.logout_token(made.claims, made.signing_key)
        try:
            answer = await self._fetch.post(made.uri, {"logout_token": text})
        except FetchFailed as failed:
            return failed.why
        return None if answer.status in logout_token.TAKEN else f"status_{answer.status}"
