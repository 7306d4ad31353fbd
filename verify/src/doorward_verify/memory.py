"""What is known of credentials, by the digest of their whole text (T081): bounded, the oldest forgotten first."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from doorward_verify.errors import InvalidToken
from doorward_verify.verified import Verified

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Known:
    """An answer about one credential: good with `verified`, else refused for `reason`.

    Until `fresh_until` it is given to every caller; after that it must be asked for again, and serves only when nobody
    answers. `confirmed_at` is when the server last said so. All times are monotonic, so that no clock can be turned.
    """

    verified: Verified | None
    reason: str = ""
    fresh_until: float = 0.0
    useful_until: float = 0.0
    asked_at: float = 0.0
    confirmed_at: float | None = None
    position: Position | None = None

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
            self._known.pop(digest, None)
            self._known[digest] = known
            for _ in range(2):
                oldest = next(iter(self._known))
                if len(self._known) > self._limit or self._known[oldest].useful_until < now:
                    del self._known[oldest]

    def renew_lock(self) -> None:
        """After a fork, whoever held the lock is gone."""
        self._lock = threading.Lock()
