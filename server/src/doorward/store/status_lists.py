"""Status lists: indexes leased in blocks before anything is signed (decision 25), and which of them were ended.

A lease is a count, so no event makes it (laws, 3b). Two tokens never have one index, since each block is handed out
once, in the order of commits, to one worker; what a worker did not use when it ends is used by nobody.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Text,
    insert,
    literal,
    not_,
    select,
    true,
    type_coerce,
    update,
)

from doorward.protocol import status_list
from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import DEAD, LEEWAY
from doorward.protocol.status_list import BLOCKS, Place, indexes, shard_expires_at
from doorward.store import journal
from doorward.store.rows import Stale
from doorward.store.tables import grants
from doorward.store.tables import listed_tokens as tokens
from doorward.store.tables import revocation_entries as log
from doorward.store.tables import status_lists as lists
from doorward.store.writer import Unavailable
from doorward_verify.revocations import FOR_GOOD

KEY = 16
_order = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Lease:
    """A block of indexes that one worker alone gives away; `epoch` is the journal's."""

    epoch: int
    list_id: int
    expires_at: int
    key: bytes
    block: int


class Leases:
    """What this worker may give away. `write` runs a step in the writer's next transaction."""

    def __init__(self, write: Callable[[Callable[[Connection], int]], int], now: Callable[[], int]) -> None:
        self._write, self._now = write, now
        self._held: dict[tuple[int, int], list[Place]] = {}
        self._lock = threading.Lock()

    def at_hand(self, epoch: int, lifetime: int) -> Place | None:
        """For a token of this lifetime; an index is given once. None: one has to be leased first."""
        held = self._held.get((epoch, shard_expires_at(self._now(), lifetime)))
        try:
            return held.pop() if held else None
        except IndexError:  # another thread was quicker
            return None

    def lease(self, epoch: int, lifetime: int) -> Place:
        """The same, from a thread that may wait. One leases for all that wait; raises Unavailable."""
        with self._lock:
            while (place := self.at_hand(epoch, lifetime)) is None:
                found = self._found(shard_expires_at(self._now(), lifetime))
                if found.epoch != epoch:
                    raise Unavailable("the journal is of another epoch than the facts")
                self._take(found)
            return place

    def _found(self, expires_at: int) -> Lease:
        found: list[Lease] = []

        def step(connection: Connection) -> int:
            found.append(lease(connection, expires_at, self._now()))
            return 1

        try:
            self._write(step)
        except Stale:
            raise Unavailable("the journal is of another epoch than this worker") from None
        return found[-1]

    def _take(self, lease: Lease) -> None:
        places = [Place(lease.list_id, idx, lease.expires_at) for idx in indexes(lease.key, lease.block)]
        _order.shuffle(places)
        now = self._now()
        kept = {held: rest for held, rest in self._held.items() if rest and held[1] > now}
        self._held = {**kept, (lease.epoch, lease.expires_at): places}


def lease(connection: Connection, expires_at: int, now: int) -> Lease:
    """The next block of the list for this hour, or the first of a new one. The caller holds the journal's lock."""
    epoch = journal.read_head(connection).epoch
    has_room = (lists.c.expires_at == expires_at) & (lists.c.epoch == epoch) & (lists.c.leased < BLOCKS)
    found = connection.execute(select(lists).where(has_room).order_by(lists.c.id).limit(1)).first()
    if found is None:
        key = os.urandom(KEY)
        made = {"expires_at": expires_at, "epoch": epoch, "key": key, "leased": 1, "created_at": now}
        id_ = connection.execute(insert(lists).values(made).returning(lists.c.id)).scalar_one()
        return Lease(epoch, id_, expires_at, key, 0)
    connection.execute(update(lists).where(lists.c.id == found.id).values(leased=found.leased + 1))
    return Lease(epoch, found.id, expires_at, found.key, found.leased)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list as of a position: `lst` has a bit set for each of its tokens that was ended by then."""

    list_id: int
    position: Position
    lst: str


def read(connection: Connection, list_id: int, now: int) -> Listed | None:
    """None when there is no such list, or when all its tokens are dead."""
    head = journal.read_head(connection)
    found = connection.execute(select(lists).where(lists.c.id == list_id, _lives(now))).first()
    if found is None:
        return None
    if found.epoch != head.epoch:
        # Of tokens that were issued after a backup, a restored database knows nothing.
        return Listed(list_id, head.position, status_list.lst_of_all())
    ended: Iterable[int] = connection.execute(_ended(list_id)).scalars()
    return Listed(list_id, head.position, status_list.lst(ended))


def _lives(now: int) -> ColumnElement[bool]:
    return lists.c.expires_at > now - LEEWAY


# What an entry of the revocation log must name to end a token; some hit whatever was issued before.
TIES: Mapping[str, ColumnElement[str] | None] = {
    "token": tokens.c.id,
    "grant": tokens.c.grant_id,
    "client": tokens.c.client_id,
    "account": tokens.c.account_id,
    "signing_key": tokens.c.signing_key_id,
    "everything": None,
}


OF_GRANT: Mapping[str, ColumnElement[str]] = {
    "user": grants.c.user_id, "account": grants.c.account_id, "session": grants.c.session_id,
}  # fmt: skip


def _ended(list_id: int) -> CompoundSelect[Any]:
    """The indexes of tokens that the log ended, as verifiers read it: by name for good, or before a position."""
    first, *others = (_ended_by(kind, column, list_id) for kind, column in TIES.items())
    return first.union_all(*others, *_ended_by_grant(list_id))


def _ended_by(kind: str, column: ColumnElement[str] | None, list_id: int) -> Select[tuple[int]]:
    named = (log.c.kind == kind) & (log.c.effect == DEAD)
    if column is not None:
        named &= log.c.value == column
    before = true() if kind in FOR_GOOD else log.c.seq > tokens.c.position
    return select(tokens.c.idx).join(log, named).where(tokens.c.list_id == list_id, before)


def _ended_by_grant(list_id: int) -> Iterable[Select[tuple[int]]]:
    """By what a user's grant hangs on: himself, the account that the client acts for, and his session.

    Whoever may act while the user is away has tokens without a session.
    """
    lasts = (literal(" ") + type_coerce(grants.c.scope, Text) + " ").like("% offline_access %")
    for kind, column in OF_GRANT.items():
        named = (log.c.kind == kind) & (log.c.effect == DEAD) & (log.c.value == column)
        if kind == "session":
            named &= not_(lasts)
        found = select(tokens.c.idx).join(grants, grants.c.id == tokens.c.grant_id).join(log, named)
        yield found.where(tokens.c.list_id == list_id, log.c.seq > tokens.c.position)


def has_moved(connection: Connection, since: Position) -> tuple[Position, bool]:
    """The position of now, and whether anything was ended behind `since`."""
    head = journal.read_head(connection).position
    if head.epoch != since.epoch:
        return head, True
    later = select(log.c.seq).where(log.c.seq > since.seq, log.c.effect == DEAD).limit(1)
    return head, connection.execute(later).first() is not None


def live(connection: Connection, now: int) -> Sequence[int]:
    """The ids of all lists that have a living token, or may have."""
    return connection.execute(select(lists.c.id).where(_lives(now)).order_by(lists.c.id)).scalars().all()
