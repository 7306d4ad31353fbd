"""What is known of credentials, by the digest of their whole text (T081): bounded, the oldest forgotten first."""

from __future__ import annotations

import threading
from typing import NamedTuple

from doorward_verify.allowance import Allowance
from doorward_verify.errors import InvalidToken
from doorward_verify.revocations import FREE, Log, Position, Ties
from doorward_verify.verified import Verified


class Known(NamedTuple):
    """An answer about one credential: good with `verified`, else refused for `reason`.

    Until `fresh_until` it is given to every caller; while the feed says that nothing of its `ties` was hit, until
    `held_until`; after that it must be asked for again, and serves only when nobody answers. `confirmed_at` is when the
    server last said so, `era` what the feed was when it was learned. All times are monotonic, so that no clock can be
    turned.
    """

    verified: Verified | None
    reason: str = ""
    fresh_until: float = 0.0
    held_until: float = 0.0
    useful_until: float = 0.0
    asked_at: float = 0.0
    confirmed_at: float | None = None
    position: Position | None = None
    ties: Ties = FREE
    era: int = 0
    allowance: Allowance | None = None

    def was_hit(self, log: Log) -> bool:
        """Whether the log has something newer about what the credential hangs on."""
        if self.verified is None or self.ties is FREE:
            return False
        return log.covers(self.ties) if self.verified.credential == "jwt" else log.forgets(self.ties)

    def result(self) -> Verified:
        """Raises InvalidToken when the answer is no."""
        if self.verified is None:
            raise InvalidToken("the credential is unknown or has ended", reason=self.reason)
        return self.verified


class Memory:
    """Safe among threads: reading is one dictionary look-up, writing takes a lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: dict[bytes, Known] = {}
        self.get = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def put(self, digest: bytes, known: Known, now: float) -> None:
        """Each addition drops two that are of no more use, so that nobody has to sweep."""
        with self._lock:
            held = self._known
            held.pop(digest, None)
            held[digest] = known
            for _ in range(2):
                oldest = next(iter(held))
                if len(held) <= self._limit and held[oldest].useful_until >= now:
                    break
                del held[oldest]

    def renew_lock(self) -> None:
        """After a fork, whoever held the lock is gone."""
        self._lock = threading.Lock()
