"""Copies of an SQLite database beside its running writers, and whether one is whole.

A copy is made in one read transaction: it is of one moment, and nobody who writes waits for it. Meanwhile the
write-ahead log grows by what is written.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from doorward.store.engine import failures
from doorward.store.writer import Unavailable

# 4 MiB a step, and a pause: neither disk nor processor is taken from those who answer.
PAGES = 1024
PAUSE = 0.002
BUSY_SECONDS = 5.0
STEPS = 100_000


class Damaged(Exception):  # noqa: N818  an answer
    """Pages of the database are not what SQLite wrote."""


def copy(database: Path, to: Path, progress: Callable[[int, int], None]) -> None:
    """One file, without a log beside it. Raises Damaged when the copy is not whole, and OSError."""
    try:
        with closing(_opened(database)) as source, closing(sqlite3.connect(to, isolation_level=None)) as target:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(target, pages=PAGES, progress=lambda _, left, total: _step(progress, left, total))
            source.execute("COMMIT")
            target.execute("PRAGMA journal_mode=DELETE")
            _refuse_damaged(target)
    except sqlite3.DatabaseError as problem:
        raise Damaged(str(problem)) from None


@contextmanager
def read(file: Path) -> Iterator[Connection]:
    """Nothing is changed by it, not even how the file keeps its log. Unavailable is what moved away meanwhile."""
    uri = f"{file.as_uri()}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except failures(engine) as problem:
        raise Unavailable(type(problem).__name__) from None


def _opened(database: Path) -> sqlite3.Connection:
    """Without making one: what is not there is an error."""
    return sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _step(progress: Callable[[int, int], None], left: int, total: int) -> None:
    progress(total - left, total)
    if left:
        time.sleep(PAUSE)


def _refuse_damaged(connection: sqlite3.Connection) -> None:
    (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if told != "ok":
        raise Damaged(told)


def close(database: Path) -> None:
    """What its log holds goes into the file; raises Damaged when somebody else has it open."""
    with closing(_opened(database)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != "delete":
        raise Damaged("its log could not be closed")
    descriptor = os.open(database, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def look_over(database: Path, seconds: float) -> None:
    """Looks at as many pages as that time allows; Raises Damaged."""
    try:
        with closing(_opened(database)) as connection:
            deadline = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
            _refuse_damaged(connection)
    except sqlite3.OperationalError as problem:
        # Interrupted, locked, or without a place on the disk: what reads next will say so.
        if problem.sqlite_errorcode in _DAMAGE:
            raise Damaged(str(problem)) from None
    except sqlite3.DatabaseError as problem:
        raise Damaged(str(problem)) from None


_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
