"""The revocation log: written in the transaction that revokes, read by audience; and its tail, for those who wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, union

from doorward.protocol.events import Event, VerifierRevoked
from doorward.protocol.feed import REACH
from doorward.protocol.leak_events import VerifierSecretRevoked
from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import DEAD, Entry, Placed, entry
from doorward.store import journal
from doorward.store.tables import api_keys, clients, grants, sessions
from doorward.store.tables import journal as journal_table
from doorward.store.tables import revocation_entries as log

EVERYONE = ""
# Tokens for the issuer itself have no verifier that hears of their end: here it stays, so that they are cut off too.
ISSUER = "issuer"
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
    if query is None:
        return [EVERYONE]
    named = connection.execute(query(found.value)).scalars()
    return sorted(api_id or ISSUER for api_id in named if api_id is not None or found.effect == DEAD)


def _of_client(client_id: str) -> Any:
    """Of ended grants too: there may be tokens, and a verifier may not have heard yet."""
    return select(grants.c.api_id).where(grants.c.client_id == client_id).distinct()


def _of_account(account_id: str) -> Any:
    granted = select(grants.c.api_id).join(clients, clients.c.id == grants.c.client_id)
    allowed = select(grants.c.api_id).where(grants.c.account_id == account_id)
    keyed = select(api_keys.c.api_id).where(api_keys.c.account_id == account_id)
    return union(granted.where(clients.c.account_id == account_id), allowed, keyed)


def _of_user(user_id: str) -> Any:
    return select(grants.c.api_id).where(grants.c.user_id == user_id).distinct()


def _of_session(session_id: str) -> Any:
    """The tokens of a session are those of its user."""
    of_user = select(grants.c.api_id).join(sessions, sessions.c.user_id == grants.c.user_id)
    return of_user.where(sessions.c.id == session_id).distinct()


_APIS_OF: dict[str, Callable[[str], Any]] = {
    "client": _of_client, "account": _of_account, "user": _of_user, "session": _of_session,
}  # fmt: skip


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
    if since.seq < journal.pruned_to(connection):
        moved_on_at = 0
    return Behind(head, moved_on_at, _placed(connection, _heard_by(api_id).where(log.c.seq > since.seq)))


def live(connection: Connection, api_id: str, now: int) -> tuple[Position, tuple[Placed, ...]]:
    """The journal's head, and all that still means something to an audience."""
    head = journal.read_head(connection).position
    return head, _placed(connection, _heard_by(api_id).where(log.c.expires_at > now))


def cut_off(connection: Connection, named: Iterable[tuple[str, str]]) -> int:
    """Where one of these (kind and value) was last ended: tokens with a smaller `seq` are dead (decision 3)."""
    ended = or_(*((log.c.kind == kind) & (log.c.value == value) for kind, value in named))
    found = select(func.max(log.c.seq)).where(log.c.effect == DEAD, ended)
    return connection.execute(found).scalar() or 0


def _heard_by(api_id: str) -> Select[Any]:
    return select(log).where(log.c.audience.in_((api_id, EVERYONE))).order_by(log.c.seq)


def _placed(connection: Connection, query: Select[Any]) -> tuple[Placed, ...]:
    return tuple(_one(found) for found in connection.execute(query))


def _one(found: Row[Any]) -> Placed:
    return Placed(found.seq, Entry(found.kind, found.value, found.effect, found.expires_at))


@dataclass(frozen=True, slots=True)
class Heard:
    """What came up to `position`: entries in their order, each with its audience, and what of verifiers was ended:
    they themselves, or secrets of theirs, by their public ids.
    """

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
    told = (log.c.seq > after) & (log.c.seq <= until) & (log.c.audience != ISSUER)
    query = select(log).where(told).order_by(log.c.seq)
    return tuple((found.audience, _one(found)) for found in connection.execute(query))


def _ended(connection: Connection, after: int) -> frozenset[str]:
    types = (VerifierRevoked.__name__, VerifierSecretRevoked.__name__)
    ended = journal_table.c.change & journal_table.c.type.in_(types)
    query = select(journal_table.c.entity_id, journal_table.c.data).where(journal_table.c.seq > after, ended)
    return frozenset(json.loads(data).get("secret", id_) for id_, data in connection.execute(query))
