"""The writer: facts gone stale are refused, a batch shares one transaction, and nobody suffers from another's fault."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from tests.protocol.given import NOW, REFRESH_TOKEN, an_account, an_api, an_api_key, kept
from tests.store.committing import (
    ACCOUNT,
    API,
    API_KEY,
    CONTEXT,
    a_writer,
    an_append,
    commit,
    count,
    head,
    issued,
    numbered,
    outcomes,
    rows,
    settled,
)  # fmt: skip
from tests.store.conftest import Database

from doorward.protocol import events as e
from doorward.protocol.moment import Position
from doorward.store import engine as engines
from doorward.store import tables
from doorward.store.journal import Head
from doorward.store.memory import Memory
from doorward.store.writer import Append, Outcome, Writer

SUSPENDED = e.AccountUpdated(an_account(state="suspended", version=2))
RENAMED = e.ApiUpdated(an_api(name="renamed", version=2))
UNWRITABLE = replace(CONTEXT, actor="\ud800")


def transactions(engine: Engine) -> list[str]:
    """Grows with every commit and rollback."""
    seen: list[str] = []
    event.listen(engine, "commit", lambda connection: seen.append("commit"))
    event.listen(engine, "rollback", lambda connection: seen.append("rollback"))
    return seen


# Positions (decision 1) ---------------------------------------------------------------------------------------


def test_facts_that_nobody_changed_are_fresh(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, issued(), at=head(engine).change_seq, refs=["account/acme"]) == ""


def test_no_token_is_born_after_the_change_that_should_have_prevented_it(engine: Engine) -> None:
    settled(engine)
    position = head(engine).change_seq
    assert commit(engine, SUSPENDED, at=position) == ""
    assert commit(engine, issued(), at=position, refs=["client/client_1", "account/acme"]) == "Stale"
    assert commit(engine, issued(), at=position + 1, refs=["client/client_1", "account/acme"]) == ""


def test_changes_of_other_things_make_nothing_stale(engine: Engine) -> None:
    settled(engine)
    position = head(engine).change_seq
    assert commit(engine, SUSPENDED, at=position) == ""
    assert commit(engine, issued(), at=position, refs=["account/other", "api/acme"]) == ""


def test_records_make_nothing_stale(engine: Engine) -> None:
    settled(engine)
    position = head(engine).change_seq
    assert commit(engine, issued("token_1"), at=position) == ""
    assert commit(engine, issued("token_2"), at=position, refs=["token/token_1"]) == ""


@pytest.mark.parametrize("epoch", [0, 2])
def test_facts_of_another_epoch_are_stale(engine: Engine, epoch: int) -> None:
    assert commit(engine, issued(), at=Position(epoch, 0)) == "Stale"
    assert commit(engine, ACCOUNT, at=Position(epoch, 0)) == "Stale"
    assert len(numbered(engine)) == 0


def test_of_a_batch_of_records_only_those_that_rely_on_a_change_are_stale(engine: Engine) -> None:
    settled(engine)
    position = head(engine).change_seq
    assert commit(engine, SUSPENDED, at=position) == ""
    appends = [
        an_append(issued("token_1"), at=position, refs=["account/acme"]),
        an_append(issued("token_2"), at=position, refs=["account/other"]),
        an_append(issued("token_3"), at=position + 1, refs=["account/acme"]),
    ]
    assert outcomes(engine, *appends) == ["Stale", "", ""]
    issued_ids = [row["entity_id"] for row in numbered(engine) if not row["change"]]
    assert issued_ids == ["token_2", "token_3"]


def test_a_change_makes_later_ones_of_its_own_batch_stale(engine: Engine) -> None:
    settled(engine)
    position = head(engine).change_seq
    key = e.ApiKeyCreated(an_api_key(id="key_2"), kept(REFRESH_TOKEN, "key_2"))
    appends = [
        an_append(SUSPENDED, at=position, refs=["account/acme"]),
        an_append(key, at=position, refs=["account/acme"]),
        an_append(RENAMED, at=position, refs=["api/api_1"]),
    ]
    assert outcomes(engine, *appends) == ["", "Stale", ""]
    assert count(engine, tables.api_keys) == 1


def test_records_of_a_batch_come_before_its_changes(engine: Engine) -> None:
    settled(engine)
    position = head(engine).change_seq
    appends = [an_append(SUSPENDED, at=position), an_append(issued(), at=position, refs=["account/acme"])]
    assert outcomes(engine, *appends) == ["", ""]
    assert [row["type"] for row in numbered(engine)][-2:] == ["AccessTokenIssued", "AccountUpdated"]


# Batches ------------------------------------------------------------------------------------------------------


def test_a_batch_is_one_transaction(engine: Engine) -> None:
    seen = transactions(engine)
    appends = [an_append(issued("token_1")), an_append(ACCOUNT), an_append(issued("token_2")), an_append(API)]
    assert outcomes(engine, *appends) == [""] * 4
    assert seen.count("commit") == 1
    assert head(engine) == Head(1, 4, 4)


def test_a_change_that_fails_is_undone_alone(engine: Engine) -> None:
    seen = transactions(engine)
    appends = [
        an_append(ACCOUNT),
        an_append(API, API_KEY, ACCOUNT),
        an_append(e.AccountCreated(an_account(id="other"))),
    ]
    assert outcomes(engine, *appends) == ["", "Stale", ""]
    assert seen.count("commit") == 1
    assert [row["id"] for row in rows(engine, tables.accounts)] == ["acme", "other"]
    assert [row["entity_id"] for row in numbered(engine)] == ["acme", "other"]
    assert count(engine, tables.apis) == count(engine, tables.secrets) == 0
    assert head(engine) == Head(1, 2, 2)


def test_a_record_that_cannot_be_written_fails_alone(engine: Engine) -> None:
    appends = [an_append(issued("a")), an_append(issued("b"), context=UNWRITABLE), an_append(issued("c"))]
    assert outcomes(engine, *appends) == ["", "Unavailable", ""]
    assert [row["entity_id"] for row in numbered(engine)] == ["a", "c"]


def test_a_change_that_cannot_be_written_fails_alone(engine: Engine) -> None:
    unwritable = e.AccountCreated(an_account(id="other", created_at=2**70))
    appends = [an_append(ACCOUNT), an_append(unwritable), an_append(issued())]
    assert outcomes(engine, *appends) == ["", "Unavailable", ""]
    assert [row["id"] for row in rows(engine, tables.accounts)] == ["acme"]


def test_what_is_written_beside_a_change_stands_and_falls_with_it(engine: Engine) -> None:
    def beside(connection: Connection) -> None:
        connection.execute(tables.revoked_tokens.insert(), {"id": "beside", "expires_at": 1, "revoked_at": 1})

    assert commit(engine, ACCOUNT, ACCOUNT, also=beside) == "Stale"
    assert count(engine, tables.revoked_tokens) == 0
    assert commit(engine, ACCOUNT, also=beside) == ""
    assert count(engine, tables.revoked_tokens) == 1
    assert commit(engine, API, also=beside) == "Stale"
    assert count(engine, tables.apis) == 0
    assert head(engine) == Head(1, 1, 1)


# Memory -------------------------------------------------------------------------------------------------------


class Noted(Memory):
    def __init__(self, position: Position) -> None:
        super().__init__(position)
        self.forgotten: list[tuple[list[str], Position]] = []

    def forget(self, changes: Any, position: Position) -> None:
        self.forgotten.append((sorted(changes), position))


def test_memory_forgets_what_was_changed_before_anyone_is_answered(engine: Engine) -> None:
    memory = Noted(Position(1, 0))
    appends = [an_append(ACCOUNT), an_append(issued()), an_append(API), an_append(ACCOUNT)]
    a_writer(engine, memory).commit(appends)
    assert memory.forgotten == [(["account/acme", "api/api_1"], Position(1, 3))]


def test_memory_forgets_nothing_that_was_not_committed(engine: Engine) -> None:
    memory = Noted(Position(1, 0))
    a_writer(engine, memory).commit([an_append(SUSPENDED), an_append(issued())])
    assert memory.forgotten == []


# Trouble ------------------------------------------------------------------------------------------------------


class Settled:
    """Tells each of those who wait what became of it, as the store does."""

    def __call__(self, outcomes: list[Outcome]) -> None:
        for append, problem in outcomes:
            append.future.set_result("" if problem is None else type(problem).__name__)


def waiting(*events: e.Event, **facts: Any) -> Append:
    return an_append(*events, future=Future(), **facts)


def test_the_thread_outlives_whatever_it_is_given(engine: Engine) -> None:
    def fail(connection: Connection) -> None:
        raise ZeroDivisionError

    writer = Writer(engine, Memory(Position(1, 0)), Settled())
    writer.start()
    try:
        for append, outcome in [
            (waiting(also=fail), "Unavailable"),
            (waiting(issued(), context=UNWRITABLE), "Unavailable"),
            (waiting(ACCOUNT), ""),
        ]:
            writer.put([append])
            assert append.future.result(30) == outcome
    finally:
        writer.stop()


def test_what_waits_when_the_writer_stops_is_committed(engine: Engine) -> None:
    writer = Writer(engine, Memory(Position(1, 0)), Settled())
    appends = [waiting(issued(f"token_{n}")) for n in range(3)]
    for append in appends:
        writer.put([append])
    writer.start()
    writer.stop()
    assert [append.future.result(0) for append in appends] == [""] * 3
    assert len(numbered(engine)) == 3


def test_what_nobody_waits_for_any_more_is_not_begun(engine: Engine) -> None:
    writer = Writer(engine, Memory(Position(1, 0)), Settled())
    given_up, other = waiting(issued("given up")), waiting(issued("other"))
    given_up.future.cancel()
    writer.put([given_up, other])
    writer.start()
    writer.stop()
    assert [row["entity_id"] for row in numbered(engine)] == ["other"]


def test_a_database_in_trouble_is_asked_once_and_not_for_each(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fail(connection: Connection) -> Head:
        asked.append(1)
        raise OperationalError("", (), Exception("gone"))

    monkeypatch.setattr("doorward.store.journal.lock_head", fail)
    assert outcomes(engine, *(an_append(issued(str(n))) for n in range(9))) == ["Unavailable"] * 9
    assert len(asked) == 1


def test_a_connection_that_the_database_closed_is_unavailable_once(on_postgresql: Database) -> None:
    engine = on_postgresql.engine()

    def close(connection: Connection) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert outcomes(engine, an_append(ACCOUNT, also=close), an_append(issued())) == ["Unavailable"] * 2
    assert len(numbered(engine)) == count(engine, tables.accounts) == 0
    assert outcomes(engine, an_append(ACCOUNT), an_append(issued())) == ["", ""]


def test_a_connection_that_was_closed_a_moment_ago_is_not_given_out(on_postgresql: Database) -> None:
    engine, other = on_postgresql.engine(), on_postgresql.engine()
    with engine.connect() as connection:
        known = connection.scalar(text("SELECT pg_backend_pid()"))
    with other.connect() as connection:
        connection.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": known})
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != known


def test_a_head_that_another_holds_for_long_is_unavailable(
    on_postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SESSION", "SET lock_timeout = '50ms'")
    with on_postgresql.engine().begin() as other:
        other.execute(text("SELECT * FROM journal_head FOR UPDATE"))
        assert commit(on_postgresql.engine(), issued()) == "Unavailable"
    assert commit(on_postgresql.engine(), issued()) == ""


def test_a_file_that_another_holds_for_long_is_unavailable(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    with sqlite.engine().execution_options(writing=True).begin():
        assert commit(sqlite.engine(), issued()) == "Unavailable"
    assert commit(sqlite.engine(), issued()) == ""


def test_a_node_that_stands_still_in_a_transaction_is_cut_off(
    on_postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SESSION", "SET idle_in_transaction_session_timeout = '50ms'")
    with on_postgresql.engine().connect() as still:
        still.execute(text("SELECT * FROM journal_head FOR UPDATE"))
        assert commit(on_postgresql.engine(), issued()) == ""
        with pytest.raises(DBAPIError, match="idle-in-transaction"):
            still.execute(text("SELECT 1"))


def test_the_session_limits_are_set(on_postgresql: Database) -> None:
    with on_postgresql.engine().connect() as connection:
        limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        assert [connection.execute(text(f"SHOW {limit}")).scalar() for limit in limits] == ["2s", "10s", "5s"]


def test_a_full_disk_is_unavailable_until_there_is_space(sqlite: Database) -> None:
    engine = sqlite.engine()

    def limit(pages: int) -> None:
        engine.dispose()
        event.listen(engine, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count={pages}"))

    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    limit(pages)
    large = an_account(id="large", name="x" * 100_000)
    batch = [an_append(issued("token_1")), an_append(e.AccountCreated(large)), an_append(ACCOUNT)]
    assert outcomes(engine, *batch) == ["Unavailable"] * 3
    assert count(engine, tables.accounts) == len(numbered(engine)) == 0
    limit(pages + 1000)
    assert outcomes(engine, *batch) == [""] * 3
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_a_database_that_is_gone_is_unavailable(sqlite: Database) -> None:
    engine = sqlite.engine()
    writer = a_writer(engine)
    for path in (engine.url.database or "", f"{engine.url.database}-wal", f"{engine.url.database}-shm"):
        Path(path).unlink(missing_ok=True)
    engine.dispose()
    ((_, problem),) = writer.commit([an_append(issued(), now=NOW)])
    assert type(problem).__name__ == "Unavailable"
