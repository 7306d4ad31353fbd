"""What this worker remembers of the store, kept true by the journal, and the reader that answers from it.

A remembered value names what it rests on ("client/ID", "account/ID", ...); a change of any of these drops it.
A value read at a position older than the last change heard of is never kept: a fill under way cannot
resurrect what was revoked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from doorward.protocol.moment import Position
from doorward.protocol.policy import Policy
from doorward.protocol.status_list import Place

# An access token with all that it hangs on takes 4 to 6 KB.
LIMIT = 10_000


class Miss(Exception):  # noqa: N818  a question for the database, not an error
    """The answer is not in memory."""


class Remembered(Protocol):
    @property
    def refs(self) -> tuple[str, ...]: ...


Value = TypeVar("Value", bound=Remembered)
Key = TypeVar("Key", bound=Hashable)


def _order(position: Position) -> tuple[int, int]:
    return position.epoch, position.seq


class Memory:
    """`position` is how far the journal was heard; lookups are lock-free, changes take the lock."""

    def __init__(self, position: Position, limit: int = LIMIT) -> None:
        self.position = position
        # Grows with every change that is heard of: what was decided before it may be decided otherwise now.
        self.changes = 0
        # What must be done about a change before anything is read that came after it.
        self.heeded: dict[str, Callable[[Connection], None]] = {}
        self._floor = position
        self._limit = limit
        self._values: dict[Hashable, tuple[Any, tuple[str, ...]]] = {}
        self._keys_by_ref: dict[str, set[Hashable]] = {}
        self._lock = threading.Lock()

    def recall(self, key: Hashable) -> tuple[Any, tuple[str, ...]] | None:
        """The value, and what it rests on."""
        return self._values.get(key)

    def keep(self, key: Hashable, value: Remembered, read_at: Position) -> None:
        with self._lock:
            if read_at.epoch != self._floor.epoch or read_at.seq < self._floor.seq:
                return
            self._drop(key)
            if len(self._values) >= self._limit:
                self._drop(next(iter(self._values)))
            refs = value.refs
            self._values[key] = value, refs
            for ref in refs:
                self._keys_by_ref.setdefault(ref, set()).add(key)

    def drop(self, key: Hashable) -> None:
        """What is older than somebody wants it; another may know it anew at once."""
        with self._lock:
            self._drop(key)

    def hear(self, changes: Iterable[str], position: Position, *, whole: bool = True) -> None:
        """The journal was followed up to `position`; not `whole` when some of it may have been missed."""
        with self._lock:
            if not whole or position.epoch != self.position.epoch:
                self._values.clear()
                self._keys_by_ref.clear()
                self.changes += 1
            self._forget(changes)
            # Whoever read an earlier head may be the later one to tell of it.
            self.position = max(self.position, position, key=_order)
            self._floor = max(self._floor, position, key=_order)

    def forget(self, changes: Iterable[str], position: Position) -> None:
        """This worker committed changes: they hold here before the answer leaves."""
        with self._lock:
            self._forget(changes)
            self._floor = max(self._floor, position, key=_order)

    def __len__(self) -> int:
        return len(self._values)

    def _forget(self, changes: Iterable[str]) -> None:
        """Counted last: whoever still recalls what is dropped here has read an earlier number."""
        for ref in changes:
            for key in list(self._keys_by_ref.get(ref, ())):
                self._drop(key)
            self.changes += 1

    def _drop(self, key: Hashable) -> None:
        _, refs = self._values.pop(key, (None, ()))
        for ref in refs:
            keys = self._keys_by_ref.get(ref)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys_by_ref[ref]


class Places(Protocol):
    """The indexes of status lists that this worker may give away."""

    def at_hand(self, epoch: int, lifetime: int) -> Place | None: ...

    def lease(self, epoch: int, lifetime: int) -> Place: ...


class Reader:
    """Hands facts to a gather function, noting what they rest on; without a connection, from memory alone."""

    def __init__(
        self,
        memory: Memory,
        policy: Policy,
        connection: Connection | None = None,
        read_at: Position | None = None,
        places: Places | None = None,
    ) -> None:
        self.policy = policy
        self.refs: set[str] = set()
        # What memory answered with, by name: of a reader without a connection all that its facts are made of.
        self.recalled: list[tuple[Hashable, object]] = []
        self._memory = memory
        self._connection = connection
        self._read_at = read_at
        self._places = places
        self.position = memory.position if read_at is None else min(memory.position, read_at, key=_order)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            raise Miss
        return self._connection

    @property
    def is_from_memory(self) -> bool:
        return self._connection is None

    def rely(self, *refs: str) -> None:
        self.refs.update(refs)

    def knows(self, find: Callable[[Connection, Key], Value | None], key: Key) -> bool:
        """Whether memory alone could answer."""
        return self._memory.recall((find, key)) is not None

    def place(self, lifetime: int) -> Place:
        """An index of a status list, for one token of this lifetime; who decides again takes another one."""
        assert self._places is not None, "only the store gives indexes away"
        epoch = self.position.epoch
        place = self._places.at_hand(epoch, lifetime)
        if place is None and self._connection is None:
            raise Miss
        return place or self._places.lease(epoch, lifetime)

    def __call__(
        self, find: Callable[[Connection, Key], Value | None], key: Key, *, anew: bool = False
    ) -> Value | None:
        """`find(connection, key)`, from memory when it is there, or `anew`; what is absent is not remembered."""
        name = find, key
        if anew:
            self._memory.drop(name)
        known: tuple[Value, tuple[str, ...]] | None = self._memory.recall(name)
        if known is not None:
            self.refs.update(known[1])
            self.recalled.append((name, known[0]))
            return known[0]
        value = find(self.connection, key)
        if value is not None:
            self.refs.update(value.refs)
            if self._read_at is not None:
                self._memory.keep(name, value, self._read_at)
        return value
