"""The schema: made and upgraded by one node at a time; a database that is not ours, or too new, is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from doorward.store.engine import open_engine
from doorward.store.tables import deployment
from doorward.store.writer import Unavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

# The newest revision in migrations/versions: a constant, so that a usual start does not import Alembic.
HEAD = "0019"
# The oldest revision whose nodes may work on a database at HEAD: what came after it only added (docs/decisions/0016).
COMPATIBLE_FROM = "0019"
MIGRATIONS = "doorward.store:migrations"

Answer = TypeVar("Answer")

# As Alembic would make it.
versions = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)  # fmt: skip


class WrongSecrets(Exception):  # noqa: N818  a database that must not be touched
    """Master key or pepper are not those that the rows were made with (decision 22)."""


class SchemaTooNew(Exception):  # noqa: N818
    """A newer version of Doorward upgraded the database, and this one cannot work on it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What `closed` says (`move.py`): `filling` and `filled` of a target, `moved` of a source; by which move."""

    state: str
    move: str
    where: str = ""

    @classmethod
    def read(cls, closed: str) -> Mark:
        return cls(*closed.split(" ", 2))

    def __str__(self) -> str:
        return " ".join(filter(None, (self.state, self.move, self.where)))


class Closed(Exception):  # noqa: N818
    """The database moved elsewhere, or is being filled: nobody may serve it."""

    def __init__(self, mark: Mark) -> None:
        super().__init__(str(mark))
        self.mark = mark


def prepare(engine: Engine, fingerprint: str, now: int, others: Collection[str] = ()) -> str:
    """Makes or upgrades the schema where needed; an empty database is claimed for the secrets of `fingerprint`.

    Returns the fingerprint that the database has; it may be one of the `others`.
    """
    ours = {fingerprint, *others}
    try:
        if not _is_ready(engine, ours):
            try:
                _make_ready(engine, fingerprint, ours, now)
            except (IntegrityError, ProgrammingError):
                # Another first start was faster.
                if not _is_ready(engine, ours):
                    raise
        with engine.connect() as connection:
            return current_fingerprint(connection) or fingerprint
    except SQLAlchemyError as problem:
        raise Unavailable(type(problem).__name__) from None


def _make_ready(engine: Engine, fingerprint: str, ours: Collection[str], now: int) -> None:
    with alone(engine) as connection:
        if not _suits(connection, revision(connection)):
            upgrade(connection)
        _refuse_closed(connection)
        _claim(connection, fingerprint, ours, now)


def revision(connection: Connection) -> str | None:
    """The revision that the database has, None when it is empty."""
    if not inspect(connection).has_table(versions.name):
        return None
    return connection.execute(select(versions.c.version_num)).scalar()


def current_fingerprint(connection: Connection) -> str | None:
    """Of the secrets that the database is made with now, None when nobody claimed it yet."""
    return connection.execute(select(deployment.c.fingerprint)).scalar()


def looked(database: str, query: Callable[[Connection], Answer]) -> Answer:
    """A look at a database that is not opened for anything else."""
    engine = open_engine(database)
    try:
        with engine.connect() as connection:
            return query(connection)
    except SQLAlchemyError as problem:
        raise Unavailable(type(problem).__name__) from None
    finally:
        engine.dispose()


def pending(connection: Connection | None) -> tuple[tuple[str, str], ...]:
    """The revisions that an upgrade would run, in their order, each with what it is for; raises SchemaTooNew."""
    found = revision(connection) if connection else None
    if connection and _suits(connection, found):
        return ()
    scripts = list(reversed([*_scripts().walk_revisions()]))
    names = [script.revision for script in scripts]
    if found is not None and found not in names:
        raise SchemaTooNew(found)
    due = scripts if found is None else scripts[names.index(found) + 1 :]
    return tuple((script.revision, script.doc) for script in due)


def _is_ready(engine: Engine, ours: Collection[str]) -> bool:
    with engine.connect() as connection:
        if not _suits(connection, revision(connection)):
            return False
        _refuse_closed(connection)
        return _is_ours(connection, ours)


def _suits(connection: Connection, found: str | None) -> bool:
    """True also of a newer schema, if those who made it say that this version can work on it."""
    if found is None or found < HEAD:
        return False
    if found == HEAD:
        return True
    oldest = connection.execute(select(deployment.c.compatible_from)).scalar()
    return oldest is not None and oldest <= HEAD


def _refuse_closed(connection: Connection) -> None:
    closed = connection.execute(select(deployment.c.closed)).scalar()
    if closed is not None:
        raise Closed(Mark.read(closed))


def _is_ours(connection: Connection, ours: Collection[str]) -> bool:
    """False when nobody claimed the database yet."""
    found = current_fingerprint(connection)
    if found is not None and found not in ours:
        raise WrongSecrets
    return found is not None


def _claim(connection: Connection, fingerprint: str, ours: Collection[str], now: int) -> None:
    if not _is_ours(connection, ours):
        row = {"id": 1, "fingerprint": fingerprint, "created_at": now, "compatible_from": COMPATIBLE_FROM}
        connection.execute(insert(deployment), row)


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other node's upgrade can run beside; readers go on.

    An empty PostgreSQL has no row to lock: the first to make a table wins.
    """
    with engine.execution_options(writing=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            be_patient(connection)
            if inspect(connection).has_table(versions.name):
                connection.execute(select(versions).with_for_update())
        yield connection


def be_patient(connection: Connection, seconds: int = 0) -> None:
    """On PostgreSQL: this is no request. It may take its time, without end or for some seconds, and think meanwhile."""
    for what in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {what} = '{seconds}s'")


def upgrade(connection: Connection) -> None:
    from alembic import command

    found = revision(connection)
    if found is not None and found not in known():
        raise SchemaTooNew(found)
    command.upgrade(_config(connection), "head")
    connection.execute(update(deployment).values(compatible_from=COMPATIBLE_FROM))


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", MIGRATIONS)
    return config


def known() -> set[str]:
    """Every revision that this version can bring to its own."""
    return {script.revision for script in _scripts().walk_revisions()}
