"""How often each api key and grant was used, and when last: told to the server now and then, never asked of a check.

{"usage": [{"kind": "api_key", "id": "key_8sK2...", "count": 41, "last_used_at": 1795559999,
            "secret_id": "7RcE...", "result": "network_not_allowed", "address": "192.0.2.7", "user_agent": "curl/8"}]}

Counts are kept for a while, and told for a period at once; a use is dated by the end of its period.
"""

from __future__ import annotations

import itertools
import json
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
# The server takes 64 KiB.
BATCH_SIZE = 60_000
USER_AGENT_LIMIT = 200
ADDRESS_LIMIT = 64
COUNT_LIMIT = 10**9

ACTIVE = "active"

Batch = list[dict[str, Any]]


class NoUsage:
    """Of an issuer that wants to know nothing."""

    is_waiting = False
    is_told = False

    def count(
        self, verified: Verified, address: str | None = None, user_agent: str | None = None, result: str = ACTIVE
    ) -> None:
        pass

    def see(self, verified: Verified, where: str) -> None:
        pass

    def send_soon(self) -> None:
        pass

    def send(self) -> None:
        pass

    def after_fork(self) -> None:
        pass


class Name(NamedTuple):
    """What is counted: of an api key each of its secrets, and each result, for itself."""

    id: str | None
    secret_id: str | None
    result: str


class Shown(NamedTuple):
    """Where the last one came from, and what sent it."""

    address: str | None
    user_agent: str | None


class _Counted(NamedTuple):
    """`told` of the uses that `uses` has seen are on their way."""

    kind: str
    uses: Iterator[int]
    told: int = 0


class _Unsent(NamedTuple):
    kind: str
    number: int
    last_used_at: int
    shown: Shown


class Usage(NoUsage):
    """Any thread counts; `send_soon` is called regularly. `tell` sends a batch, and raises Unavailable to keep it."""

    def __init__(self, tell: Callable[..., None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._monotonic = tell, monotonic
        self.dropped = 0
        self._begin()

    is_told = True

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._sightings = Sightings(lambda seen: self._tell([], seen))
        self._uses: dict[tuple[str | None, str | None, str], Iterator[int]] = {}
        self._kinds: dict[Name, str] = {}
        self._shown: dict[tuple[str | None, str | None, str], tuple[str | None, str | None]] = {}
        self._late: dict[Name, _Counted] = {}
        self._unsent: dict[Name, _Unsent] = {}
        self._due_at = self._monotonic() + INTERVAL

    def after_fork(self) -> None:
        """What was counted is the parent's to tell."""
        self._begin()

    def count(
        self, verified: Verified, address: str | None = None, user_agent: str | None = None, result: str = ACTIVE
    ) -> None:
        """One more use. `next` of a count is one step, which no other thread can come between."""
        key_id = verified.key_id
        # Plain tuples are made three times as fast, and are equal to those with names.
        name = key_id or verified.grant_id, verified.claims.get("secret_id") if key_id else None, result
        uses = self._uses.get(name) or self._first(Name(*name), "api_key" if key_id else "grant")
        if uses is not None:
            next(uses)
            self._shown[name] = address, user_agent and user_agent[:USER_AGENT_LIMIT]

    def see(self, verified: Verified, where: str) -> None:
        """A key where it does not belong."""
        if verified.key_id:
            self._sightings.note(verified.key_id, where)

    def _first(self, name: Name, kind: str) -> Iterator[int] | None:
        if not name.id:
            return None
        with self._lock:
            if name not in self._uses and len(self._uses) >= LIMIT:
                self.dropped += 1
                return None
            self._kinds[name] = kind
            return self._uses.setdefault(name, itertools.count())

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
                batch = self._batch()
                self._tell(list(batch.values()))
                for name in batch:
                    del self._unsent[name]
            self._sightings.send()
        except Unavailable:
            pass
        finally:
            self._sending.release()

    def _batch(self) -> dict[Name, dict[str, Any]]:
        """As many as the server takes at once."""
        batch: dict[Name, dict[str, Any]] = {}
        size = 0
        for name, unsent in itertools.islice(self._unsent.items(), BATCH):
            member = _member(name, unsent)
            size += len(json.dumps(member)) + 2
            if batch and size > BATCH_SIZE:
                break
            batch[name] = member
        return batch

    def _gather(self, now: int) -> None:
        """A period ends. Who had a count in his hand just then may still add to it: that is told with the next one."""
        with self._lock:
            uses, self._uses = self._uses, {}
            kinds, self._kinds = self._kinds, {}
            shown, self._shown = self._shown, {}
        ended = {name: _Counted(kind, uses[name]) for name, kind in kinds.items()}
        late, self._late = self._late, {}
        for name, counted in late.items():
            self._add(name, _Unsent(counted.kind, _value(counted.uses) - counted.told, now, UNKNOWN))
        for name, counted in ended.items():
            number = _value(counted.uses)
            self._add(name, _Unsent(counted.kind, number, now, Shown(*shown.get(name, UNKNOWN))))
            self._late[name] = counted._replace(told=number)

    def _add(self, name: Name, one: _Unsent) -> None:
        before = self._unsent.get(name)
        if one.number and before is None and len(self._unsent) >= LIMIT:
            self.dropped += one.number
        elif one.number:
            number = one.number + (before.number if before else 0)
            shown = before.shown if before and one.shown == UNKNOWN else one.shown
            self._unsent[name] = one._replace(number=min(number, COUNT_LIMIT), shown=shown)


UNKNOWN = Shown(None, None)


def _member(name: Name, unsent: _Unsent) -> dict[str, Any]:
    """What is not known, or is as it mostly is, is left out."""
    told = {
        "secret_id": name.secret_id,
        "result": None if name.result == ACTIVE else name.result,
        "address": unsent.shown.address and unsent.shown.address[:ADDRESS_LIMIT],
        "user_agent": unsent.shown.user_agent,
    }
    known = {"kind": unsent.kind, "id": name.id, "count": unsent.number, "last_used_at": unsent.last_used_at}
    return known | {member: value for member, value in told.items() if value}


def _value(count: Iterator[int]) -> int:
    """Looking does not count: a count shows its number only in its text, `count(7)`."""
    return int(repr(count)[len("count(") : -1])
