"""Rows without number in a server's SQLite file: like the last of their kind, with ids and secrets of their own.

Nobody knows a text of theirs; they are there to be passed on the way to others.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

DAY = 86_400
# Of each table, what differs from row to row.
FRESH = {
    "api_keys": {"id": "printf('a%011d', n)"},
    "secrets": {"id": "printf('s%011d', n)", "owner_id": "printf('a%011d', n)", "mac": "randomblob(32)"},
    "grants": {"id": "printf('grant_%016d', n)"},
    "opaque_tokens": {"id": "printf('o%011d', n)", "mac": "randomblob(32)", "expires_at": "{tomorrow}"},
}
STEP = 100_000


def fill(path: Path, number: int) -> None:
    """So many of each; the server must not run."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-200000")
        for table, fresh in FRESH.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(fresh.get(name, name).format(tomorrow=int(time.time()) + DAY) for name in names)
            last = f"SELECT * FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})"
            connection.execute(f"CREATE TEMP TABLE last_{table} AS {last}")
            for begin in range(0, number, STEP):
                end = min(number, begin + STEP) - 1
                connection.execute(
                    f"WITH RECURSIVE counted(n) AS "
                    f"(SELECT {begin} UNION ALL SELECT n + 1 FROM counted WHERE n < {end}) "
                    f"INSERT INTO {table} SELECT {values} FROM last_{table}, counted"
                )
