"""The schema: made and upgraded by one node at a time; a database that is not ours, or too new, is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

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
    text,
)
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from doorward.store.tables import deployment
from doorward.store.writer import Unavailable

# The newest revision in migrations/versions: a constant, so that a usual start does not import Alembic.
HEAD = "0015"
MIGRATIONS = "doorward.store:migrations"

# As Alembic would make it.
versions = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)  # fmt: skip


class WrongSecrets(Exception):  # noqa: N818  a database that must not be touched
    """Master key or pepper are not those that the rows were made with (decision 22)."""


class SchemaTooNew(Exception):  # noqa: N818
    """A newer version of Doorward upgraded the database."""


def prepare(engine: Engine, fingerprint: str, now: int, others: Collection[str] = ()) -> str:
    """Makes or upgrades the schema where needed; an empty database is claimed for the secrets of `fingerprint`.

    Returns the fingerprint that the database has; it may be one of the `others`.
    """
    ours = {fingerprint, *others}
    try:
        if not _is_ready(engine, ours):
            with _alone(engine) as connection:
                _upgrade(connection)
                _claim(connection, fingerprint, ours, now)
        with engine.connect() as connection:
            return current_fingerprint(connection) or fingerprint
    except SQLAlchemyError as problem:
        raise Unavailable(type(problem).__name__) from None


def revision(connection: Connection) -> str | None:
    """The revision that the database has, None when it is empty."""
    if not inspect(connection).has_table(versions.name):
        return None
    return connection.execute(select(versions.c.version_num)).scalar()


def current_fingerprint(connection: Connection) -> str | None:
    """Of the secrets that the database is made with now, None when nobody claimed it yet."""
    return connection.execute(select(deployment.c.fingerprint)).scalar()


def _is_ready(engine: Engine, ours: Collection[str]) -> bool:
    with engine.connect() as connection:
        return revision(connection) == HEAD and _is_ours(connection, ours)


def _is_ours(connection: Connection, ours: Collection[str]) -> bool:
    """False when nobody claimed the database yet."""
    found = current_fingerprint(connection)
    if found is not None and found not in ours:
        raise WrongSecrets
    return found is not None


def _claim(connection: Connection, fingerprint: str, ours: Collection[str], now: int) -> None:
    if not _is_ours(connection, ours):
        connection.execute(insert(deployment), {"id": 1, "fingerprint": fingerprint, "created_at": now})


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other node's upgrade can run beside; readers go on."""
    postgresql = engine.dialect.name == "postgresql"
    if postgresql:
        _make_version_table(engine)
    with engine.execution_options(writing=True).begin() as connection:
        if postgresql:
            connection.execute(text("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"))
            connection.execute(text("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE"))
        yield connection


def _make_version_table(engine: Engine) -> None:
    """What is to be locked must be there first, and two nodes may both make it: the second one's failure is none."""
    try:
        versions.create(engine, checkfirst=True)
    except (IntegrityError, ProgrammingError):
        if not inspect(engine).has_table(versions.name):
            raise


def known() -> set[str]:
    """Every revision that this version can bring to its own."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    found = revision(connection)
    if found is not None and found not in known():
        raise SchemaTooNew(found)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", MIGRATIONS)
    command.upgrade(config, "head")
