"""What nearly every request reads or writes: compiled once for an engine, and asked of the driver itself.

SQLAlchemy's part of such a statement (its key, its context, a description of each column) takes longer than all else.
Errors are the driver's own: `Store` answers them as it answers SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Select, Table, Update
from sqlalchemy.exc import IntegrityError

# Of fewer rows PostgreSQL's COPY, which takes one more turn, is not cheaper than an INSERT.
FEW = 4


def cursor(connection: Connection) -> Any:
    """The driver's own, in the transaction that SQLAlchemy would have begun."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.cursor()


class _Compiled(NamedTuple):
    """`names` is the order of values where a driver takes them by their places; `processors` are of some columns."""

    text: str
    names: Sequence[str] | None
    constants: dict[str, Any]
    processors: Sequence[tuple[int, Callable[[Any], Any]]]


class _Statement:
    """With named parameters, whose values are texts, numbers or bytes."""

    def __init__(self, statement: Select[Any] | Update) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def _known(self, connection: Connection) -> _Compiled:
        dialect = connection.dialect
        return self._compiled.get(dialect.name) or self._compile(dialect)

    def _compile(self, dialect: Dialect) -> _Compiled:
        made = self._statement.compile(dialect=dialect)
        columns = self._statement.selected_columns if isinstance(self._statement, Select) else ()
        found = (column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
        processors = [(place, process) for place, process in enumerate(found) if process is not None]
        names = made.positiontup if made.positional else None
        self._compiled[dialect.name] = known = _Compiled(str(made), names, dict(made.params), processors)
        return known


class Reading(_Statement):
    """A query; its answers have the values that SQLAlchemy would give."""

    def first(self, connection: Connection, **values: Any) -> Sequence[Any] | None:
        """The first row."""
        known, asked = self._asked(connection, values)
        found = asked.fetchone()
        asked.close()
        return None if found is None else _processed(found, known)

    def all(self, connection: Connection, **values: Any) -> list[Sequence[Any]]:
        known, asked = self._asked(connection, values)
        return [_processed(found, known) for found in asked.fetchall()]

    def _asked(self, connection: Connection, values: dict[str, Any]) -> tuple[_Compiled, Any]:
        known = self._known(connection)
        asked = cursor(connection)
        asked.execute(known.text, _given(known, values))
        return known, asked


class Changing(_Statement):
    """An UPDATE, of many rows one after the other."""

    def each(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """How many rows were changed in all."""
        known = self._known(connection)
        asked = cursor(connection)
        asked.executemany(known.text, [_given(known, values) for values in rows])
        return int(asked.rowcount)


def _given(known: _Compiled, values: dict[str, Any]) -> Any:
    given = {**known.constants, **values}
    return given if known.names is None else [given[name] for name in known.names]


def _processed(found: Sequence[Any], known: _Compiled) -> Sequence[Any]:
    if not known.processors:
        return found
    values = [*found]
    for place, process in known.processors:
        values[place] = process(values[place])
    return values


def insert(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Rows whose values are in the order of the columns, as the driver takes them: by few statements, however many.

    Raises SQLAlchemy's IntegrityError for one that is there already.
    """
    try:
        _insert(connection, table, rows)
    except connection.dialect.loaded_dbapi.IntegrityError as clash:
        raise IntegrityError(f"INSERT INTO {table.name}", None, clash) from None


def _insert(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    if connection.dialect.name == "sqlite":
        cursor(connection).executemany(_inserting(table, "?", 1), rows)
    elif len(rows) <= FEW:
        cursor(connection).execute(_inserting(table, "%s", len(rows)), [*chain.from_iterable(rows)])
    else:
        with cursor(connection).copy(_copying(table)) as copy:
            for row in rows:
                copy.write_row(row)


@cache
def _inserting(table: Table, mark: str, number: int) -> str:
    row = f"({', '.join([mark] * len(table.columns))})"
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES {', '.join([row] * number)}"  # noqa: S608


@cache
def _copying(table: Table) -> str:
    return f"COPY {table.name} ({_names(table)}) FROM STDIN"


def _names(table: Table) -> str:
    return ", ".join(table.columns.keys())


def add(connection: Connection, table: Table, entities: Sequence[Any]) -> None:
    """Entities whose fields are the table's columns."""
    if entities:
        columns = _columns(table, connection.dialect)
        insert(connection, table, [[process(getattr(one, name)) for name, process in columns] for one in entities])


@cache
def _columns(table: Table, dialect: Dialect) -> list[tuple[str, Callable[[Any], Any]]]:
    types = [(column.name, column.type.dialect_impl(dialect)) for column in table.columns]
    return [(name, type_.bind_processor(dialect) or _as_it_is) for name, type_ in types]


def _as_it_is(value: Any) -> Any:
    return value
