"""Sessions of users: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, bindparam, insert, select, update

from doorward.protocol import logout, password, sign_in
from doorward.protocol import session as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.people import Session
from doorward.protocol.people_events import SessionEnded, SessionEvent, SessionStarted
from doorward.protocol.session import SessionFacts
from doorward.protocol.user import canonical
from doorward.store import clients, logout_deliveries, rows, signing_keys, users
from doorward.store.memory import Reader
from doorward.store.quick import Reading
from doorward.store.tables import passwords, session_uses, sessions
from doorward.store.tables import users as user_table

SEEN = Reading(select(session_uses.c.last_seen_at).where(session_uses.c.id == bindparam("id")))


def by_digest(connection: Connection, digest: str) -> SessionFacts | None:
    """The session of a cookie with its user and his memberships; whether it is good is `session.live`'s to say."""
    return _facts(connection, rows.find(connection, sessions, Session, digest, by="digest"))


def by_id(connection: Connection, session_id: str) -> SessionFacts | None:
    return _facts(connection, rows.find(connection, sessions, Session, session_id))


def _facts(connection: Connection, session: Session | None) -> SessionFacts | None:
    if session is None:
        return None
    user = users.by_id(connection, session.user_id)
    assert user is not None, "users are never deleted"
    seen = SEEN.first(connection, id=session.id)
    return SessionFacts(session, user.user, user.memberships, session.created_at if seen is None else seen[0])


def recognised(read: Reader, request: protocol.Seen) -> SessionFacts | None:
    """`by_digest` from memory as a rule; when it was last seen is no event, and memory may say it for a minute."""
    found = read(by_digest, request.digest)
    if found is not None and found.is_due(request.now):
        found = looked_up(read, request)
    return found


def looked_up(read: Reader, request: protocol.Seen) -> SessionFacts | None:
    """The same from the database."""
    return read(by_digest, request.digest, anew=True)


def of_user(connection: Connection, user_id: str) -> tuple[SessionFacts, ...]:
    """Those that nobody ended; some may be idle or old."""
    not_ended = select(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    found = (_facts(connection, Session(**row._mapping)) for row in connection.execute(not_ended).all())
    return tuple(one for one in found if one is not None)


def sign_in_facts(read: Reader, request: sign_in.Request) -> sign_in.Facts:
    user = users.by_username(read.connection, request.username)
    if user is None:
        return sign_in.Facts()
    return sign_in.Facts(user, users.live_sessions(read, user.user.id), here(read, request.before))


def here(read: Reader, digest: str | None) -> tuple[Session, ...]:
    """The session that this browser had, whosever it is, if it has not ended."""
    found = rows.find(read.connection, sessions, Session, digest, by="digest") if digest else None
    if found is None or found.ended_at is not None:
        return ()
    read.rely(f"session/{found.id}")
    return (found,)


def known_password(connection: Connection, username: str) -> str | None:
    """What a password is compared with, before it is decided on; one look, whether there is such a user or not."""
    of_user = select(passwords.c.phc).join(user_table, user_table.c.id == passwords.c.user_id)
    return connection.execute(of_user.where(user_table.c.canonical == canonical(username))).scalar()


def any_password(connection: Connection) -> str | None:
    """The newest of all, for its parameters."""
    return connection.execute(select(passwords.c.phc).order_by(passwords.c.changed_at.desc()).limit(1)).scalar()


def touch(connection: Connection, session: Session, now: int) -> None:
    """When it was last seen, without an event (laws, 3b)."""
    this = session_uses.c.id == session.id
    later = this & (session_uses.c.last_seen_at < now)
    if connection.execute(select(session_uses.c.id).where(this)).first() is None:
        row = {"id": session.id, "last_seen_at": now, "expires_at": session.expires_at}
        connection.execute(insert(session_uses), row)
    else:
        connection.execute(update(session_uses).where(later).values(last_seen_at=now))


def end_facts(read: Reader, request: protocol.End) -> protocol.EndFacts:
    return protocol.EndFacts(users.live_sessions(read, request.user_id))


def logout_facts(read: Reader, request: logout.Request) -> logout.Facts:
    known = by_digest(read.connection, request.session) if request.session else None
    read.rely(*(known.refs if known else ()))
    keys = signing_keys.known(read)
    named = logout.client_named(request.asked, keys, read.policy.issuer)
    return logout.Facts(read(clients.by_id, named) if named else None, known, keys)


def reset_facts(read: Reader, request: password.Reset) -> password.ResetFacts:
    link = users.link_by_digest(read.connection, password.digest(request.token))
    user = None if link is None else users.by_id(read.connection, link.user_id)
    if link is None or user is None:
        return password.ResetFacts()
    sessions, grants = users.live_sessions(read, link.user_id), users.live_grants(read, link.user_id)
    return password.ResetFacts(link, user.user, sessions, grants)


def change_facts(read: Reader, request: password.Change) -> password.ChangeFacts:
    user = users.by_id(read.connection, request.user_id)
    if user is None:
        return password.ChangeFacts(None, None, (), ())
    sessions, grants = users.live_sessions(read, user.user.id), users.live_grants(read, user.user.id)
    return password.ChangeFacts(user.user, user.password, sessions, grants)


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    read.rely(f"session/{asked.id}")
    return protocol.Facts(by_id(read.connection, asked.id))


def apply(connection: Connection, event: SessionEvent) -> None:
    match event:
        case SessionStarted():
            rows.add(connection, sessions, event.session)
        case SessionEnded():
            live = (sessions.c.id == event.session.id) & sessions.c.ended_at.is_(None)
            ended = update(sessions).where(live).values(ended_at=event.session.ended_at)
            if connection.execute(ended).rowcount != 1:
                raise rows.Stale
            logout_deliveries.owe(connection, event.session)
        case _:
            assert_never(event)
