"""How often api keys and grants were used, and when last: counts without an event (laws, 3b), which decide nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, case, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol.entities import Usage
from doorward.protocol.usage import Used
from doorward.store.tables import usage


def of(connection: Connection, kind: str, id_: str) -> Usage:
    """Of an api key, or of a grant."""
    known = select(usage.c.uses, usage.c.last_used_at).where(usage.c.kind == kind, usage.c.id == id_)
    found = connection.execute(known).first()
    return Usage() if found is None else Usage(*found)


def add(connection: Connection, used: Sequence[Used]) -> None:
    """Adds the counts, and lets no time go back."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(usage)
    known, told = usage.c.last_used_at, new.excluded.last_used_at
    added = {"uses": usage.c.uses + new.excluded.uses, "last_used_at": case((known > told, known), else_=told)}
    rows = [{"kind": one.kind, "id": one.id, "uses": one.count, "last_used_at": one.last_used_at} for one in used]
    connection.execute(new.on_conflict_do_update(index_elements=["kind", "id"], set_=added), rows)
