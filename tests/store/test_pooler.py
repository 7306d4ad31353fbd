"""Behind PgBouncer in transaction mode a session is nobody's: two transactions of one client are in two of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import text
from tests.deployment import deployed, running
from tests.postgresql import PostgreSQL, _user
from tests.store.committing import settled
from tests.store.conftest import CREATED_AT, FINGERPRINT

from doorward.store import schema
from doorward.store.engine import open_engine, snapshots

PORT = 6432
SETTINGS = """
[databases]
{database} = host={server} dbname={database} user=doorward
[pgbouncer]
pool_mode = transaction
default_pool_size = 3
auth_type = any
listen_addr =
unix_socket_dir = {directory}
listen_port = {port}
"""


@pytest.fixture
def pooled_url(postgresql: PostgreSQL) -> Iterator[str]:
    """An empty database, reached through three sessions that all clients share."""
    url = postgresql.create()
    with TemporaryDirectory(prefix="doorward-pool-") as name:
        directory, database = Path(name), postgresql.name(url)
        (directory / "pgbouncer.ini").write_text(
            SETTINGS.format(database=database, server=postgresql.directory, directory=directory, port=PORT)
        )
        user: dict[str, Any] = _user()
        for path in (directory, directory / "pgbouncer.ini"):
            os.chown(path, user.get("user", os.getuid()), user.get("group", os.getgid()))
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        with running(["pgbouncer", str(directory / "pgbouncer.ini")], "process up", env=environment, **user):
            yield f"postgresql://doorward@/{database}?host={directory}&port={PORT}"
    postgresql.drop(url)


def test_statements_and_settings_of_a_transaction_rely_on_no_session(pooled_url: str) -> None:
    engine = open_engine(pooled_url)
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    settled(engine)
    # More clients than sessions; each statement often enough to be prepared, were statements prepared.
    with ExitStack() as stack:
        clients = [stack.enter_context(snapshots(engine).connect()) for _ in range(6)]
        before, sessions = clients[-1], set()
        for client in clients * 10:
            assert client.execute(text("SELECT count(*) FROM accounts")).scalar() == 1
            sessions.add(client.execute(text("SELECT pg_backend_pid()")).scalar())
            assert client.execute(text("SHOW transaction_isolation")).scalar() == "repeatable read"
            # Two transactions overlap, so that none is alone in the session of the one before.
            before.commit()
            before = client
    assert 1 < len(sessions) <= 3
    engine.dispose()


def test_doorward_is_served_through_it(pooled_url: str, tmp_path: Path) -> None:
    with deployed(tmp_path, database=pooled_url) as doorward:
        client = doorward.a_client()
        verifier = doorward.a_verifier(api=client["apis"][0]["api"])
        tokens = doorward.at_once(24, lambda _: doorward.token(client))
        assert len(set(tokens)) == 24
        assert doorward.post("revoke", client, token=tokens[0]).status_code == 200
        found = doorward.at_once(24, lambda n: doorward.introspect(verifier, tokens[n])["active"])
        assert found == [False] + [True] * 23
