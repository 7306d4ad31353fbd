"""The revocation log: written in the transaction that revokes, read by audience; and its tail, for those who wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, union

from doorward.protocol.events import Event, VerifierRevoked
from doorward.protocol.feed import REACH
from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import Entry, Placed, entry
from doorward.store import journal
from doorward.store.tables import api_keys, clients, grants
from doorward.store.tables import journal as journal_table
from doorward.store.tables import revocation_entries as log

EVERYONE = ""
# An entry stays for so long after it means nothing any more, so that whoever resumes misses none.
RETENTION = REACH


def write(connection: Connection, before: int, events: Iterable[Event], now: int) -> None:
    """What these events end or change; they are the journal's rows from the one behind `before` on."""
    rows = [
        {
            "seq": seq, "audience": audience, "kind": found.kind, "value": found.value,
            "effect": found.effect, "expires_at": found.expires_at,
        }
        for seq, event in enumerate(events, before + 1)
        if (found := entry(event, now)) is not None
        for audience in _audiences(connection, found)
    ]  # fmt: skip
    if rows:
        connection.execute(insert(log), rows)


def _audiences(connection: Connection, found: Entry) -> list[str]:
    """The apis whose verifiers may know of it; what no table leads to an api concerns all of them."""
    if found.api_id is not None:
        return [found.api_id]
    query = _APIS_OF.get(found.kind)
    return [EVERYONE] if query is None else list(connection.execute(query(found.value)).scalars())


def _of_client(client_id: str) -> Any:
    """Of ended grants too: there may be tokens, and a verifier may not have heard yet."""
    return select(grants.c.api_id).where(grants.c.client_id == client_id).distinct()


def _of_account(account_id: str) -> Any:
    granted = select(grants.c.api_id).join(clients, clients.c.id == grants.c.client_id)
    keyed = select(api_keys.c.api_id).where(api_keys.c.account_id == account_id)
    return union(granted.where(clients.c.account_id == account_id), keyed)


_APIS_OF: dict[str, Callable[[str], Any]] = {"client": _of_client, "account": _of_account}


@dataclass(frozen=True, slots=True)
class Behind:
    """What an audience hears behind a position. `moved_on_at` is when the first change behind it was made."""

    head: Position
    moved_on_at: int | None
    entries: tuple[Placed, ...]


def behind(connection: Connection, api_id: str, since: Position) -> Behind:
    head = journal.read_head(connection).position
    first = select(journal_table.c.at).where(journal_table.c.change, journal_table.c.seq > since.seq)
    moved_on_at = connection.execute(first.order_by(journal_table.c.seq).limit(1)).scalar()
    return Behind(head, moved_on_at, _placed(connection, _heard_by(api_id).where(log.c.seq > since.seq)))


def live(connection: Connection, api_id: str, now: int) -> tuple[Position, tuple[Placed, ...]]:
    """The journal's head, and all that still means something to an audience."""
    head = journal.read_head(connection).position
    return head, _placed(connection, _heard_by(api_id).where(log.c.expires_at > now))


def _heard_by(api_id: str) -> Select[Any]:
    return select(log).where(log.c.audience.in_((api_id, EVERYONE))).order_by(log.c.seq)


def _placed(connection: Connection, query: Select[Any]) -> tuple[Placed, ...]:
    return tuple(_one(found) for found in connection.execute(query))


def _one(found: Row[Any]) -> Placed:
    return Placed(found.seq, Entry(found.kind, found.value, found.effect, found.expires_at))


@dataclass(frozen=True, slots=True)
class Heard:
    """What came up to `position`: entries in their order, each with its audience, and the verifiers that were ended."""

    position: Position
    entries: tuple[tuple[str, Placed], ...]
    ended: frozenset[str]


class Tail:
    """Reads each new entry once a worker, in the follower's thread, and tells `listener`."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.listener: Callable[[Heard], None] = lambda _: None

    def heard(self, connection: Connection, position: Position) -> None:
        """The journal moved: what came with it is told before anybody may say that nothing came."""
        if position == self.position:
            return
        same_epoch = position.epoch == self.position.epoch
        after = self.position.seq if same_epoch else position.seq
        self.listener(Heard(position, _entries(connection, after, position.seq), _ended(connection, after)))
        self.position = position


def _entries(connection: Connection, after: int, until: int) -> tuple[tuple[str, Placed], ...]:
    query = select(log).where(log.c.seq > after, log.c.seq <= until).order_by(log.c.seq)
    return tuple((found.audience, _one(found)) for found in connection.execute(query))


def _ended(connection: Connection, after: int) -> frozenset[str]:
    ended = journal_table.c.change & (journal_table.c.type == VerifierRevoked.__name__)
    query = select(journal_table.c.entity_id).where(journal_table.c.seq > after, ended)
    return frozenset(connection.execute(query).scalars())
