"""Which rows of an SQLite database change while it is copied: triggers write each one's key into a table beside them.

Both are gone when the move is done or given up. A process that is killed leaves them; they decide nothing, and
the next start or `doorward migrate` takes them away.
"""

from __future__ import annotations

import json
from collections import defaultdict

from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from doorward.store.engine import open_engine
from doorward.store.move_rows import TABLES, Key
from doorward.store.writer import Unavailable

LOG = "moving"
PREFIX = "moving_"
VERBS = {"insert": ("NEW",), "update": ("OLD", "NEW"), "delete": ("OLD",)}
EXPECTED = len(TABLES) * len(VERBS)

NAMES = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'moving\\_%' ESCAPE '\\'")
END = text(f"SELECT coalesce(max(n), 0) FROM {LOG}")  # noqa: S608
SINCE = text(f"SELECT DISTINCT of, key FROM {LOG} WHERE n > :after AND n <= :end")  # noqa: S608


def watch(source: Engine) -> None:
    with source.execution_options(writing=True).begin() as connection:
        forget(connection)
        # AUTOINCREMENT: no number is used twice, whatever happens to the rows.
        connection.exec_driver_sql(f"CREATE TABLE {LOG} (n INTEGER PRIMARY KEY AUTOINCREMENT, of TEXT, key TEXT)")
        for table in TABLES.values():
            for verb, states in VERBS.items():
                connection.exec_driver_sql(_trigger(table, verb, states))


def _trigger(table: Table, verb: str, states: tuple[str, ...]) -> str:
    key = {state: ", ".join(f'{state}."{column.name}"' for column in table.primary_key) for state in states}
    steps = "".join(f"INSERT INTO {LOG} (of, key) VALUES ('{table.name}', json_array({key[s]})); " for s in states)  # noqa: S608
    return f'CREATE TRIGGER {PREFIX}{table.name}_{verb} AFTER {verb.upper()} ON "{table.name}" BEGIN {steps}END'


def forget(connection: Connection) -> None:
    """Takes away what `watch` made, where there is any of it."""
    for name in connection.execute(NAMES).scalars().all():
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {LOG}")


def tidy(database: str) -> None:
    """After a process that was killed; for those who know that none is moving."""
    engine = open_engine(database)
    try:
        if engine.dialect.name == "sqlite" and inspect(engine).has_table(LOG):
            with engine.execution_options(writing=True).begin() as connection:
                forget(connection)
    except SQLAlchemyError as problem:
        raise Unavailable(type(problem).__name__) from None
    finally:
        engine.dispose()


def is_watching(connection: Connection) -> bool:
    """False when somebody took a trigger away meanwhile: changes may have passed unseen."""
    return len(connection.execute(NAMES).all()) == EXPECTED


def end(connection: Connection) -> int:
    return int(connection.execute(END).scalar_one())


def since(connection: Connection, after: int, until: int) -> dict[str, set[Key]]:
    found: dict[str, set[Key]] = defaultdict(set)
    for of, key in connection.execute(SINCE, {"after": after, "end": until}):
        found[of].add(tuple(json.loads(key)))
    return found
