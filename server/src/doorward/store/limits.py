"""What was used of limits: counts without an event (laws, 3b), which are exact and decide (decision 27)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol import limit
from doorward.protocol.limit import Charge, Taken
from doorward.store.tables import limit_cells


def read(connection: Connection, cells: Collection[str]) -> Mapping[str, int]:
    """The value of each cell that there is."""
    found = select(limit_cells.c.id, limit_cells.c.value).where(limit_cells.c.id.in_([*cells]))
    return {row.id: row.value for row in connection.execute(found)}


def take(connection: Connection, charges: Sequence[tuple[Charge, int]], now: int) -> tuple[Taken, ...]:
    """All of the charges, each with so much more of its limit as is there up to a number; or nothing of any of them.

    Runs in the writer's transaction, which has locked the head of the journal: nobody else takes in between, on any
    worker. `now` is in nanoseconds.
    """
    known = read(connection, {charge.cell for charge, _ in charges})
    taken = limit.take_all(charges, known, now)
    _keep(connection, taken if all(one.fits for one in taken) else _mended(taken, known), now)
    return taken


def _mended(taken: Sequence[Taken], known: Mapping[str, int]) -> Sequence[Taken]:
    """Those that say more than their limit ever can, as after a clock was set back: nobody shall wait for that."""
    return [one for one in taken if not one.fits and one.value < known.get(one.charge.cell, 0)]


def _keep(connection: Connection, taken: Sequence[Taken], now: int) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(limit_cells)
    kept = {"value": new.excluded.value, "expires_at": new.excluded.expires_at}
    rows = [
        {"id": one.charge.cell, "value": one.value, "expires_at": limit.kept_until(one, now)}
        for one in taken
    ]  # fmt: skip
    if rows:
        connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=kept), rows)
