"""What is known of credentials that arrived in the clear, and of what ended so before."""

from __future__ import annotations

from sqlalchemy import Connection, select

from doorward.protocol.entities import AdminKey
from doorward.protocol.plaintext import BURNS_LIMIT, ORIGIN, Arrived, ArrivedFacts
from doorward.store import leaks, verifiers
from doorward.store.memory import Reader
from doorward.store.tables import admin_keys
from doorward.store.tables import leaks as table


def facts(read: Reader, request: Arrived) -> ArrivedFacts:
    verifier = None
    if request.credentials is not None:
        verifier = read(verifiers.by_id, request.credentials.client_id)
        if verifier is None:
            # Nobody reads the secrets of others in the name of a verifier that does not exist.
            return ArrivedFacts(leaks.facts(read, ()))
    admins = _admins(read) if any(one.about.kind == "admin_key" for one in request.reports) else ()
    return ArrivedFacts(leaks.facts(read, request.reports), _burnt_at(read.connection), admins, verifier)


def _burnt_at(connection: Connection) -> tuple[int, ...]:
    ended = select(table.c.updated_at).where(table.c.origin == ORIGIN, table.c.outcome == "revoked")
    return tuple(connection.scalars(ended.order_by(table.c.updated_at.desc()).limit(BURNS_LIMIT)))


def _admins(read: Reader) -> tuple[AdminKey, ...]:
    """If one of them ends meanwhile, it is decided anew whether it was the last but one."""
    found = read.connection.execute(select(admin_keys).where(admin_keys.c.state == "active"))
    active = tuple(AdminKey(**row._mapping) for row in found)
    read.rely(*(f"admin_key/{key.id}" for key in active))
    return active
