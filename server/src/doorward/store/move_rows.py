"""Rows as they lie in a database, whatever its engine: what is copied and compared when a database moves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    Text,
    cast,
    delete,
    insert,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeDecorator, TypeEngine

from doorward.store.tables import metadata

BATCH = 500
CHUNK = 5_000
MODULUS = 2**256

Key = tuple[Any, ...]
Counted = Callable[[int], None]


class Entangled(Exception):  # noqa: N818
    """Rows took over each other's unique values in a circle: they cannot be written one after the other."""


class Differs(Exception):  # noqa: N818
    """What was written is not what was read."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


class _KeptText(TypeDecorator[str]):
    """JSON as the text it is kept as: not a space of it changes."""

    impl = Text
    cache_ok = True

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(column, Text)

    def bind_expression(self, bindparam: Any) -> ColumnElement[Any]:
        return cast(bindparam, JSON)


def _plain(table: Table) -> Table:
    columns: Iterator[Column[Any]] = (
        Column(column.name, _plain_type(column.type), primary_key=column.primary_key) for column in table.columns
    )
    return Table(table.name, MetaData(), *columns)


def _plain_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return _KeptText() if isinstance(kind, JSON) else kind


# Parents before their children. One row each says what the database is, and is written last.
LAST = ("deployment", "journal_head")
TABLES = {table.name: _plain(table) for table in metadata.sorted_tables if table.name not in LAST}
HEAD = _plain(metadata.tables["journal_head"])
# Others' foreign keys hold their rows where they are: they are written over.
PARENTS = {key.column.table.name for table in metadata.sorted_tables for key in table.foreign_keys}

encode = json.JSONEncoder(separators=(",", ":"), default=bytes.hex).encode


@dataclass(slots=True)
class Digest:
    """Of all rows of a table in whatever order: each row's SHA-256, added up."""

    count: int = 0
    total: int = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.count += 1
            self.total += int.from_bytes(hashlib.sha256(encode([*row]).encode()).digest(), "big")
        self.total %= MODULUS


def chunks(connection: Connection, table: Table) -> Iterator[Sequence[Sequence[Any]]]:
    rows = connection.execute(select(table), execution_options={"yield_per": CHUNK})
    yield from rows.partitions()


def digest(connection: Connection, table: Table, counted: Counted) -> Digest:
    found = Digest()
    for chunk in chunks(connection, table):
        found.add(chunk)
        counted(len(chunk))
    return found


def copy(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """By PostgreSQL's COPY: many times faster than to insert them."""
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as target:
        for row in rows:
            target.write_row(row)


def by_key(connection: Connection, table: Table, keys: Sequence[Key]) -> dict[Key, Sequence[Any]]:
    key = [column.name for column in table.primary_key]
    rows = connection.execute(select(table).where(_among(table, keys)))
    return {tuple(row._mapping[name] for name in key): tuple(row) for row in rows}


def batches(keys: Iterable[Key]) -> Iterator[Sequence[Key]]:
    rest = iter(keys)
    while batch := tuple(islice(rest, BATCH)):
        yield batch


def bring(source: Connection, target: Connection, changed: dict[str, set[Key]]) -> None:
    """Makes the target's rows of these keys what the source's are, and compares them."""
    touched = [(table, changed[name]) for name, table in TABLES.items() if changed.get(name)]
    for table, keys in reversed(touched):
        if table.name not in PARENTS:
            remove(target, table, keys)
    for table, keys in touched:
        for batch in batches(keys):
            rows = [*by_key(source, table, batch).values()]
            (_write_over if table.name in PARENTS else _insert)(target, table, rows)
    for table, keys in reversed(touched):
        if table.name in PARENTS:
            remove(target, table, keys - _there(source, table, keys))
    for table, keys in touched:
        _compare(source, target, table, keys)


def _there(connection: Connection, table: Table, keys: Iterable[Key]) -> set[Key]:
    return {key for batch in batches(keys) for key in by_key(connection, table, batch)}


def _compare(source: Connection, target: Connection, table: Table, keys: Iterable[Key]) -> None:
    for batch in batches(keys):
        if by_key(source, table, batch) != by_key(target, table, batch):
            raise Differs(table.name)


def remove(connection: Connection, table: Table, keys: Iterable[Key]) -> None:
    for batch in batches(keys):
        connection.execute(delete(table).where(_among(table, batch)))


def _among(table: Table, keys: Sequence[Key]) -> ColumnElement[bool]:
    first, *more = table.primary_key
    if more:
        return tuple_(first, *more).in_(keys)
    return first.in_([key for (key,) in keys])


def _insert(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        connection.execute(insert(table), [_named(table, row) for row in rows])


def _write_over(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """One may have what another gives up, so those that are refused come again after the others."""
    waiting = [*rows]
    while waiting:
        refused = [row for row in waiting if not _is_written(connection, table, row)]
        if len(refused) == len(waiting):
            raise Entangled
        waiting = refused


def _is_written(connection: Connection, table: Table, row: Sequence[Any]) -> bool:
    key = [column.name for column in table.primary_key]
    new = postgresql.insert(table).values(_named(table, row))
    values = {column.name: new.excluded[column.name] for column in table.columns if column.name not in key}
    try:
        with connection.begin_nested():
            connection.execute(new.on_conflict_do_update(index_elements=key, set_=values))
    except IntegrityError:
        return False
    return True


def _named(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(table.columns.keys(), row, strict=True))
