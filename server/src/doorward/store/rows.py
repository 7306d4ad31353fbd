"""Values to rows and back, by field name: the tables' columns are the entities' fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table, Update, bindparam, insert, select, update

from doorward.store.quick import Reading

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
    """What nearly every request asks for, and so the driver itself is asked (`quick.py`)."""
    found = _by(table, by).first(connection, key=key)
    return None if found is None else made(table, kind, found)


def made(table: Table, kind: type[Entity], found: Sequence[Any]) -> Entity:
    """Of a whole row in the order of the columns."""
    return kind(**dict(zip(_names(table), found, strict=True)))


@cache
def _by(table: Table, column: str) -> Reading:
    return Reading(select(table).where(table.c[column] == bindparam("key")))


@cache
def _names(table: Table) -> tuple[str, ...]:
    return tuple(table.columns.keys())


def find_all(
    connection: Connection, table: Table, kind: type[Entity], keys: Iterable[Any], by: str = "id"
) -> dict[Any, Entity]:
    """Those that there are, by their keys."""
    found = connection.execute(select(table).where(table.c[by].in_([*keys])))
    return {row._mapping[by]: kind(**row._mapping) for row in found}


def replace(connection: Connection, table: Table, entity: Any) -> None:
    """Writes the entity over the version before it; another writer's version in between is `Stale`."""
    guarded = {**row(entity), "the_id": entity.id, "the_version": entity.version - 1}
    if connection.execute(_replacing(table), guarded).rowcount != 1:
        raise Stale


@cache
def _replacing(table: Table) -> Update:
    """Made once: to put it together takes longer than to carry it out."""
    return update(table).where(table.c.id == bindparam("the_id"), table.c.version == bindparam("the_version"))
