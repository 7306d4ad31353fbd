"""Engines for SQLite (WAL, synchronous=FULL) and PostgreSQL; small pools, as few threads use them."""

from __future__ import annotations

import math
import select
import time
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

POOL_SIZE = 4
BUSY_SECONDS = 5
IDLE_SECONDS = 1.0
PUT_BACK_AT = "put_back_at"

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # FULL: an acknowledged commit survives power loss too (faults F2).
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # Deleted secrets' digests leave no trace in free pages (T200).
    "PRAGMA secure_delete=ON",
    "PRAGMA cache_size=-8000",
)


# A server that is gone is noticed in seconds; keepalives and the timeout of unacknowledged data are libpq's and TCP's.
POSTGRESQL = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
    # A statement that is prepared in one transaction is not there in the next, behind a pooler of transactions.
    "prepare_threshold": None,
}
# Nobody waits long for a lock, and a node that stands still in a transaction does not hold up the others for long.
SESSION = "SET lock_timeout = '2s'; SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '5s'"


def open_engine(database: str) -> Engine:
    """An engine for `sqlite:///...` or `postgresql://...` (psycopg 3)."""
    url = make_url(database)
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=POOL_SIZE, max_overflow=POOL_SIZE, pool_timeout=2, connect_args=POSTGRESQL,
    )  # fmt: skip
    event.listen(engine, "connect", _limit)
    event.listen(engine, "checkin", _put_back)
    event.listen(engine, "checkout", partial(_taken, engine))
    return engine


def _put_back(connection: Any, record: Any) -> None:  # noqa: ARG001
    record.info[PUT_BACK_AT] = time.monotonic()


def _taken(engine: Engine, connection: Any, record: Any, proxy: object) -> None:  # noqa: ARG001
    """Asks a connection whether it lives, but not one that was used a moment ago and was not closed since: to ask each
    time would cost as much as what is asked then."""
    put_back_at = record.info.get(PUT_BACK_AT, math.inf)
    try:
        if time.monotonic() - put_back_at >= IDLE_SECONDS or _has_heard(connection):
            engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error:
        raise InvalidatePoolError from None


def _has_heard(connection: Any) -> bool:
    """To a connection that asked nothing a server says nothing but farewell."""
    line = select.poll()
    line.register(connection.fileno(), select.POLLIN)
    return bool(line.poll(0))


def failures(engine: Engine) -> tuple[type[Exception], ...]:
    """What a database fails with: what is asked of the driver itself (`quick.py`) fails as the driver does."""
    return SQLAlchemyError, engine.dialect.loaded_dbapi.Error


def snapshots(engine: Engine) -> Engine:
    """The same for readers: what one transaction reads is of one moment, as it always is on SQLite."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def _limit(connection: Any, record: object) -> None:  # noqa: ARG001
    connection.execute(SESSION)
    connection.commit()


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool, pool_size=POOL_SIZE, max_overflow=POOL_SIZE, pool_timeout=2,
        # No transaction but those that `_begin` begins.
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None},
    )  # fmt: skip
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, record: object) -> None:  # noqa: ARG001
    cursor = connection.cursor()
    # A file that is made by this can be made smaller in small steps (`sweeping.py`). Asked of another it takes a lock.
    if cursor.execute("PRAGMA page_count").fetchone() == (0,):
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Any) -> None:
    """Readers take a snapshot; the writer takes the write lock at once, so that it never has to upgrade.

    The follower, in AUTOCOMMIT, takes none: a snapshot that it held would never show it another's commit.
    """
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writing") else "BEGIN DEFERRED")
