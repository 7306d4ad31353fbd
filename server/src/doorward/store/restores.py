"""A restored deployment: what is over with it, what is held, and what of that is resumed (decision 22a)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, assert_never

from sqlalchemy import Connection, Table, delete, func, select, text, update

from doorward.protocol.entities import AdminKey, ApiKey, Client, Verifier
from doorward.protocol.people import Session, User
from doorward.protocol.replay import HELD, KINDS, Entry, Replay
from doorward.protocol.restore_events import AdminKeyResumed, DeploymentRestored, OfRestores, VerifierResumed
from doorward.protocol.resume import Held
from doorward.store import journal, logout_deliveries, rows, tables
from doorward.store.memory import Reader

TABLES: Mapping[str, tuple[Table, type[Any]]] = {
    "api_key": (tables.api_keys, ApiKey), "client": (tables.clients, Client), "verifier": (tables.verifiers, Verifier),
    "admin_key": (tables.admin_keys, AdminKey), "user": (tables.users, User),
}  # fmt: skip
# At once: whoever resumes a hundred thousand keys holds up nobody.
RESUME_LIMIT = 200


def apply(connection: Connection, event: OfRestores, now: int) -> None:
    match event:
        case DeploymentRestored():
            _restore(connection, event, now)
        case VerifierResumed():
            rows.replace(connection, tables.verifiers, event.verifier)
        case AdminKeyResumed():
            rows.replace(connection, tables.admin_keys, event.admin_key)
        case _:
            assert_never(event)


def _restore(connection: Connection, event: DeploymentRestored, now: int) -> None:
    if connection.dialect.name == "postgresql":
        # Of a large deployment that takes its time, and nobody waits for it.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(update(tables.journal_head).values(epoch=event.epoch))
    _end_sessions(connection, now)
    for table, column, value in _OVER:
        ended = update(table).where(table.c[column].is_(None))
        connection.execute(ended.values({column: now} if value is None else {**value, column: now}))
    connection.execute(delete(tables.idempotency))
    # Nobody serves it now, whoever did when it was backed up.
    connection.execute(delete(tables.nodes))
    _end_invitations(connection, now)
    if event.replay is None:
        _hold_all(connection)
    else:
        _replay(connection, event.replay, now)


# What cannot be told from what was used or ended after the backup: nobody gets it back (F12). Signing keys were perhaps
# stolen and withdrawn since; the next start makes others.
_OVER: tuple[tuple[Table, str, dict[str, Any] | None], ...] = (
    (tables.opaque_tokens, "revoked_at", None),
    (tables.codes, "redeemed_at", None),
    (tables.authorization_requests, "ended_at", None),
    (tables.upstream_sign_ins, "ended_at", None),
    (tables.reset_links, "used_at", None),
    (tables.setup_links, "used_at", None),
    (tables.signing_keys, "removed_at", {"state": "removed", "private_key": b""}),
)


def _end_sessions(connection: Connection, now: int) -> None:
    """Clients that want to hear of the ends of sessions will; then what users allowed is over, too."""
    live = select(tables.sessions).where(tables.sessions.c.ended_at.is_(None))
    for found in connection.execute(live).all():
        logout_deliveries.owe(connection, replace(Session(**found._mapping), ended_at=now))
    ended = update(tables.sessions).where(tables.sessions.c.ended_at.is_(None))
    connection.execute(ended.values(ended_at=now))
    allowed = tables.grants.c.user_id.is_not(None) & tables.grants.c.revoked_at.is_(None)
    over = {"revoked_at": now, "version": tables.grants.c.version + 1}
    connection.execute(update(tables.grants).where(allowed).values(over))


def _end_invitations(connection: Connection, now: int) -> None:
    """They were perhaps claimed since."""
    invited = tables.identities.c.subject.is_(None)
    connection.execute(update(tables.identities).where(invited).values(expires_at=now))


def _hold_all(connection: Connection) -> None:
    for table, _ in TABLES.values():
        held = {"state": HELD, "version": table.c.version + 1}
        connection.execute(update(table).where(table.c.state == "active").values(held))


def _replay(connection: Connection, replay: Replay, now: int) -> None:
    for (kind, id_), state in replay.states.items():
        _put(connection, kind, id_, state, now)
    for id_ in replay.secrets:
        live = (tables.secrets.c.id == id_) & tables.secrets.c.revoked_at.is_(None)
        connection.execute(update(tables.secrets).where(live).values(revoked_at=now, overlap=None))
    for id_ in replay.grants:
        live = (tables.grants.c.id == id_) & tables.grants.c.revoked_at.is_(None)
        over = {"revoked_at": now, "version": tables.grants.c.version + 1}
        connection.execute(update(tables.grants).where(live).values(over))


def _put(connection: Connection, kind: str, id_: str, state: str, now: int) -> None:
    """What was not good at the time of the backup is not held: it is as it was."""
    table = tables.accounts if kind == "account" else TABLES[kind][0]
    known = table.c.id == id_
    if state == HELD:
        known = known & (table.c.state == "active")
    values: dict[str, Any] = {"state": state, "version": table.c.version + 1}
    if state == "revoked" and "revoked_at" in table.c:
        values["revoked_at"] = func.coalesce(table.c.revoked_at, now)
    connection.execute(update(table).where(known).values(values))


def last_change(connection: Connection) -> Entry | None:
    """The newest of the journal: whoever has more of the same journal has this one, too."""
    head = journal.read_head(connection)
    found = connection.execute(select(tables.journal).where(tables.journal.c.seq == head.change_seq)).first()
    return None if found is None else dict(found._mapping)


def held(read: Reader, named: frozenset[str]) -> tuple[Held, ...]:
    """Some of what is held: of these ids and kinds, or of all when none is named."""
    found = tuple(_held(read.connection, named))[:RESUME_LIMIT]
    by_kind = {entity: kind for kind, (_, entity) in TABLES.items()}
    read.rely(*(f"{by_kind[type(one)]}/{one.id}" for one in found))
    return found


def _held(connection: Connection, named: frozenset[str]) -> Iterator[Held]:
    for kind in KINDS:
        table, entity = TABLES[kind]
        query = select(table).where(table.c.state == HELD).order_by(table.c.id).limit(RESUME_LIMIT)
        if named and kind not in named:
            query = query.where(table.c.id.in_(named))
        yield from (entity(**row._mapping) for row in connection.execute(query))


def count_held(connection: Connection) -> dict[str, int]:
    """How many of each kind; what there is none of is left out."""
    counted = {}
    for kind in KINDS:
        table = TABLES[kind][0]
        number = connection.execute(select(func.count()).where(table.c.state == HELD)).scalar_one()
        counted[kind] = int(number)
    return {kind: number for kind, number in counted.items() if number}


def list_held(connection: Connection, limit: int) -> list[tuple[str, str, str]]:
    """Kind, id and name, by kind."""
    found: list[tuple[str, str, str]] = []
    for kind in KINDS:
        table = TABLES[kind][0]
        name = table.c.username if kind == "user" else table.c.name
        query = select(table.c.id, name).where(table.c.state == HELD).order_by(table.c.id).limit(limit - len(found))
        found += [(kind, row[0], row[1]) for row in connection.execute(query)]
    return found
