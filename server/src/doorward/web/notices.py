"""Letters about leaks, once these were ended, and about keys that end soon: each worker looks, and one claims.

What was not taken is tried again. A failure here takes nothing back.

To whom: the owners of the account; of what has none, or of whom none can be written to, the administrators.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import time
from collections.abc import Iterable

from sqlalchemy import Connection

from doorward.protocol import notice as letters
from doorward.protocol.events import Event
from doorward.protocol.leak_events import DecoyTried, LeakReported
from doorward.protocol.notice import Letter
from doorward.store import notices
from doorward.store.notices import About, Notice
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
        store = self._runtime.store
        if not await store.consume(lambda connection: notices.claim(connection, notice, store.now())):
            return
        about = await store.read(lambda connection: notices.about(connection, notice))
        if about is None or await self._tell(notice, about):
            await store.consume(lambda connection: notices.told(connection, notice, store.now()))

    async def _tell(self, notice: Notice, about: About) -> bool:
        """Whether it was taken. The one place where a notice leaves: another way of telling it begins here too."""
        return await self._mail(notice, about)

    async def _mail(self, notice: Notice, about: About) -> bool:
        mail = self._runtime.mail
        if mail is None:
            return True
        if not about.to:
            log.error("nobody could be told of %s: no owner or administrator has an e-mail address", notice.id)
        letter = _letter(about, self._runtime.brand.name, self._runtime.policy.issuer)
        try:
            for address in about.to:
                await mail.send(address, letter.subject, letter.text)
        except (OSError, smtplib.SMTPException) as fault:
            log.error("the notice of %s was not sent: %s", notice.id, type(fault).__name__)
            return False
        return True


def _letter(about: About, deployment: str, issuer: str) -> Letter:
    if about.leak is not None:
        return letters.of_leak(about.leak, about.owner, deployment, issuer)
    if about.decoy is not None:
        return letters.of_decoy(about.decoy, about.tried_by, deployment, issuer)
    assert about.expiring is not None
    ends, used = _day(about.expiring.expires_at), _day(about.last_used_at)
    return letters.of_expiry(about.expiring, about.owner, about.days, ends or "", used, deployment, issuer)


def _day(at: int | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
