"""How often each api key and grant was used, and when last: told to the server now and then, never asked of a check.

{"usage": [{"kind": "api_key", "id": "key_8sK2...", "count": 41, "last_used_at": 1795559999}]}

Counts are kept for a while, and told for a period at once; a use is dated by the end of its period.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from doorward_verify.errors import Unavailable
from doorward_verify.sightings import Sightings
from doorward_verify.verified import Verified

INTERVAL = 10.0
# Of how many things at most is counted, or kept until the server takes it.
LIMIT = 10_000
BATCH = 500
COUNT_LIMIT = 10**9

Batch = list[dict[str, Any]]


class NoUsage:
    """Of an issuer that wants to know nothing."""

    is_waiting = False

    def count(self, verified: Verified) -> None:
        pass

    def see(self, verified: Verified, where: str) -> None:
        pass

    def send_soon(self) -> None:
        pass

    def send(self) -> None:
        pass

    def after_fork(self) -> None:
        pass


class _Counted(NamedTuple):
    """`told` of the uses that `uses` has seen are on their way."""

    kind: str
    uses: Iterator[int]
    told: int = 0


class Usage(NoUsage):
    """Any thread counts; `send_soon` is called regularly. `tell` sends a batch, and raises Unavailable to keep it."""

    def __init__(self, tell: Callable[..., None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._monotonic = tell, monotonic
        self.dropped = 0
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._uses: dict[str | None, Iterator[int]] = {}
        self._kinds: dict[str, str] = {}
        self._late: dict[str, _Counted] = {}
        self._unsent: dict[tuple[str, str], tuple[int, int]] = {}
        self._sightings = Sightings(lambda seen: self._tell([], seen))
        self._due_at = self._monotonic() + INTERVAL

    def after_fork(self) -> None:
        """What was counted is the parent's to tell."""
        self._begin()

    def count(self, verified: Verified) -> None:
        """One more use. `next` of a count is one step, which no other thread can come between."""
        uses = self._uses.get(verified.key_id or verified.grant_id)
        if uses is None:
            self._count_first(verified)
        else:
            next(uses)

    def see(self, verified: Verified, where: str) -> None:
        """A key where it does not belong."""
        if verified.key_id:
            self._sightings.note(verified.key_id, where)

    def _count_first(self, verified: Verified) -> None:
        kind, name = ("api_key", verified.key_id) if verified.key_id else ("grant", verified.grant_id)
        if not name:
            return
        with self._lock:
            if name not in self._uses and len(self._uses) >= LIMIT:
                self.dropped += 1
                return
            self._kinds[name] = kind
            next(self._uses.setdefault(name, itertools.count()))

    @property
    def is_waiting(self) -> bool:  # type: ignore[override]  # read only there too
        """Whether there is anything to tell."""
        return bool(self._uses or self._unsent or self._sightings.is_waiting)

    def send_soon(self) -> None:
        """Starts to send what was counted, when it is time: whoever calls must not wait for the server."""
        now = self._monotonic()
        if now < self._due_at:
            return
        self._due_at = now + INTERVAL
        if self.is_waiting:
            with suppress(RuntimeError):  # no thread can be started: it will be tried again
                threading.Thread(target=self.send, name="doorward-usage", daemon=True).start()

    def send(self) -> None:
        """All that was counted; what the server does not take is added to what comes next."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            self._gather(int(time.time()))
            while self._unsent:
                batch = list(itertools.islice(self._unsent.items(), BATCH))
                self._tell([_member(*one) for one in batch])
                for name, _ in batch:
                    del self._unsent[name]
            self._sightings.send()
        except Unavailable:
            pass
        finally:
            self._sending.release()

    def _gather(self, now: int) -> None:
        """A period ends. Who had a count in his hand just then may still add to it: that is told with the next one."""
        with self._lock:
            uses, self._uses = self._uses, {}
            kinds, self._kinds = self._kinds, {}
        ended = {name: _Counted(kind, uses[name]) for name, kind in kinds.items()}
        late, self._late = self._late, {}
        for name, counted in late.items():
            self._add((counted.kind, name), _value(counted.uses) - counted.told, now)
        for name, counted in ended.items():
            number = _value(counted.uses)
            self._add((counted.kind, name), number, now)
            self._late[name] = counted._replace(told=number)

    def _add(self, name: tuple[str, str], number: int, now: int) -> None:
        if number and name not in self._unsent and len(self._unsent) >= LIMIT:
            self.dropped += number
        elif number:
            before, _ = self._unsent.get(name, (0, now))
            self._unsent[name] = min(before + number, COUNT_LIMIT), now


def _member(name: tuple[str, str], counted: tuple[int, int]) -> dict[str, Any]:
    return {"kind": name[0], "id": name[1], "count": counted[0], "last_used_at": counted[1]}


def _value(count: Iterator[int]) -> int:
    """Looking does not count: a count shows its number only in its text, `count(7)`."""
    return int(repr(count)[len("count(") : -1])
