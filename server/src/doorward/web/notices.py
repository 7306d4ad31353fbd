"""Letters and webhook messages, once what they tell of was done: each worker looks for what is due, and one claims it.

What was not taken is tried again, each channel by itself. A failure here takes nothing back.

Letters go to the owners of the account; of what has none, or of whom none can be written to, the administrators.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import time
from collections.abc import Iterable

from sqlalchemy import Connection

from doorward.fetch import FetchFailed
from doorward.protocol import notice as letters
from doorward.protocol import webhook as messages
from doorward.protocol.events import Event
from doorward.protocol.leak_events import DecoyTried, LeakReported
from doorward.protocol.notice import Letter
from doorward.protocol.webhook import Message
from doorward.store import notices
from doorward.store.notices import About, Notice
from doorward.store.writer import Unavailable
from doorward.web.runtime import Runtime

LOOK = 1.0
# RFC 5321 §4.2.1: from this code on another try is of no use.
PERMANENT = 500
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
        self._channels = {notices.LETTER: self._by_letter, notices.WEBHOOK: self._by_webhook}

    async def send_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.send_due()
            except Unavailable:
                continue
            except Exception as fault:
                log.error("notices were not sent: %s", type(fault).__name__)

    async def send_due(self) -> None:
        """Each by itself: a slow receiver makes no other one wait. Raises one fault of those that there were."""
        waiting = await self._runtime.store.read(self._due)
        failed = await asyncio.gather(*map(self.send, waiting), return_exceptions=True)
        for fault in filter(None, failed):
            raise fault

    def _due(self, connection: Connection) -> tuple[Notice, ...]:
        return notices.due(connection, self._runtime.store.now())

    async def send(self, notice: Notice) -> None:
        """One delivery, if it is this worker's: told, or to be tried again."""
        store = self._runtime.store
        if not await store.consume(lambda connection: notices.claim(connection, notice, store.now())):
            return
        found = await store.read(lambda connection: notices.about(connection, notice))
        try:
            if found is not None:
                await self._channels[notice.channel](notice, found)
        except (OSError, smtplib.SMTPException, FetchFailed) as fault:
            why = fault.why if isinstance(fault, FetchFailed) else type(fault).__name__
            again = "is not tried again" if notices.is_last(notice) else "will be tried again"
            log.error("the %s about %s was not taken and %s: %s", notice.channel, notice.id, again, why)
            return
        await store.consume(lambda connection: notices.told(connection, notice, store.now()))

    async def _by_letter(self, notice: Notice, found: About) -> None:
        mail = self._runtime.mail
        if mail is None:
            return
        if not found.to:
            log.error("nobody could be told of %s: no owner or administrator has an e-mail address", notice.id)
        letter = self._letter(found)
        deferred = None
        for address in found.to:
            try:
                await mail.send(address, letter.subject, letter.text)
            except smtplib.SMTPRecipientsRefused as fault:
                # Whoever cannot be written to keeps nobody else from being told.
                if any(code < PERMANENT for code, _ in fault.recipients.values()):
                    deferred = fault
                else:
                    log.error("the letter about %s was refused for one of those who are to be told", notice.id)
        if deferred is not None:
            raise deferred

    async def _by_webhook(self, notice: Notice, found: About) -> None:
        webhook = self._runtime.webhook
        if webhook is not None:
            await webhook.send(self._message(notice, found), int(time.time()))

    def _letter(self, found: About) -> Letter:
        name, issuer = self._runtime.brand.name, self._runtime.policy.issuer
        if found.leak is not None:
            return letters.of_leak(found.leak, found.owner, name, issuer)
        if found.decoy is not None:
            return letters.of_decoy(found.decoy, found.tried_by, name, issuer)
        assert found.expiring is not None
        ends, used = _day(found.expiring.expires_at), _day(found.last_used_at)
        return letters.of_expiry(found.expiring, found.owner, found.days, ends or "", used, name, issuer)

    def _message(self, notice: Notice, found: About) -> Message:
        id_ = messages.id_of(notice.id, notice.kind, notice.at)
        if found.leak is not None:
            return messages.of_leak(id_, notice.at, found.leak, self._runtime.policy.brand)
        if found.decoy is not None:
            return messages.of_decoy(id_, notice.at, found.decoy, found.tried_by)
        assert found.expiring is not None
        return messages.of_expiry(id_, notice.at, found.expiring, found.days, found.last_used_at)


def _day(at: int | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
