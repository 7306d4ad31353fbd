"""Letters about leaks, once these were ended: each worker looks for what is due, and one claims it.

What was not taken is tried again. A failure here takes nothing back.

To whom: the owners of the account; of what has none, or of whom none can be written to, the administrators.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from doorward.protocol import notice as letters
from doorward.protocol.events import Event
from doorward.protocol.leak_events import DecoyTried, LeakReported
from doorward.protocol.notice import Letter
from doorward.store import notices
from doorward.store.notices import Notice
from doorward.store.writer import Unavailable
from doorward.web.runtime import Runtime

LOOK = 1.0
log = logging.getLogger("doorward.leaks")


def alarm(events: Iterable[Event]) -> None:
    """In the log at once, whoever is written to or not."""
    for event in events:
        if isinstance(event, LeakReported):
            leak = event.leak
            log.warning("%s %s of %s leaked: %s", leak.credential, leak.credential_id, leak.owner_id, leak.outcome)
        elif isinstance(event, DecoyTried):
            log.warning("the decoy %s was tried", event.api_key.id)


@dataclass(frozen=True, slots=True)
class Addressed:
    letter: Letter
    to: tuple[str, ...]


class Notices:
    """Lives on the worker's loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def send_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                for notice in await self._runtime.store.read(self._due):
                    await self._send(notice)
            except Unavailable:
                continue
            except Exception as fault:
                log.error("notices were not sent: %s", type(fault).__name__)

    def _due(self, connection: Connection) -> tuple[Notice, ...]:
        return notices.due(connection, self._runtime.store.now())

    async def _send(self, notice: Notice) -> None:
        store, mail = self._runtime.store, self._runtime.mail
        if not await store.consume(lambda connection: notices.claim(connection, notice, store.now())):
            return
        addressed = await store.read(lambda connection: self._addressed(connection, notice))
        if mail is not None and addressed is not None:
            if not addressed.to:
                log.error("nobody could be told of %s: no owner or administrator has an e-mail address", notice.id)
            try:
                for address in addressed.to:
                    await mail.send(address, addressed.letter.subject, addressed.letter.text)
            except (OSError, smtplib.SMTPException) as fault:
                log.error("the notice of %s was not sent: %s", notice.id, type(fault).__name__)
                return
        await store.consume(lambda connection: notices.told(connection, notice, store.now()))

    def _addressed(self, connection: Connection, notice: Notice) -> Addressed | None:
        found = notices.about(connection, notice)
        if found is None:
            return None
        name, issuer = self._runtime.brand.name, self._runtime.policy.issuer
        if found.leak is not None:
            return Addressed(letters.of_leak(found.leak, found.owner, name, issuer), found.to)
        assert found.decoy is not None
        return Addressed(letters.of_decoy(found.decoy, found.tried_by, name, issuer), found.to)
