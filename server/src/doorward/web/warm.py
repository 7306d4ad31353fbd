"""Answers that are still true: the same question about the same facts, while neither they nor the hour have changed.

A decision is pure, so that it need not be made again as long as this worker's memory holds the very values it was made
on. What was asked is kept as a digest; no secret stays here.
"""

from __future__ import annotations

import marshal
from collections.abc import Hashable
from dataclasses import replace
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar

from doorward.exchange import Exchange
from doorward.protocol.policy import Policy
from doorward.store.memory import Reader
from doorward.store.store import Store
from doorward.web.incoming import Incoming

LIMIT = 4096
# What of the head decides an answer; the address is there for keys that are bound to networks.
_ASKED = frozenset({b"authorization", b"content-type", b"content-encoding"})
# It writes bytes by their length, so that no two questions look alike, and the same ones always the same.
_FORMAT = 2

Request = TypeVar("Request")
Found = TypeVar("Found")
Reply = TypeVar("Reply")
Answer = TypeVar("Answer")
Facts = tuple[tuple[Hashable, object], ...]


class _Kept(NamedTuple):
    answer: Any
    facts: Facts
    policy: Policy | None
    until: int


def digest(incoming: Incoming, body: bytes) -> bytes:
    """Of all that a question says."""
    told: list[bytes] = [incoming.address.encode(), incoming.scope["query_string"], body]
    for field in incoming.headers:
        if field[0] in _ASKED:
            told += field
    return sha256(marshal.dumps(told, _FORMAT)).digest()


class Seen(Generic[Found]):
    """Watches an exchange gather: what it `found`, the `facts` of memory that this was made of, and under which policy.

    The facts are None where something was read from the database.
    """

    def __init__(self) -> None:
        self.found: Found | None = None
        self.facts: Facts | None = None
        self.policy: Policy | None = None

    def watching(self, exchange: Exchange[Request, Found, Reply]) -> Exchange[Request, Found, Reply]:
        def gather(read: Reader, request: Request) -> Found:
            found = exchange.gather(read, request)
            self.found, self.policy = found, read.policy
            self.facts = tuple(read.recalled) if read.is_from_memory else None
            return found

        return replace(exchange, gather=gather)


class Warm(Generic[Answer]):
    """One for each kind of question."""

    def __init__(self, store: Store) -> None:
        self._store, self._memory = store, store.memory
        self._kept: dict[Hashable, _Kept] = {}

    def recall(self, asked: Hashable) -> Answer | None:
        """What was answered, while that is true of all that this worker has heard of."""
        kept = self._kept.get(asked)
        if kept is None or not self._store.is_fresh:
            return None
        if not self._still(kept) or self._store.now() >= kept.until:
            del self._kept[asked]
            return None
        answer: Answer = kept.answer
        return answer

    def keep(self, asked: Hashable, answer: Answer, seen: Seen[Any], until: int) -> None:
        """`until` is the second at which something of it ends by itself; what has ended by now is not kept."""
        if seen.facts is None or self._store.now() >= until:
            return
        if len(self._kept) >= LIMIT:
            del self._kept[next(iter(self._kept))]
        self._kept[asked] = _Kept(answer, seen.facts, seen.policy, until)

    def _still(self, kept: _Kept) -> bool:
        """Peppers are replaced while the server runs, and the policy with them."""
        if kept.policy is not self._store.policy:
            return False
        for name, value in kept.facts:
            known = self._memory.recall(name)
            if known is None or known[0] is not value:
                return False
        return True
