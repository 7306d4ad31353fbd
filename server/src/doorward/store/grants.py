"""Grants: reads and what their events do. A token lives exactly as long as its grant: a join, never a cascade."""

from __future__ import annotations

from typing import Any, assert_never

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, literal_column, select

from doorward.protocol.admin import Asked
from doorward.protocol.authorization_events import GrantTokensRevoked
from doorward.protocol.client import ClientFacts
from doorward.protocol.entities import Account, Api, Grant
from doorward.protocol.events import GrantChanged, GrantCreated, GrantEvent, GrantRevoked
from doorward.protocol.grant import Owner, Shown, UserGrantFacts
from doorward.protocol.people import Session, User
from doorward.store import rows, usage
from doorward.store import sessions as session_rows
from doorward.store.memory import Reader
from doorward.store.quick import Reading
from doorward.store.tables import accounts, apis, grants, memberships, sessions, users

ACCOUNTS = Reading(
    select(accounts).join(memberships, memberships.c.account_id == accounts.c.id)
    .where(memberships.c.user_id == bindparam("user_id"))
)  # fmt: skip


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
    alike = (grants.c.api_id, grants.c.account_id, grants.c.scope)
    newest = func.row_number().over(partition_by=alike, order_by=(grants.c.created_at.desc(), grants.c.id))
    ranked = select(grants.c.id, newest.label("place")).where(_of_both(user_id, client_id)).subquery()
    query = select(grants).join(ranked, ranked.c.id == grants.c.id).where(ranked.c.place == 1)
    return tuple(Grant(**row._mapping) for row in connection.execute(query.order_by(grants.c.created_at, grants.c.id)))


def newest(connection: Connection, user_id: str, client_id: str) -> Grant | None:
    """The last that a user allowed a client, and did not end."""
    found = NEWEST[connection.dialect.name].first(connection, user_id=user_id, client_id=client_id)
    return None if found is None else rows.made(grants, Grant, found)


def _of_both(user_id: Any, client_id: Any) -> ColumnElement[bool]:
    """By the index of users: a client has many more grants, and SQLite does not know."""
    of_client = grants.c.client_id.concat("") == client_id
    return and_(grants.c.user_id == user_id, of_client, grants.c.revoked_at.is_(None))


_LIVE = select(grants).where(_of_both(bindparam("user_id"), bindparam("client_id"))).limit(1)
# In SQLite's index rows of one user stand in the order in which they were written: nothing is sorted.
NEWEST = {
    "sqlite": Reading(_LIVE.order_by(literal_column("rowid").desc())),
    "postgresql": Reading(_LIVE.order_by(grants.c.created_at.desc(), grants.c.id)),
}


def owner(connection: Connection, user_id: str) -> Owner | None:
    """Whose a user's grants are; for memory."""
    user = rows.find(connection, users, User, user_id)
    accounts_of_his = ACCOUNTS.all(connection, user_id=user_id) if user else ()
    return Owner(user, tuple(rows.made(accounts, Account, one) for one in accounts_of_his)) if user else None


def with_its_user(connection: Connection, grant_id: str) -> UserGrantFacts | None:
    """A user's grant with all that it hangs on; an administrator's is none."""
    grant = rows.find(connection, grants, Grant, grant_id)
    his = owner(connection, grant.user_id) if grant and grant.user_id else None
    if grant is None or his is None:
        return None
    api = rows.find(connection, apis, Api, grant.api_id) if grant.api_id else None
    session = rows.find(connection, sessions, Session, grant.session_id) if grant.session_id else None
    return UserGrantFacts.of(grant, his, api, session)


def granted(read: Reader, grant_id: str, client: ClientFacts | None) -> UserGrantFacts | None:
    """The same as facts that a change makes stale: a client that is known has its apis, and memory the rest."""
    grant = rows.find(read.connection, grants, Grant, grant_id)
    his = read(owner, grant.user_id) if grant and grant.user_id else None
    if grant is None or his is None:
        return None
    known = (one.api for one in client.grants if one.api.id == grant.api_id) if client else ()
    api = next(iter(known), None) or (rows.find(read.connection, apis, Api, grant.api_id) if grant.api_id else None)
    session = read(session_rows.by_id, grant.session_id) if grant.session_id else None
    facts = UserGrantFacts.of(grant, his, api, session.session if session else None)
    read.rely(*facts.refs)
    return facts


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
