"""The deployment as a whole: whose secrets the database is made with, and what ends everything."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, func, select, update

from doorward.protocol.events import EverythingRevoked
from doorward.protocol.signing_key_events import SecretsRotated
from doorward.store import rows, tables
from doorward.store.idempotency import LIFETIME as REPLY_LIFETIME

LATEST = select(func.max(tables.journal.c.at)).where(tables.journal.c.type == SecretsRotated.__name__)


def apply(connection: Connection, event: EverythingRevoked | SecretsRotated) -> None:
    """Two who rotate at once do not both: the second one's secrets are not those that he knew."""
    match event:
        case SecretsRotated(fingerprint, before):
            known = tables.deployment.c.fingerprint == before
            changed = connection.execute(update(tables.deployment).where(known).values(fingerprint=fingerprint))
            if changed.rowcount != 1:
                raise rows.Stale
        case EverythingRevoked():
            pass  # the revocation log has it, and every token is held against that
        case _:
            assert_never(event)


def made_at(connection: Connection) -> int:
    """When the database was made: what tells it from another one that the same secrets open."""
    found: int = connection.execute(select(tables.deployment.c.created_at)).scalar_one()
    return found


def peppers_in_use(connection: Connection) -> dict[int, int]:
    """How many secrets there are under each version of the pepper; who ended long ago may still be told why."""
    counted: dict[int, int] = {}
    for table in (tables.secrets, tables.opaque_tokens):
        query = select(table.c.pepper_version, func.count()).group_by(table.c.pepper_version)
        for version, number in connection.execute(query):
            counted[version] = counted.get(version, 0) + number
    return counted


def replies_kept_until(connection: Connection, now: int) -> int | None:
    """When the last reply expires that may be sealed under a master key before the current one."""
    rotated_at = connection.execute(LATEST).scalar()
    if rotated_at is None:
        return None
    kept = tables.idempotency.c.expires_at
    query = select(func.max(kept)).where(kept > now, kept <= rotated_at + REPLY_LIFETIME)
    found: int | None = connection.execute(query).scalar()
    return found
