"""Answers that are still true: the same question about the same facts, while neither they nor the hour have changed.

A decision is pure, so that it need not be made again as long as this worker's memory holds the very values it was made
on. What was asked is kept as a digest; no secret stays here.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar

from doorward.store.store import Store
from doorward.web.incoming import Incoming

LIMIT = 4096
# What of the head decides an answer; the address is there for keys that are bound to networks.
_ASKED = frozenset({b"authorization", b"content-type", b"content-encoding"})
_NEVER = 2**62

Answer = TypeVar("Answer")
Facts = tuple[tuple[Hashable, object], ...]


class _Kept(NamedTuple):
    answer: Any
    facts: Facts
    until: int


def digest(incoming: Incoming, body: bytes) -> bytes:
    """Of all that a question says."""
    found = sha256(incoming.address.encode())
    for name, value in incoming.headers:
        if name in _ASKED:
            found.update(b"\n%s:%d:%s" % (name, len(value), value))
    found.update(b"\n\n")
    found.update(body)
    return found.digest()


class Warm(Generic[Answer]):
    """`names` are what an answer rests on, by which the store's memory knows it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[bytes, _Kept] = {}

    def recall(self, asked: bytes) -> Answer | None:
        kept = self._kept.get(asked)
        if kept is None or not self._store.is_fresh:
            return None
        if not self._still(kept.facts) or self._store.now() >= kept.until:
            del self._kept[asked]
            return None
        answer: Answer = kept.answer
        return answer

    def facts(self, *names: Hashable) -> Facts:
        """What memory holds of the names, to be looked at before a question is decided."""
        known = [(name, self._store.memory.recall(name)) for name in names]
        return tuple((name, value[0]) for name, value in known if value is not None)

    def keep(self, asked: bytes, answer: Answer, before: Facts, until: int | None) -> None:
        """If memory held the facts before, and holds the very same now, they are what the answer was made of."""
        if not self._still(before):
            return
        if len(self._kept) >= LIMIT:
            del self._kept[next(iter(self._kept))]
        self._kept[asked] = _Kept(answer, before, _NEVER if until is None else until)

    def _still(self, facts: Facts) -> bool:
        for name, value in facts:
            known = self._store.memory.recall(name)
            if known is None or known[0] is not value:
                return False
        return True
