"""Values to rows and back, by field name: the tables' columns are the entities' fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table, insert, select, update

Entity = TypeVar("Entity")


class Stale(Exception):  # noqa: N818  not an error: the runner gathers and decides again
    """The facts of a decision are no longer the truth; nothing was written."""


def row(entity: Any) -> dict[str, Any]:
    return {field.name: getattr(entity, field.name) for field in fields(entity)}


def value(kind: type[Entity], found: Row[Any] | None) -> Entity | None:
    return None if found is None else kind(**found._mapping)


def add(connection: Connection, table: Table, entity: Any) -> None:
    connection.execute(insert(table), row(entity))


def find(connection: Connection, table: Table, kind: type[Entity], key: Any, by: str = "id") -> Entity | None:
    return value(kind, connection.execute(select(table).where(table.c[by] == key)).first())


def replace(connection: Connection, table: Table, entity: Any) -> None:
    """Writes the entity over the version before it; another writer's version in between is `Stale`."""
    guard = (table.c.id == entity.id) & (table.c.version == entity.version - 1)
    if connection.execute(update(table).where(guard).values(row(entity))).rowcount != 1:
        raise Stale
