"""The keys that GitHub signs its reports with, as it publishes them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from doorward.fetch import Fetch, FetchFailed
from doorward.protocol.leak_partners import PublicKeys, public_keys
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.settings import Settings

log = logging.getLogger("doorward.leaks")
LIFETIME = 30 * 60
# Whoever makes up identifiers makes nobody read the list more often than this.
READ_INTERVAL = 10


@dataclass(slots=True)
class PublishedKeys:
    """GitHub's keys, read again after half an hour, and when a report names one that is not among them."""

    url: str
    fetch: Fetch = field(repr=False)
    clock: Callable[[], float] = monotonic
    _known: PublicKeys = field(default_factory=dict)
    _read_at: float | None = None
    _tried_at: float | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def named(self, key_id: str) -> EllipticCurvePublicKey | None:
        """Raises TemporarilyUnavailable while no list could be read: a report is refused for want of a key alone."""
        # Who comes while the list is read waits for it, if his key is not on the one before.
        if self._may_read(key_id) or (self._reading.locked() and key_id not in self._known):
            async with self._reading:
                if self._may_read(key_id):
                    self._tried_at = self.clock()
                    await self._read()
        if self._read_at is None:
            raise TemporarilyUnavailable("the reporter's keys cannot be read now")
        return self._known.get(key_id)

    def _may_read(self, key_id: str) -> bool:
        now = self.clock()
        is_old = self._read_at is None or now - self._read_at >= LIFETIME
        is_due = self._tried_at is None or now - self._tried_at >= READ_INTERVAL
        return (is_old or key_id not in self._known) and is_due

    async def _read(self) -> None:
        """What was known stays where nothing can be read: a report that comes then is as urgent as any."""
        try:
            answer = await self.fetch.get(self.url)
            if answer.status != 200:
                raise FetchFailed("refused")
            self._known = public_keys(json.loads(answer.body))
            self._read_at = self.clock()
        except (FetchFailed, ValueError) as problem:
            log.error("the keys for reports of leaks could not be read: %s", type(problem).__name__)


def configured(settings: Settings) -> PublishedKeys | None:
    if settings.github_keys is None:
        return None
    return PublishedKeys(settings.github_keys, Fetch(ca_file=settings.github_ca_file, on_loopback=True))
