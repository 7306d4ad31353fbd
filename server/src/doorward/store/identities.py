"""Logins elsewhere that are users' here: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from doorward.protocol import first_sign_in
from doorward.protocol import identity as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.entities import Account
from doorward.protocol.first_sign_in import Person
from doorward.protocol.upstream import Identity, Told, Upstream
from doorward.protocol.upstream_events import IdentityAdded, IdentityClaimed, IdentityEvent, IdentityRemoved
from doorward.protocol.user import canonical
from doorward.store import accounts, rows, sessions, users
from doorward.store.memory import Reader
from doorward.store.tables import identities
from doorward.store.tables import users as user_table

# More than one is one too many: nobody needs all of them.
SOME = 10


def by_id(connection: Connection, identity_id: str) -> Identity | None:
    return rows.find(connection, identities, Identity, identity_id)


def by_subject(connection: Connection, issuer: str, subject: str) -> Identity | None:
    this = (identities.c.issuer == issuer) & (identities.c.subject == subject)
    return rows.value(Identity, connection.execute(select(identities).where(this)).first())


def invited_by(connection: Connection, issuer: str, email: str) -> tuple[Identity, ...]:
    """Invitations, also those that are over, by an address in whatever case."""
    open_ = (func.lower(identities.c.email) == email.lower()) & identities.c.subject.is_(None)
    query = select(identities).where(open_, identities.c.issuer == issuer).order_by(identities.c.created_at.desc())
    return tuple(Identity(**row._mapping) for row in connection.execute(query.limit(SOME)))


def of_user(connection: Connection, user_id: str) -> tuple[Identity, ...]:
    query = select(identities).where(identities.c.user_id == user_id)
    found = connection.execute(query.order_by(identities.c.created_at, identities.c.id))
    return tuple(Identity(**row._mapping) for row in found)


def _person(read: Reader, user_id: str) -> Person:
    found = users.by_id(read.connection, user_id)
    assert found is not None, "users are never deleted"
    read.rely(*found.refs)
    return Person(found, of_user(read.connection, user_id), users.live_sessions(read, user_id))


def first_sign_in_facts(read: Reader, request: first_sign_in.Request) -> first_sign_in.Facts:
    upstream, told = read.policy.upstreams.get(request.upstream), request.told
    if upstream is None:
        return first_sign_in.Facts()
    linked = by_subject(read.connection, upstream.issuer, told.subject)
    if linked is not None:
        return first_sign_in.Facts(_person(read, linked.user_id), here=sessions.here(read, request.before))
    return first_sign_in.Facts(
        None, _invited(read, upstream, told), _namesakes(read, told), _account(read, upstream),
        _taken(read, first_sign_in.names(upstream, told)), sessions.here(read, request.before),
    )  # fmt: skip


def _invited(read: Reader, upstream: Upstream, told: Told) -> tuple[Person, ...]:
    found = invited_by(read.connection, upstream.issuer, told.email) if told.email else ()
    return tuple(_person(read, user_id) for user_id in dict.fromkeys(one.user_id for one in found))


def _namesakes(read: Reader, told: Told) -> tuple[Person, ...]:
    """Users of whom this address is written down."""
    if told.email is None:
        return ()
    same = select(user_table.c.id).where(_has(told.email)).limit(SOME)
    return tuple(_person(read, user_id) for user_id in read.connection.execute(same).scalars())


def _has(email: str) -> ColumnElement[bool]:
    """Written down by many perhaps; known to be his."""
    return (func.lower(user_table.c.email) == email.lower()) & user_table.c.email_verified


def _account(read: Reader, upstream: Upstream) -> Account | None:
    if upstream.account_id is None:
        return None
    read.rely(f"account/{upstream.account_id}")
    return accounts.by_id(read.connection, upstream.account_id)


def _taken(read: Reader, names: tuple[str, ...]) -> frozenset[str]:
    asked = select(user_table.c.canonical).where(user_table.c.canonical.in_([canonical(name) for name in names]))
    return frozenset(read.connection.execute(asked).scalars())


def create_facts(read: Reader, asked: Asked[protocol.CreateIdentity]) -> protocol.CreateFacts:
    body = asked.body
    user, upstream = users.by_reference(read.connection, body.user), read.policy.upstreams.get(body.upstream)
    if user is None or upstream is None:
        return protocol.CreateFacts(user)
    read.rely(*user.refs)
    same = by_subject(read.connection, upstream.issuer, body.subject) if body.subject else None
    invited = invited_by(read.connection, upstream.issuer, body.email) if body.email else ()
    return protocol.CreateFacts(user, same, invited)


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    found = by_id(read.connection, asked.id)
    if found is not None:
        read.rely(f"user/{found.user_id}")
    return protocol.Facts(found)


def unlink_facts(read: Reader, request: protocol.Unlink) -> protocol.UnlinkFacts:
    user = users.by_id(read.connection, request.user_id)
    if user is None:
        return protocol.UnlinkFacts()
    read.rely(*user.refs)
    return protocol.UnlinkFacts(user, of_user(read.connection, request.user_id))


def apply(connection: Connection, event: IdentityEvent) -> None:
    this = identities.c.id == event.identity.id
    match event:
        case IdentityAdded():
            rows.add(connection, identities, event.identity)
        case IdentityClaimed():
            claimed = update(identities).where(this & identities.c.subject.is_(None))
            if connection.execute(claimed.values(rows.row(event.identity))).rowcount != 1:
                raise rows.Stale
        case IdentityRemoved():
            if connection.execute(delete(identities).where(this)).rowcount != 1:
                raise rows.Stale
        case _:
            assert_never(event)
