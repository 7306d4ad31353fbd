"""The follower: another worker's commit is heard soon, and a memory that hears nothing is not believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, text
from tests.postgresql import PostgreSQL
from tests.protocol.given import an_account
from tests.store.committing import ACCOUNT, a_writer, an_append, commit, head, issued, settled, until
from tests.store.conftest import Database
from tests.store.test_memory import Value

from doorward.protocol import events as e
from doorward.protocol.moment import Position
from doorward.store import follower as following
from doorward.store.follower import Follower
from doorward.store.journal import Head
from doorward.store.memory import Memory
from doorward.store.writer import SetBack

SUSPENDED = e.AccountUpdated(an_account(state="suspended", version=2))


def two_polls_of(follower: Counted) -> None:
    polls = follower.polls
    until(lambda: follower.polls >= polls + 2)


class Counted(Follower):
    polls = 0

    def poll(self, connection: Connection) -> None:
        super().poll(connection)
        self.polls += 1


@contextmanager
def followed(engine: Engine) -> Iterator[tuple[Memory, Counted]]:
    memory = Memory(head(engine).position)
    follower = Counted(engine, memory)
    follower.start()
    try:
        yield memory, follower
    finally:
        follower.stop()


def test_a_commit_of_another_is_heard_by_the_second_poll_after_it(database: Database) -> None:
    settled(database.engine())
    with followed(database.engine()) as (memory, follower):
        for version in range(2, 6):
            memory.keep("acme", Value("known", ("account/acme",)), memory.position)
            assert commit(database.engines[0], e.AccountUpdated(an_account(version=version))) == ""
            # A poll may be under way that looked before the commit; the one after it cannot miss it.
            two_polls_of(follower)
            assert memory.recall("acme") is None
            assert memory.position == head(database.engines[0]).position


def test_records_of_another_drop_nothing(database: Database) -> None:
    settled(database.engine())
    with followed(database.engine()) as (memory, follower):
        memory.keep("acme", Value("known", ("account/acme",)), memory.position)
        assert commit(database.engines[0], issued()) == ""
        two_polls_of(follower)
        assert memory.recall("acme") is not None


def test_who_cannot_be_told_keeps_it_from_counting_as_heard(engine: Engine) -> None:
    """What was revoked is with those who tell it before anybody may say that nothing was."""
    told: list[Position] = []
    works = True

    def tell(_: Connection, position: Position) -> None:
        if not works:
            raise ZeroDivisionError
        told.append(position)

    follower = Follower(engine, Memory(head(engine).position), tell)
    follower.start()
    try:
        until(lambda: follower.is_fresh and len(told) > 0)
        works = False
        assert commit(engine, ACCOUNT) == ""
        until(lambda: not follower.is_fresh)
        works = True
        until(lambda: told[-1] == Position(1, 1) and follower.is_fresh)
    finally:
        follower.stop()


def test_polls_are_at_most_a_tenth_of_a_second_apart() -> None:
    """With as much again for a busy machine, a revocation is heard well within the second that was promised."""
    assert following.SQLITE_INTERVAL <= 0.05
    assert following.POSTGRESQL_INTERVAL <= 0.1


def test_an_idle_follower_on_sqlite_reads_no_table(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read_head = following.journal.read_head
    engine = sqlite.engine()

    def counted(connection: Connection) -> Head:
        # Deployments of other tests may live in this process, and follow their own databases.
        if connection.engine.url == engine.url:
            reads.append(1)
        return read_head(connection)

    monkeypatch.setattr(following.journal, "read_head", counted)
    with followed(engine) as (_, follower):
        until(lambda: follower.polls >= 5)
        assert len(reads) == 2  # `head` of this test, and the first poll
        assert commit(sqlite.engine(), issued()) == ""
        two_polls_of(follower)
        assert len(reads) == 4  # the writer of this test, and the poll that noticed


def test_a_restored_database_empties_memory(engine: Engine) -> None:
    with followed(engine) as (memory, _):
        memory.keep("acme", Value("known"), memory.position)
        with engine.begin() as connection:
            connection.execute(text("UPDATE journal_head SET epoch = 2"))
        until(lambda: memory.position == Position(2, 0))
        assert memory.recall("acme") is None


def test_a_follower_that_hears_nothing_is_not_fresh(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    with followed(engine) as (memory, follower):
        until(lambda: follower.polls >= 1)
        assert follower.is_fresh
        monkeypatch.setattr(following, "catch_up", fail)
        monkeypatch.setattr(Follower, "_moved", fail)
        until(lambda: not follower.is_fresh)
        monkeypatch.undo()
        until(lambda: follower.is_fresh)
        assert commit(engine, ACCOUNT) == ""
        until(lambda: memory.position == Position(1, 1))


def test_a_database_that_stops_is_not_believed_and_one_that_returns_is_followed(
    postgresql: PostgreSQL, on_postgresql: Database
) -> None:
    engine = on_postgresql.engine()
    with followed(engine) as (memory, follower):
        assert commit(engine, ACCOUNT) == ""
        until(lambda: memory.position == Position(1, 1))
        writer = a_writer(engine)
        postgresql.stop()
        try:
            until(lambda: not follower.is_fresh)
            ((_, problem),) = writer.commit([an_append(SUSPENDED, at=1)])
            assert type(problem).__name__ == "Unavailable"
        finally:
            postgresql.start()
        until(lambda: follower.is_fresh)
        assert commit(engine, SUSPENDED, at=1) == ""
        until(lambda: memory.position == Position(1, 2))


def set_back(engine: Engine, seq: int) -> None:
    """As an older copy of the database is, or a replica that lacks the last commits."""
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(text(f"DELETE FROM journal WHERE seq > {seq}"))
        connection.execute(text(f"UPDATE journal_head SET seq = {seq}, change_seq = {seq}"))


def test_a_database_that_was_set_back_is_not_followed_and_the_memory_not_believed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    settled(database.engine())
    known = head(database.engines[0]).position
    with followed(database.engine()) as (memory, follower):
        two_polls_of(follower)
        set_back(database.engines[0], known.seq - 1)
        until(lambda: not follower.is_fresh)
        assert memory.position == known
        with database.engines[0].connect() as connection, pytest.raises(SetBack):
            following.catch_up(connection, memory)
    assert sum("answers nothing from it" in line for line in caplog.messages) == 1


def test_nothing_is_written_to_a_database_that_was_set_back(database: Database) -> None:
    engine = database.engine()
    settled(engine)
    writer = a_writer(engine)
    ((_, problem),) = writer.commit([an_append(e.AccountUpdated(an_account(version=2)), at=head(engine).position)])
    assert problem is None
    reached = head(engine)
    set_back(engine, reached.change_seq - 1)
    older = head(engine)
    outcomes = writer.commit([an_append(issued(), at=older.position), an_append(issued(), at=older.position)])
    assert [repr(problem) for _, problem in outcomes] == ["Unavailable('SetBack')"] * 2
    assert head(engine) == older
