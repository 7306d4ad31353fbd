"""The store as the runner uses it: races have one winner and everybody an answer; what is silent is not waited for."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from tests.postgresql import PostgreSQL
from tests.protocol.given import POLICY, an_account
from tests.store.committing import ACCOUNT, CONTEXT, NOW, commit, count, issued, numbered, read, rows, settled, until
from tests.store.conftest import Database
from tests.store.test_events import later

from doorward import deadline
from doorward.app import SETUP
from doorward.exchange import run
from doorward.protocol import events as e
from doorward.protocol import setup
from doorward.protocol.administration import Answered
from doorward.protocol.entities import SetupLink
from doorward.protocol.events import Event
from doorward.protocol.moment import Position
from doorward.protocol.setup import SetupOver
from doorward.store import accounts, clients, idempotency, tables
from doorward.store import store as stores
from doorward.store.follower import Follower
from doorward.store.journal import Context
from doorward.store.memory import Reader
from doorward.store.rows import Stale
from doorward.store.store import Gathered, Overloaded, Store
from doorward.store.writer import Unavailable

NOTHING = Gathered(None, Position(1, 0), frozenset())
SUSPENDED = e.AccountUpdated(later(an_account(), state="suspended"))


class Watched(Store):
    """Tells which events it was told of."""

    observed: list[Event]

    def begin(self) -> None:
        self.observed = []
        self.start(self.observed.extend)


@asynccontextmanager
async def opened(engine: Engine) -> AsyncIterator[Watched]:
    store = Watched(engine, POLICY)
    store.begin()
    try:
        yield store
    finally:
        await asyncio.to_thread(store.stop)


def committed(store: Store, *events: Event, facts: Gathered[Any] = NOTHING) -> Coroutine[None, None, None]:
    return store.commit(events, facts, CONTEXT, NOW)


def client(reader: Reader, client_id: str) -> Any:
    return reader(clients.by_id, client_id)


def account(reader: Reader, account_id: str) -> Any:
    reader.rely(f"account/{account_id}")
    return accounts.by_id(reader.connection, account_id)


async def use_link(store: Store, token: str) -> str:
    try:
        return (await run(SETUP, setup.UseLink(token), store, lambda reply: reply, lambda _: Context("setup"))).key
    except SetupOver:
        return "over"


# Races --------------------------------------------------------------------------------------------------------


def test_of_32_racers_for_one_link_all_get_an_answer_and_exactly_one_wins(database: Database) -> None:
    """On two workers, each with its own memory, queue and connection."""
    link = SetupLink(setup.digest("the token"), int(time.time()) + 600, NOW)
    assert commit(database.engine(), e.SetupLinkCreated(link)) == ""

    async def race() -> list[str]:
        async with opened(database.engine()) as one, opened(database.engine()) as another:
            return await asyncio.gather(*(use_link(store, "the token") for store in (one, another) * 16))

    answers = asyncio.run(race())
    assert len(answers) == 32
    assert answers.count("over") == 31
    assert count(database.engines[0], tables.admin_keys) == 1


def test_without_deciding_again_the_losers_would_get_no_answer(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: one attempt only."""
    monkeypatch.setattr("doorward.exchange.ATTEMPTS", 1)
    with pytest.raises(Exception, match="facts kept changing"):
        test_of_32_racers_for_one_link_all_get_an_answer_and_exactly_one_wins(sqlite)


def test_facts_from_memory_are_stale_once_another_worker_changed_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the follower has not told yet: it is stopped here."""
    settled(database.engine())
    monkeypatch.setattr(Follower, "poll", lambda self, connection: setattr(self, "_heard_at", time.monotonic()))

    async def issue() -> None:
        async with opened(database.engine()) as store:
            await store.gather(client, "client_1")
            assert commit(database.engines[0], SUSPENDED) == ""
            facts = await store.gather(client, "client_1")
            assert facts.facts.account.state == "active"
            with pytest.raises(Stale):
                await committed(store, issued(), facts=facts)

    asyncio.run(issue())
    assert [row["type"] for row in numbered(database.engines[0])][-1] == "AccountUpdated"


# Reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def statements(engine: Engine) -> list[str]:
    """What SQLAlchemy sends, of readers: the followers' polls are left out."""
    sent: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *more: Any) -> None:
        if "clients" in statement:
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return sent


def test_what_is_known_is_answered_from_memory(engine: Engine, statements: list[str]) -> None:
    settled(engine)

    async def twice() -> None:
        async with opened(engine) as store:
            first = await store.gather(client, "client_1")
            asked = len(statements)
            second = await store.gather(client, "client_1")
            assert (first.facts, first.refs) == (second.facts, second.refs)
            assert len(statements) == asked
            assert first.refs == set(first.facts.refs)

    asyncio.run(twice())


def test_a_change_of_this_worker_holds_in_its_very_next_answer(engine: Engine) -> None:
    settled(engine)

    async def suspend() -> None:
        async with opened(engine) as store:
            facts = await store.gather(account, "acme")
            assert (await store.gather(client, "client_1")).facts.account.state == "active"
            await committed(store, SUSPENDED, facts=facts)
            assert (await store.gather(client, "client_1")).facts.account.state == "suspended"

    asyncio.run(suspend())


def test_a_memory_that_hears_nothing_is_not_believed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(database.engine())

    async def ask() -> None:
        async with opened(database.engine()) as store:
            await store.gather(client, "client_1")
            monkeypatch.setattr(Follower, "is_fresh", False)
            assert commit(database.engines[0], SUSPENDED) == ""
            assert (await store.gather(client, "client_1")).facts.account.state == "suspended"

    asyncio.run(ask())


def test_all_that_a_reader_reads_is_of_one_moment(database: Database) -> None:
    settled(database.engine())

    def torn(reader: Reader, account_id: str) -> list[str]:
        before = accounts.by_id(reader.connection, account_id)
        assert commit(database.engines[0], SUSPENDED) == ""
        after = accounts.by_id(reader.connection, account_id)
        assert before is not None
        assert after is not None
        return [before.state, after.state]

    async def ask() -> None:
        async with opened(database.engine()) as store:
            assert (await store.gather(torn, "acme")).facts == ["active", "active"]

    asyncio.run(ask())


def test_what_is_asked_in_one_turn_of_the_loop_is_read_together_and_each_has_his_own_answer(sqlite: Database) -> None:
    """Of an embedded database. What one of them asks in vain the others do not suffer from."""
    engine, begun = sqlite.engine(), list[int]()
    settled(engine)

    def wrong(reader: Reader, account_id: str) -> Any:
        reader.connection.exec_driver_sql("SELECT nothing FROM nowhere")

    def broken(reader: Reader, account_id: str) -> Any:
        assert reader.connection
        raise ZeroDivisionError

    async def ask() -> list[Any]:
        async with opened(engine) as store:
            event.listen(engine, "begin", lambda connection: begun.append(1))
            asked = (account, account, wrong, broken, account)
            work = [
                store.gather(gather, id_) for gather, id_ in zip(asked, ("acme", "other", "", "", "acme"), strict=True)
            ]
            return await asyncio.gather(*work, return_exceptions=True)

    first, none, unreadable, failed, last = asyncio.run(ask())
    assert (first.facts, first.refs) == (last.facts, last.refs) == (an_account(), {"account/acme"})
    assert (none.facts, none.refs) == (None, {"account/other"})
    assert (type(unreadable), type(failed)) == (Unavailable, ZeroDivisionError)
    assert len(begun) == 1


def test_one_who_asks_for_much_keeps_the_next_from_nothing(sqlite: Database) -> None:
    settled(sqlite.engine())
    held = threading.Event()

    def slow(reader: Reader, account_id: str) -> bool:
        return accounts.by_id(reader.connection, account_id) is not None and held.wait(30)

    async def ask() -> tuple[Any, Any]:
        async with opened(sqlite.engine()) as store:
            first = asyncio.create_task(store.gather(slow, "acme"))
            await asyncio.sleep(0.01)
            second = await store.gather(account, "acme")
            held.set()
            return (await first).facts, second.facts

    assert asyncio.run(ask()) == (True, an_account())


# Committing ---------------------------------------------------------------------------------------------------


def test_what_one_turn_of_the_loop_brings_is_one_transaction(engine: Engine) -> None:
    commits: list[int] = []

    async def issue() -> None:
        async with opened(engine) as store:
            await committed(store, issued("first"))
            event.listen(engine, "commit", lambda connection: commits.append(1))
            await asyncio.gather(*(committed(store, issued(f"token_{n}")) for n in range(50)))
            assert len(store.observed) == 51

    asyncio.run(issue())
    assert len(commits) == 1
    assert len(numbered(engine)) == 51


def test_each_of_a_batch_gets_its_own_answer(engine: Engine) -> None:
    async def create() -> list[Any]:
        async with opened(engine) as store:
            work = [committed(store, ACCOUNT), committed(store, ACCOUNT), committed(store, issued())]
            answers = await asyncio.gather(*work, return_exceptions=True)
            assert store.observed == [issued(), ACCOUNT]
            return answers

    assert [type(answer) for answer in asyncio.run(create())] == [type(None), Stale, type(None)]


def test_who_waits_no_longer_does_no_harm(engine: Engine) -> None:
    async def cancel() -> None:
        async with opened(engine) as store:
            waiting = asyncio.ensure_future(committed(store, issued("abandoned")))
            await asyncio.sleep(0)
            waiting.cancel()
            await committed(store, issued("token_1"))
            assert {event.jti for event in store.observed if isinstance(event, e.AccessTokenIssued)} == {
                row["entity_id"] for row in numbered(engine)
            }

    asyncio.run(cancel())


def test_more_than_the_limit_is_refused_and_the_rest_committed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "UNCOMMITTED_LIMIT", 5)

    async def flood() -> list[Any]:
        async with opened(engine) as store:
            work = [committed(store, issued(f"token_{n}")) for n in range(8)]
            answers = await asyncio.gather(*work, return_exceptions=True)
            await committed(store, issued("afterwards"))
            return answers

    assert [type(answer) for answer in asyncio.run(flood())] == [type(None)] * 5 + [Overloaded] * 3
    assert len(numbered(engine)) == 6


def test_so_many_reads_wait_and_the_rest_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight, with four threads that are held until all have asked."""
    monkeypatch.setattr(stores, "READING_LIMIT", 6)
    held = threading.Event()

    async def flood() -> tuple[list[Any], object]:
        async with opened(engine) as store:
            asked = [asyncio.create_task(store.read(lambda _: held.wait())) for _ in range(8)]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            held.set()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            return answers, await store.read(lambda _: "afterwards")

    answers, afterwards = asyncio.run(flood())
    assert [type(answer) for answer in answers] == [bool] * 6 + [Overloaded] * 2
    assert afterwards == "afterwards"


def test_what_was_begun_is_committed_when_the_store_stops(engine: Engine) -> None:
    async def stop() -> None:
        store = Store(engine, POLICY)
        store.start()
        waiting = asyncio.ensure_future(committed(store, issued()))
        await asyncio.sleep(0)
        store.stop()
        await waiting

    asyncio.run(stop())
    assert len(numbered(engine)) == 1


def test_before_it_runs_the_store_commits_by_itself(engine: Engine) -> None:
    store = Store(engine, POLICY)
    facts = store.gather_now(account, "acme")
    store.commit_now((ACCOUNT,), facts, CONTEXT, NOW)
    with pytest.raises(Stale):
        store.commit_now((ACCOUNT,), facts, CONTEXT, NOW)
    store.dispose()


# Trouble ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def silent(database: Database) -> AsyncIterator[None]:
    """Somebody holds what every commit needs; no error, no answer."""
    with database.engine().execution_options(writing=True).connect() as other:
        transaction = other.begin()
        if not database.is_sqlite:
            other.execute(text("SELECT * FROM journal_head FOR UPDATE"))
        yield
        transaction.rollback()


def test_nobody_waits_for_a_silent_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PATIENCE", 0.1)

    async def ask() -> None:
        async with opened(database.engine()) as store:
            async with silent(database):
                with pytest.raises(Unavailable, match="does not answer"):
                    await committed(store, issued("in silence"))
            monkeypatch.setattr(stores, "PATIENCE", 30.0)
            await committed(store, issued("afterwards"))

    asyncio.run(ask())
    assert numbered(database.engines[0])[-1]["entity_id"] == "afterwards"


def test_a_request_waits_for_its_commit_as_long_as_it_has_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F7: what it waited for before is not waited for once more."""
    monkeypatch.setattr(stores, "PATIENCE", 600.0)

    async def ask() -> None:
        async with opened(database.engine()) as store:
            deadline.begin(time.monotonic() + 0.2)
            async with silent(database):
                with pytest.raises(Unavailable, match="does not answer"):
                    await committed(store, issued("in silence"))
            with pytest.raises(Unavailable, match="does not answer"):
                await store.read(lambda connection: time.sleep(0.1))
            deadline.begin(math.inf)
            await committed(store, issued("afterwards"))

    asyncio.run(ask())
    assert numbered(database.engines[0])[-1]["entity_id"] == "afterwards"


def test_a_reader_that_gets_no_answer_gives_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PATIENCE", 0.05)

    async def ask() -> None:
        async with opened(engine) as store:
            with pytest.raises(Unavailable):
                await store.read(lambda connection: time.sleep(0.2))

    asyncio.run(ask())


def test_without_a_database_nothing_is_answered_and_with_it_all_is_as_before(
    postgresql: PostgreSQL, on_postgresql: Database
) -> None:
    settled(on_postgresql.engine())

    async def ask() -> None:
        async with opened(on_postgresql.engine()) as store:
            facts = await store.gather(client, "client_1")
            await asyncio.to_thread(postgresql.stop)
            try:
                await asyncio.to_thread(until, lambda: not store._follower.is_fresh)
                for answer in (
                    store.gather(client, "client_1"),
                    store.read(lambda connection: accounts.by_id(connection, "acme")),
                    committed(store, issued("lost"), facts=facts),
                ):
                    with pytest.raises(Unavailable):
                        await answer
            finally:
                await asyncio.to_thread(postgresql.start)
            await asyncio.to_thread(until, lambda: store._follower.is_fresh)
            again = await store.gather(client, "client_1")
            await committed(store, issued("found"), facts=again)
            assert again.facts == facts.facts

    asyncio.run(ask())
    issued_ids = [row["entity_id"] for row in numbered(on_postgresql.engines[0]) if not row["change"]]
    assert issued_ids == ["found"]


# Idempotency (decision 18) --------------------------------------------------------------------------------------

REPLY = Answered("a digest", b"sealed", NOW + 100)


def keep(engine: Engine, answered: Answered, now: int = NOW, account_id: str = "acme") -> str:
    created = e.AccountCreated(an_account(id=account_id))
    return commit(engine, created, also=lambda connection: idempotency.keep(connection, "a key", answered, now))


def test_a_kept_reply_is_found(engine: Engine) -> None:
    assert read(engine, idempotency.find, "a key") is None
    assert keep(engine, REPLY) == ""
    assert read(engine, idempotency.find, "a key") == REPLY
    assert read(engine, idempotency.find, "another key") is None


def test_of_two_creations_under_one_key_one_is_stale_and_leaves_nothing(engine: Engine) -> None:
    assert keep(engine, REPLY) == ""
    assert keep(engine, Answered("another", b"other", NOW + 100), account_id="other") == "Stale"
    assert [row["id"] for row in rows(engine, tables.accounts)] == ["acme"]
    assert read(engine, idempotency.find, "a key") == REPLY


def test_a_key_is_free_again_when_its_reply_has_expired(engine: Engine) -> None:
    assert keep(engine, REPLY) == ""
    later_reply = Answered("another", b"other", NOW + 300)
    assert keep(engine, later_reply, now=NOW + 100, account_id="other") == ""
    assert read(engine, idempotency.find, "a key") == later_reply


def test_the_reply_is_not_kept_when_the_creation_fails(engine: Engine) -> None:
    assert commit(engine, ACCOUNT) == ""

    def beside(connection: Connection) -> None:
        idempotency.keep(connection, "a key", REPLY, NOW)

    assert commit(engine, ACCOUNT, also=beside) == "Stale"
    assert read(engine, idempotency.find, "a key") is None
