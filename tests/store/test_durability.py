"""Nothing acknowledged is ever lost: how the databases are set, and what is left after a kill -9 (faults F2)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from tests.postgresql import PostgreSQL
from tests.store.committing import ACCOUNT, commit, numbered, rows
from tests.store.conftest import Database

from doorward.store import tables

ROOT = Path(__file__).parents[2]
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 5000}

# Issues tokens, opaque ones among them, and says so when they are committed; changes in between.
WRITE = """
import sys
from dataclasses import replace
from tests.store.committing import a_writer, an_append, issued
from tests.store.test_events import TOKEN
from tests.protocol.given import an_account
from doorward.protocol.events import AccountUpdated
from doorward.store.engine import open_engine

writer = a_writer(open_engine(sys.argv[1]))
for number in range(1_000_000):
    jti, position = f"token_{number}", number
    token = replace(TOKEN, id=jti, mac=jti.encode())
    change = AccountUpdated(an_account(version=number + 2, name=jti))
    batch = [an_append(issued(jti, opaque_token=token), at=10**9), an_append(change, at=10**9)]
    assert [problem for _, problem in writer.commit(batch)] == [None, None]
    print(jti, flush=True)
"""


def acknowledged_until_killed(url: str, enough: int) -> list[str]:
    """What the writer had said when it was killed, in the middle of whatever it did."""
    command = [sys.executable, "-c", WRITE, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(enough)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [line.strip() for line in said if line.endswith("\n")]


def check(engine: Engine, acknowledged: list[str]) -> None:
    """Everything acknowledged is there, the last that was not is there as a whole or not at all, and no half states."""
    tokens = [row["id"] for row in rows(engine, tables.opaque_tokens)]
    journal = numbered(engine)[1:]
    records = [row["entity_id"] for row in journal if not row["change"]]
    assert set(acknowledged) <= set(tokens)
    assert len(tokens) <= len(acknowledged) + 1
    assert sorted(records) == sorted(tokens)
    assert [row["seq"] for row in journal] == list(range(2, len(journal) + 2))
    (account,) = rows(engine, tables.accounts)
    assert account["version"] == len(tokens) + 1
    with engine.connect() as connection:
        head = connection.execute(text("SELECT seq, change_seq FROM journal_head")).one()
    assert tuple(head) == (journal[-1]["seq"], journal[-1]["seq"])


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(database: Database) -> None:
    assert commit(database.engine(), ACCOUNT) == ""
    database.close()
    acknowledged = acknowledged_until_killed(database.url, 30)
    engine = database.engine()
    check(engine, acknowledged)
    if database.is_sqlite:
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_nothing_acknowledged_is_lost_when_the_database_server_crashes(
    postgresql: PostgreSQL, on_postgresql: Database
) -> None:
    assert commit(on_postgresql.engine(), ACCOUNT) == ""
    on_postgresql.close()
    acknowledged = acknowledged_until_killed(on_postgresql.url, 10)
    postgresql.stop()
    postgresql.start()
    check(on_postgresql.engine(), acknowledged)


def test_every_connection_to_sqlite_is_set_to_keep_what_it_acknowledged(sqlite: Database) -> None:
    engine = sqlite.engine()
    for writing in (False, True):
        with engine.execution_options(writing=writing).connect() as one, engine.connect() as another:
            for connection in (one, another):
                found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in PRAGMAS}
                assert found == PRAGMAS


def test_a_writer_on_sqlite_holds_the_write_lock_from_the_start(sqlite: Database) -> None:
    """A lock that has to be upgraded later can fail in the middle, with facts already read."""
    engine = sqlite.engine()
    sent: list[str] = []
    event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(sent.append))
    with engine.execution_options(writing=True).begin(), engine.begin():
        assert sent == ["BEGIN IMMEDIATE", "BEGIN DEFERRED"]


def test_deleted_secrets_leave_no_trace_in_the_file(sqlite: Database) -> None:
    """T200: neither in free pages nor, after a checkpoint, in the log."""
    engine = sqlite.engine()
    canary = b"canary" * 20
    row = {"key": "a key", "request": "a digest", "reply": canary, "expires_at": 1}
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(tables.idempotency.insert(), row)
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(tables.idempotency.delete())
    engine.dispose()
    assert canary not in Path(sqlite.url.removeprefix("sqlite:///")).read_bytes()


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_the_tests_run_on_a_postgresql_that_keeps_its_word(on_postgresql: Database, setting: str) -> None:
    with on_postgresql.engine().connect() as connection:
        assert connection.execute(text(f"SHOW {setting}")).scalar() == "on"
