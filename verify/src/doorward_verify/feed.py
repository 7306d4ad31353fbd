"""The revocation feed at work: one thread for each process, issuer and verifier, however many Verifiers look at it.

It takes a snapshot, follows the stream from there, and begins anew after a gap. Where the stream does not come
through, it polls.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import closing, suppress

from doorward_verify import feed_message, feed_state
from doorward_verify.errors import DoorwardError, InvalidToken, Unavailable
from doorward_verify.event_stream import Event
from doorward_verify.feed_source import SILENCE, Answered, FeedSource, Gone, Silent
from doorward_verify.feed_state import Heartbeat, Message, Polled, Snapshot, State
from doorward_verify.revocations import Entry, Log
from doorward_verify.usage import NoUsage

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 0.8
POLL_WAIT = 1
POLLING_LASTS = 300.0
# So many streams in a row that were cut at once, and polling is tried.
POOR_STREAMS = 3
PROVEN = 3  # events
# Whoever closes the last verifier waits so long for the last counts to be told.
FAREWELL = 1.0

log = logging.getLogger("doorward_verify")
_eras = itertools.count(1)


class Line:
    """What was told since the last snapshot, and until when that is known to be all."""

    __slots__ = ("era", "log", "vouched_at")

    def __init__(self, told: Log, era: int) -> None:
        self.log, self.era = told, era
        self.vouched_at = -math.inf


class NoFeed:
    """Of an issuer that has none, or before anybody knows."""

    line = Line(Log(0), 0)
    state = State()
    was_tried = False
    server_offset = -math.inf
    usage = NoUsage()


class Feed:
    """`line` is for everybody to look at; all else belongs to the thread."""

    def __init__(
        self, source: FeedSource, monotonic: Callable[[], float] = time.monotonic, usage: NoUsage | None = None
    ) -> None:  # fmt: skip
        self.line = Line(Log(0), 0)
        self.usage = usage or NoUsage()
        self._source = source
        self._monotonic = monotonic
        self._followers: weakref.WeakSet[object] = weakref.WeakSet()
        self._start()

    def _start(self) -> None:
        self._state = State()
        self._failures = self._poor_streams = 0
        self._polls_until = -math.inf
        self._problem = ""
        self._server_time: tuple[float, int] | None = None
        self.server_offset = -math.inf  # what added to monotonic time is the server's
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._tried = threading.Event()
        self.was_tried = False

    def after_fork(self) -> None:
        """The thread and its connection are the parent's; what it was about to write may be half written."""
        self._source.after_fork()
        self.line = Line(self.line.log, self.line.era)
        self.usage.after_fork()
        self._start()

    @property
    def state(self) -> State:
        return self._state

    def follow(self, follower: object) -> None:
        """Starts the thread where it does not run yet; it ends when nobody follows any more."""
        with self._lock:
            self._followers.add(follower)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="doorward-feed", daemon=True)
                with suppress(RuntimeError):  # no thread can be started: it will be tried again
                    thread.start()
                    self._thread = thread

    def wait(self, seconds: float) -> None:
        """Until it is synced for the first time, or has failed to be."""
        self._tried.wait(seconds)

    def leave(self, follower: object) -> None:
        self._followers.discard(follower)
        if not self._followers:
            thread = self._thread
            self._woken.set()
            self._source.abort()
            if thread is not None and self.usage.is_waiting:
                thread.join(FAREWELL)

    def _run(self) -> None:
        while self._is_followed():
            try:
                self._go_on()
            except Exception as problem:  # whatever it is, the feed must not end
                self._failed(problem)
            self._has_tried()
            self._woken.wait(self._pause())
            self._woken.clear()
        self.usage.send()

    def _has_tried(self) -> None:
        self.was_tried = True
        self._tried.set()

    def _is_followed(self) -> bool:
        with self._lock:
            if self._followers:
                return True
            self._thread = None
            self.line.vouched_at = -math.inf
            self._source.close()
            return False

    def _pause(self) -> float:
        """Nobody waits after what was in order; else longer each time, and each for another time."""
        failures, self._failures = self._failures, self._failures + 1
        if failures == 0:
            return 0.0
        longest = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0**failures)
        return random.uniform(longest / 2, longest)  # noqa: S311  no secret

    def _failed(self, problem: Exception) -> None:
        if not self._followers:
            return
        if isinstance(problem, Gone):
            self._begin_anew()
        said = problem.description if isinstance(problem, DoorwardError) else f"{type(problem).__name__} {problem}"
        if said != self._problem:
            log.warning("revocation feed: %s (%s)", said, problem.__cause__)
        self._problem = said

    def _begin_anew(self) -> None:
        """Nothing is vouched for until a snapshot was taken; what is known to be dead stays so."""
        self._state = State()
        self.line.vouched_at = -math.inf

    def _go_on(self) -> None:
        if self._state.last is None:
            self._take(self._source.snapshot())
        if self._monotonic() < self._polls_until:
            self._poll()
        else:
            self._listen()

    def _take(self, answered: Answered) -> None:
        position, entries = answered.told
        told = Log(position[0], entries, self.line.log.withdrawn)
        told.keep(self.line.log)
        self._hear(Snapshot(position))
        self.line = Line(told, next(_eras))

    def _listen(self) -> None:
        """Until the stream ends, or must not be believed any more."""
        self._state = feed_state.joined(self._state)
        began_at = self._monotonic()
        self._source.join(self._state.resume)
        self._poor_streams += 1  # until it has shown that it comes through
        try:
            with closing(self._source.events()) as events:
                for number, event in enumerate(events):
                    if number == PROVEN:
                        self._poor_streams = 0
                    if not self._heed(event) or not self._followers or self._is_late(began_at):
                        return
        except Silent:
            self._poor_streams = POOR_STREAMS
            raise
        finally:
            if self._poor_streams >= POOR_STREAMS:
                self._poor_streams = 0
                self._polls_until = self._monotonic() + POLLING_LASTS

    def _is_late(self, began_at: float) -> bool:
        """Something comes, but nothing that vouches: another connection may do better."""
        return self._monotonic() - max(self._state.vouched_at, began_at) > SILENCE

    def _poll(self) -> None:
        """Until it is time to try the stream again."""
        try:
            while self._followers and self._monotonic() < self._polls_until:
                if not self._poll_once():
                    return
        except Unavailable:
            self._polls_until = -math.inf
            raise

    def _poll_once(self) -> bool:
        self._state = feed_state.joined(self._state)
        asked_at = self._monotonic()
        (position, entries), now = self._source.since(self._state.resume, POLL_WAIT)
        took = self._monotonic() - asked_at
        if not all(map(self._hear, entries)):
            return False
        if now is not None:
            self._expire(now)
        if not entries and took < POLL_WAIT:
            self._woken.wait(POLL_WAIT - took)  # from a server that is about to stop
        # An answer with nothing in it was given after the whole wait.
        return self._hear(Polled(position, asked_at if entries else asked_at + min(took, POLL_WAIT)))

    def _heed(self, event: Event) -> bool:
        """Whether to go on."""
        if event.name == "entry":
            return self._hear(self._entry(event.data))
        if event.name == "heartbeat":
            try:
                return self._hear(self._source.heartbeat(event.data, self.line.log.withdrawn))
            except (InvalidToken, ValueError) as problem:
                self._failed(problem)
        return True

    def _entry(self, data: str) -> Entry:
        try:
            return feed_message.entry(data)
        except ValueError:
            self._begin_anew()
            raise

    def _hear(self, message: Message) -> bool:
        """False after a gap."""
        state, verdict = feed_state.hear(self._state, message, self._monotonic())
        if verdict == "gap":
            log.warning("revocation feed: something was missed, so it begins anew")
            self._begin_anew()
            return False
        if verdict == "old":
            return True
        if isinstance(message, Entry):
            self._add(message)
        if isinstance(message, Heartbeat):
            self.server_offset = message.issued_at - self._monotonic()
            self._expire(message.issued_at)
        has_news = state.vouched_at > self._state.vouched_at
        self._state = state
        if has_news:
            self._vouch()
        return True

    def _expire(self, now: int) -> None:
        """`now` is the server's time. It counts only as far as it runs with ours: a clock that jumps ends no entry."""
        at = self._monotonic()
        self._server_time = self._server_time or (at, now)
        began_at, began = self._server_time
        self.line.log.expire(min(now, began + int(at - began_at)))

    def _add(self, entry: Entry) -> None:
        try:
            self.line.log.add(entry)
        except ValueError:
            self._begin_anew()
            raise

    def _vouch(self) -> None:
        self.line.vouched_at = self._state.vouched_at
        self._failures = 0
        self._has_tried()
        if self._problem:
            log.warning("revocation feed: works again")
        self._problem = ""
        self.usage.send_soon()
