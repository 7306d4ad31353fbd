"""Users with their passwords and memberships: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, insert, select, update

from doorward.protocol import password
from doorward.protocol import user as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.entities import Grant
from doorward.protocol.people import Membership, Password, ResetLink, Session, User
from doorward.protocol.people_events import PasswordChanged, ResetLinkCreated, UserCreated, UserEvent, UserUpdated
from doorward.protocol.user import UserFacts
from doorward.store import rows
from doorward.store.memory import Reader
from doorward.store.tables import grants, memberships, passwords, reset_links, sessions, users


def by_id(connection: Connection, user_id: str) -> UserFacts | None:
    """A user with all that decides what he may do."""
    user = rows.find(connection, users, User, user_id)
    return None if user is None else _facts(connection, user)


def by_username(connection: Connection, username: str) -> UserFacts | None:
    """However the name is written."""
    user = rows.find(connection, users, User, protocol.canonical(username), by="canonical")
    return None if user is None else _facts(connection, user)


def by_reference(connection: Connection, reference: str) -> UserFacts | None:
    """By id, else by user name: no name of a user looks like an id."""
    return by_id(connection, reference) if reference.startswith("user_") else by_username(connection, reference)


def _facts(connection: Connection, user: User) -> UserFacts:
    belongs = select(memberships).where(memberships.c.user_id == user.id).order_by(memberships.c.account_id)
    found = tuple(Membership(**row._mapping) for row in connection.execute(belongs))
    return UserFacts(user, rows.find(connection, passwords, Password, user.id, by="user_id"), found)


def live_sessions(read: Reader, user_id: str) -> tuple[Session, ...]:
    """Those of a user that were not ended, the oldest first; whoever relies on them hears of new ones too."""
    of_user = (sessions.c.user_id == user_id) & sessions.c.ended_at.is_(None)
    query = select(sessions).where(of_user).order_by(sessions.c.created_at, sessions.c.id)
    found = tuple(Session(**row._mapping) for row in read.connection.execute(query))
    read.rely(f"user/{user_id}", *(f"session/{one.id}" for one in found))
    return found


def live_grants(read: Reader, user_id: str) -> tuple[Grant, ...]:
    """What he allowed clients, and did not end."""
    of_user = (grants.c.user_id == user_id) & grants.c.revoked_at.is_(None)
    found = tuple(Grant(**row._mapping) for row in read.connection.execute(select(grants).where(of_user)))
    read.rely(f"user/{user_id}", *(f"grant/{one.id}" for one in found))
    return found


def administrators_exist(connection: Connection) -> bool:
    return connection.execute(select(users.c.id).where(users.c.role == "administrator").limit(1)).first() is not None


def link_by_digest(connection: Connection, digest: str) -> ResetLink | None:
    return rows.find(connection, reset_links, ResetLink, digest, by="digest")


def create_facts(read: Reader, asked: Asked[protocol.CreateUser]) -> protocol.Facts:
    return protocol.Facts(namesake=by_username(read.connection, asked.body.username))


def ask_facts(read: Reader, request: password.Ask) -> User | None:
    known = by_username(read.connection, request.username)
    if known is None:
        return None
    read.rely(*known.refs)
    return known.user


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    known = by_reference(read.connection, asked.id)
    if known is None:
        return protocol.Facts()
    read.rely(*known.refs)
    name = getattr(asked.body, "username", None)
    namesake = None if name is None else by_username(read.connection, name)
    return protocol.Facts(known, namesake, live_sessions(read, known.user.id))


def apply(connection: Connection, event: UserEvent) -> None:
    match event:
        case UserCreated():
            rows.add(connection, users, event.user)
        case UserUpdated():
            rows.replace(connection, users, event.user)
        case PasswordChanged():
            _set_password(connection, event.password)
            _void_links(connection, event.password.user_id, event.password.changed_at)
        case ResetLinkCreated():
            _void_links(connection, event.link.user_id, event.link.created_at)
            rows.add(connection, reset_links, event.link)
        case _:
            assert_never(event)


def _set_password(connection: Connection, password: Password) -> None:
    values = rows.row(password)
    of_user = passwords.c.user_id == password.user_id
    if connection.execute(update(passwords).where(of_user).values(values)).rowcount == 0:
        connection.execute(insert(passwords), values)


def _void_links(connection: Connection, user_id: str, now: int) -> None:
    unused = (reset_links.c.user_id == user_id) & reset_links.c.used_at.is_(None)
    connection.execute(update(reset_links).where(unused).values(used_at=now))
