"""One verifier's view of the revocation feed: whether there is one, and whether it may be believed now."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from doorward_verify import feeds
from doorward_verify.errors import Unavailable
from doorward_verify.feed import Feed, Line, NoFeed
from doorward_verify.feed_message import FeedEndpoints
from doorward_verify.feed_source import FeedSource
from doorward_verify.single_flight import Pause
from doorward_verify.source import Source, basic
from doorward_verify.usage import Usage

FeedState = Literal["connecting", "synced", "stale", "none"]

# The first check waits for the feed rather than asking around it.
FIRST_WAIT = 2.0
START_PAUSE = 1.0
# An issuer without a feed may be a Doorward that will be brought up to date.
LOOK_AGAIN = 3600.0


class FeedView:
    """Without credentials there is no feed."""

    def __init__(
        self, source: Source, audience: str, credentials: tuple[str, str] | None, ca_file: str | None,
        max_staleness: float, monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self.feed: Feed | NoFeed = NoFeed()
        self.max_staleness = max_staleness
        self._source, self._audience, self._ca_file = source, audience, ca_file
        self._authorization = basic(*credentials) if credentials else ""
        self._monotonic = monotonic
        self._is_closed = credentials is None
        self._absent_until = -math.inf
        self._starting = Pause(START_PAUSE, monotonic)

    @property
    def _is_wanted(self) -> bool:
        return not self._is_closed and self._monotonic() >= self._absent_until

    @property
    def state(self) -> FeedState:
        return self.feed.state.phase(self._monotonic(), self.max_staleness) if self._is_wanted else "none"

    @property
    def age(self) -> float:
        """Seconds since the feed was last known to be complete; infinite before."""
        return self._monotonic() - self.feed.line.vouched_at

    @property
    def is_followed(self) -> bool:
        return isinstance(self.feed, Feed)

    @property
    def is_pending(self) -> bool:
        """Whether it is worth waiting: nobody has tried yet, or not even asked whether there is one."""
        return not self.feed.was_tried and self._is_wanted

    def line(self) -> Line:
        return self.feed.line

    def is_fresh(self, line: Line) -> bool:
        return self._monotonic() - line.vouched_at < self.max_staleness

    def follow(self) -> None:
        """Starts the feed where there is one, and waits for its first word."""
        if self._is_wanted and isinstance(self.feed, NoFeed):
            with suppress(Unavailable):
                self._find()
        if isinstance(self.feed, Feed) and not self._is_closed:
            self.feed.follow(self)
            self.feed.wait(FIRST_WAIT)

    def start(self) -> None:
        """The same without waiting."""
        if self.is_pending and self._starting.passes():
            with suppress(RuntimeError):  # no thread can be started: it will be tried again
                threading.Thread(target=self.follow, name="doorward-start", daemon=True).start()

    def close(self) -> None:
        self._is_closed = True
        feed, self.feed = self.feed, NoFeed()
        if isinstance(feed, Feed):
            feed.leave(self)

    def after_fork(self) -> None:
        self._starting = Pause(START_PAUSE, self._monotonic)

    def _find(self) -> None:
        endpoints = self._source.feed()
        if endpoints is None:
            self._absent_until = self._monotonic() + LOOK_AGAIN
            return
        digest = hashlib.sha256(self._authorization.encode()).digest()
        name = (self._source.issuer, self._audience, endpoints, digest, self._ca_file, self._monotonic)
        self.feed = feeds.shared(name, lambda: self._made(endpoints))

    def _made(self, endpoints: FeedEndpoints) -> Feed:
        source = FeedSource(
            self._source.issuer, self._audience, endpoints, self._authorization, self._ca_file, self._monotonic
        )
        usage = Usage(source.tell, self._monotonic) if endpoints.usage else None
        return Feed(source, self._monotonic, usage)
