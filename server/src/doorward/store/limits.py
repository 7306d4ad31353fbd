"""What was used of limits: counts without an event (laws, 3b), which are exact and decide (decision 27)."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from sqlalchemy import BigInteger, Connection, Select, bindparam, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol import limit, limit_cell
from doorward.protocol.limit import Charge, Limit, Taken
from doorward.protocol.limit_cell import Cell, Wanted
from doorward.store.store import Store
from doorward.store.tables import limit_cells

# One clock for all nodes: the database's own. A SQLite file is on one machine, which has one clock.
OF_POSTGRESQL = literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) * 1000", BigInteger)


class Cells(Protocol):
    """Where limits are counted, for all nodes. Times are of the clock there, in nanoseconds."""

    async def take(self, wanted: Sequence[Wanted]) -> tuple[Sequence[Taken], int]:
        """All of it or nothing of any. Raises Unavailable; what was wanted is counted then, or it is not."""

    async def read(self, charges: Sequence[Charge]) -> tuple[Mapping[str, Cell], int]:
        """What the cells hold that there are."""

    async def answers(self) -> bool:
        """Whether anything but the database, without which nothing is answered, can be counted in."""

    async def stop(self) -> None: ...


class InDatabase:
    """Cells are rows of the database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, wanted: Sequence[Wanted]) -> tuple[Sequence[Taken], int]:
        return await self._store.consume(lambda connection: take(connection, wanted))

    async def read(self, charges: Sequence[Charge]) -> tuple[Mapping[str, Cell], int]:
        cells = {charge.cell for charge in charges}
        return await self._store.read(lambda connection: read(connection, cells))

    async def answers(self) -> bool:
        return True

    async def stop(self) -> None:
        """The store is ended by whoever opened it."""


def read(connection: Connection, cells: Collection[str]) -> tuple[Mapping[str, Cell], int]:
    """What each cell holds that there is, and what the time is there."""
    rows = connection.execute(_found(connection, cells)).all()
    known = {row.id: Cell(row.value, row.turn, row.lent, row.lent_before) for row in rows if row.id is not None}
    return known, rows[0].now


def _found(connection: Connection, cells: Collection[str]) -> Select[tuple[object, ...]]:
    """One row at least, which says the time."""
    is_shared = connection.dialect.name == "postgresql"
    clock = OF_POSTGRESQL if is_shared else bindparam("now", time.time_ns(), BigInteger)
    at = select(clock.label("now")).subquery()
    there = at.outerjoin(limit_cells, limit_cells.c.id.in_([*cells]))
    return select(at.c.now, limit_cells).select_from(there)


def take(connection: Connection, wanted: Sequence[Wanted]) -> tuple[tuple[Taken, ...], int]:
    """All of it, each with so much more of its limit as may be lent; or nothing of any of them.

    Runs in the writer's transaction, which has locked the head of the journal: nobody else takes in between, on any
    worker of any node.
    """
    known, now = read(connection, {one.charge.cell for one in wanted})
    taken, changed = limit_cell.take_all(wanted, known, now)
    _keep(connection, changed, {one.charge.cell: one.charge.limit for one in wanted}, now)
    return taken, now


def _keep(connection: Connection, cells: Mapping[str, Cell], limits: Mapping[str, Limit], now: int) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(limit_cells)
    kept = {column.name: column for column in new.excluded if not column.primary_key}
    rows = [
        {"id": id_, **cell._asdict(), "expires_at": limit.kept_until(limits[id_], cell.value, now)}
        for id_, cell in cells.items()
    ]  # fmt: skip
    if rows:
        connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=kept), rows)
