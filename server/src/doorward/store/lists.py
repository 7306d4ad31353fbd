"""Pages of ids, oldest first: the order is (created_at, id), so that a page never moves under its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, Table, select, tuple_

After = tuple[int, str]


def page(
    connection: Connection,
    table: Table,
    where: Mapping[str, str],
    after: After | None,
    limit: int,
    conditions: Sequence[ColumnElement[bool]] = (),
) -> list[After]:
    """At most `limit` pairs of (created_at, id) behind `after`."""
    place = (table.c.created_at, table.c.id)
    query = select(*place).where(*conditions).order_by(*place).limit(limit)
    for column, value in where.items():
        query = query.where(table.c[column] == value)
    if "state" in table.c:
        query = query.where(table.c.state != "deleted")
    if after is not None:
        query = query.where(tuple_(*place) > after)
    return [(found.created_at, found.id) for found in connection.execute(query)]
