"""Replies kept for 24 hours under the caller's idempotency key: a tally, not an event (laws, 3b; decision 18).

The row is written in the transaction of the creation it belongs to; the reply is sealed, since it may carry a secret.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from doorward.protocol.administration import Answered
from doorward.store.tables import idempotency

LIFETIME = 86_400


def find(connection: Connection, key: str) -> Answered | None:
    found = connection.execute(select(idempotency).where(idempotency.c.key == key)).first()
    return None if found is None else Answered(found.request, found.reply, found.expires_at)


def keep(connection: Connection, key: str, answered: Answered, now: int) -> None:
    """Raises IntegrityError when another reply was kept under the key meanwhile; one that expired goes first."""
    expired = (idempotency.c.key == key) & (idempotency.c.expires_at <= now)
    connection.execute(delete(idempotency).where(expired))
    row = {"key": key, "request": answered.request, "reply": answered.reply, "expires_at": answered.expires_at}
    connection.execute(insert(idempotency), row)
