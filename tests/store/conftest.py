"""Every test of the store runs on both engines, each on a database of its own with the schema made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.postgresql import PostgreSQL

from doorward.store import schema
from doorward.store.engine import open_engine
from doorward.store.tables import deployment, journal_head, metadata

FINGERPRINT = "the secrets of these tests"
CREATED_AT = 1_800_000_000


@dataclass
class Database:
    """`engine()` opens one more engine on it, as another process would."""

    url: str
    engines: list[Engine] = field(default_factory=list)

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def engine(self) -> Engine:
        self.engines.append(open_engine(self.url))
        return self.engines[-1]

    def close(self) -> None:
        for engine in self.engines:
            engine.dispose()


def _prepared(url: str) -> None:
    engine = open_engine(url)
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "prepared.db"
    _prepared(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def prepared_on_postgresql(postgresql: PostgreSQL) -> str:
    url = postgresql.create()
    _prepared(url)
    return url


@pytest.fixture
def empty_sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'doorward.db'}")
    yield database
    database.close()


@pytest.fixture
def sqlite(empty_sqlite: Database, sqlite_file: Path, tmp_path: Path) -> Database:
    shutil.copy(sqlite_file, tmp_path / "doorward.db")
    return empty_sqlite


@pytest.fixture
def empty_on_postgresql(postgresql_url: str) -> Iterator[Database]:
    database = Database(postgresql_url)
    yield database
    database.close()


@pytest.fixture
def on_postgresql(prepared_on_postgresql: str) -> Iterator[Database]:
    """One database for all, emptied between them: to copy it anew would take longer than most tests."""
    database = Database(prepared_on_postgresql)
    yield database
    database.close()
    engine = open_engine(database.url)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            if table not in (deployment, journal_head):
                connection.execute(table.delete())
        connection.execute(journal_head.update().values(epoch=1, seq=0, change_seq=0))
        connection.execute(deployment.delete())
        connection.execute(deployment.insert(), {"id": 1, "fingerprint": FINGERPRINT, "created_at": CREATED_AT})
    engine.dispose()


@pytest.fixture(params=["sqlite", "on_postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """With the schema, and nothing in it."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["empty_sqlite", "empty_on_postgresql"])
def empty_database(request: pytest.FixtureRequest) -> Database:
    """As a first start finds it."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def engine(database: Database) -> Engine:
    return database.engine()
