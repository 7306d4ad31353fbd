"""Who has yet to hear that a session ended: rows that are written with its end, so that none is forgotten.

They are tried by whichever worker comes first: `claim` writes without an event (laws, 3b) when the next one may.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from doorward.protocol import logout_token as protocol
from doorward.protocol.entities import Client
from doorward.protocol.people import LogoutDelivery, Session
from doorward.protocol.people_events import LogoutEvent
from doorward.store import rows, signing_keys
from doorward.store.clients import DELETED
from doorward.store.memory import Reader
from doorward.store.tables import clients, grants
from doorward.store.tables import logout_deliveries as table

# At once, by one worker.
CLAIM_LIMIT = 50


def owe(connection: Connection, session: Session) -> None:
    """Every client that was allowed anything in the session, and wants to hear of its end."""
    wants = clients.c.backchannel_logout_uri.is_not(None) & (clients.c.state != DELETED)
    allowed = select(clients.c.id).join(grants, grants.c.client_id == clients.c.id)
    found = connection.execute(allowed.where(grants.c.session_id == session.id, wants).distinct()).scalars()
    now = session.ended_at or 0
    owed = [rows.row(LogoutDelivery(session.id, client_id, session.user_id, now, now)) for client_id in found]
    if owed:
        connection.execute(insert(table), owed)


def due(connection: Connection, now: int) -> tuple[LogoutDelivery, ...]:
    query = select(table).where(table.c.next_at <= now).order_by(table.c.next_at).limit(CLAIM_LIMIT)
    return tuple(LogoutDelivery(**row._mapping) for row in connection.execute(query))


def claim(connection: Connection, now: int) -> tuple[LogoutDelivery, ...]:
    """Those that are due, for the caller alone to try."""
    claimed = tuple(protocol.tried(one, now) for one in due(connection, now))
    for one in claimed:
        values = {"attempts": one.attempts, "next_at": one.next_at}
        connection.execute(update(table).where(_is(one)).values(values))
    return claimed


def facts(read: Reader, delivery: LogoutDelivery) -> protocol.Facts:
    client = rows.find(read.connection, clients, Client, delivery.client_id)
    gone = client is None or client.state == DELETED
    return protocol.Facts(None if gone else client, signing_keys.that_sign(read))


def _is(delivery: LogoutDelivery) -> ColumnElement[bool]:
    return (table.c.session_id == delivery.session_id) & (table.c.client_id == delivery.client_id)


def apply(connection: Connection, event: LogoutEvent) -> None:
    """A second worker that took over from one that was slow says the same once more."""
    connection.execute(delete(table).where(_is(event.delivery)))
