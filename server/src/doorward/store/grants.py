"""Grants: reads and what their events do. A token lives exactly as long as its grant: a join, never a cascade."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, func, select

from doorward.protocol.admin import Asked
from doorward.protocol.authorization_events import GrantTokensRevoked
from doorward.protocol.client import ClientFacts
from doorward.protocol.entities import Account, Api, Grant
from doorward.protocol.events import GrantChanged, GrantCreated, GrantEvent, GrantRevoked
from doorward.protocol.grant import Shown, UserGrantFacts
from doorward.protocol.people import Session, User
from doorward.store import rows, usage
from doorward.store.memory import Reader
from doorward.store.tables import accounts, apis, grants, memberships, sessions, users


def by_id(connection: Connection, grant_id: str) -> Shown | None:
    grant = rows.find(connection, grants, Grant, grant_id)
    if grant is None:
        return None
    api = rows.find(connection, apis, Api, grant.api_id) if grant.api_id else None
    return Shown(grant, api, usage.of(connection, "grant", grant.id))


def of_user(connection: Connection, user_id: str) -> tuple[Grant, ...]:
    """What a user allows now; the oldest first."""
    live = (grants.c.user_id == user_id) & grants.c.revoked_at.is_(None)
    query = select(grants).where(live).order_by(grants.c.created_at, grants.c.id)
    return tuple(Grant(**row._mapping) for row in connection.execute(query))


def remembered(connection: Connection, user_id: str, client_id: str) -> tuple[Grant, ...]:
    """Of what a user allows a client now, the newest grant of each scope, api and account.

    Every silent authorization makes another grant, and a single-page application makes one every few minutes.
    """
    live = (grants.c.user_id == user_id) & (grants.c.client_id == client_id) & grants.c.revoked_at.is_(None)
    alike = (grants.c.api_id, grants.c.account_id, grants.c.scope)
    newest = func.row_number().over(partition_by=alike, order_by=(grants.c.created_at.desc(), grants.c.id))
    ranked = select(grants.c.id, newest.label("place")).where(live).subquery()
    query = select(grants).join(ranked, ranked.c.id == grants.c.id).where(ranked.c.place == 1)
    return tuple(Grant(**row._mapping) for row in connection.execute(query.order_by(grants.c.created_at, grants.c.id)))


def with_its_user(connection: Connection, grant_id: str, client: ClientFacts | None = None) -> UserGrantFacts | None:
    """A user's grant with all that it hangs on; an administrator's is none. A client that is known has its apis."""
    grant = rows.find(connection, grants, Grant, grant_id)
    user = rows.find(connection, users, User, grant.user_id) if grant and grant.user_id else None
    if grant is None or user is None:
        return None
    known = (one.api for one in client.grants if one.api.id == grant.api_id) if client else ()
    api = next(iter(known), None) or (rows.find(connection, apis, Api, grant.api_id) if grant.api_id else None)
    session = rows.find(connection, sessions, Session, grant.session_id) if grant.session_id else None
    has_ended, amr = (session.ended_at is not None, session.amr) if session else (False, ())
    return UserGrantFacts(grant, user, api, _acts_for_account(connection, grant), has_ended, amr)


def granted(read: Reader, grant_id: str, client: ClientFacts | None) -> UserGrantFacts | None:
    """The same as facts that a change makes stale."""
    known = with_its_user(read.connection, grant_id, client)
    if known is not None:
        read.rely(*known.refs)
    return known


def _acts_for_account(connection: Connection, grant: Grant) -> bool:
    if grant.account_id is None:
        return True
    return any(account.id == grant.account_id for account in accounts_of(connection, grant.user_id))


def accounts_of(connection: Connection, user_id: str | None) -> tuple[Account, ...]:
    """Those that a user's clients may act for: active, and still his."""
    own = select(accounts).join(memberships, memberships.c.account_id == accounts.c.id)
    found = connection.execute(own.where(memberships.c.user_id == user_id, accounts.c.state == "active"))
    return tuple(Account(**row._mapping) for row in found)


def facts(read: Reader, asked: Asked[object]) -> Shown | None:
    read.rely(f"grant/{asked.id}")
    return by_id(read.connection, asked.id)


def apply(connection: Connection, event: GrantEvent) -> None:
    match event:
        case GrantCreated():
            rows.add(connection, grants, event.grant)
        case GrantChanged() | GrantRevoked() | GrantTokensRevoked():
            rows.replace(connection, grants, event.grant)
        case _:
            assert_never(event)
