"""Migrations only add, from `COMPATIBLE_FROM` on: nodes of the version before work on (docs/decisions/0016)."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import SAWarning

from doorward.store import schema


class Shape:
    """What those who know nothing of a migration rely on: tables, their columns, and what is forbidden of rows."""

    def __init__(self, connection: Connection) -> None:
        looked = inspect(connection)
        names = [name for name in looked.get_table_names() if name != schema.versions.name]
        self.columns = {name: {one["name"]: one for one in looked.get_columns(name)} for name in names}
        self.forbidden = {name: _forbidden(connection, name) for name in names}


def _forbidden(connection: Connection, table: str) -> set[str]:
    looked = inspect(connection)
    found = {str(one["column_names"]) for one in looked.get_unique_constraints(table)}
    found |= {str(one["constrained_columns"]) + one["referred_table"] for one in looked.get_foreign_keys(table)}
    found |= {str(one["sqltext"]) for one in looked.get_check_constraints(table)}
    query = text("SELECT sql FROM sqlite_master WHERE tbl_name = :table AND sql LIKE 'CREATE UNIQUE INDEX%'")
    return found | set(connection.execute(query, {"table": table}).scalars())


def narrowed(before: Shape, after: Shape) -> list[str]:
    found = [f"{table} is gone" for table in before.columns.keys() - after.columns.keys()]
    for table in before.columns.keys() & after.columns.keys():
        columns, now = before.columns[table], after.columns[table]
        found += [
            f"{table}.{name} was narrowed" for name, column in columns.items() if _is_narrower(column, now.get(name))
        ]
        found += [
            f"{table}.{name} must be given"
            for name in now.keys() - columns.keys()
            if not now[name]["nullable"] and now[name]["default"] is None
        ]
        found += [f"{table} forbids more" for _ in after.forbidden[table] - before.forbidden[table]]
    return found


def _is_narrower(before: dict[str, Any], after: dict[str, Any] | None) -> bool:
    if after is None or str(after["type"]) != str(before["type"]):
        return True
    needed = before["nullable"] and not after["nullable"]
    return bool(needed or (before["default"] is not None and after["default"] is None))


@cache
def steps() -> list[tuple[str, list[str]]]:
    """Every revision, with what it narrows."""
    found = []
    engine = create_engine("sqlite://")
    with engine.begin() as connection, warnings.catch_warnings():
        # Indexes on expressions cannot be read back; their text is read.
        warnings.simplefilter("ignore", SAWarning)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", schema.MIGRATIONS)
        for script in reversed([*ScriptDirectory.from_config(config).walk_revisions()]):
            before = Shape(connection)
            command.upgrade(config, script.revision)
            found.append((script.revision, narrowed(before, Shape(connection))))
    engine.dispose()
    return found


def test_what_came_after_the_oldest_compatible_revision_only_added() -> None:
    found = dict(steps())
    assert {revision: told for revision, told in found.items() if revision > schema.COMPATIBLE_FROM and told} == {}
    # It was not always so: the law would have found it.
    assert found["0013"]


def test_revisions_sort_as_they_follow_each_other() -> None:
    """Whether a database is newer is told by the names alone."""
    names = [revision for revision, _ in steps()]
    assert names == sorted(names)
    assert all(len(name) == 4 and name.isdigit() for name in names)
    assert schema.COMPATIBLE_FROM in names


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DROP TABLE t", "t is gone"),
        ("ALTER TABLE t DROP COLUMN b", "t.b was narrowed"),
        ("ALTER TABLE t RENAME COLUMN b TO c", "t.b was narrowed"),
        ("CREATE UNIQUE INDEX i ON t (b)", "t forbids more"),
        ("ALTER TABLE t ADD COLUMN c TEXT", None),
        ("ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT ''", None),
        ("CREATE INDEX i ON t (b)", None),
        ("CREATE TABLE u (a TEXT NOT NULL UNIQUE)", None),
    ],
)
def test_a_step_that_takes_away_is_found(statement: str, told: str | None) -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT)"))
        before = Shape(connection)
        connection.execute(text(statement))
        assert narrowed(before, Shape(connection)) == ([told] if told else [])
    engine.dispose()
