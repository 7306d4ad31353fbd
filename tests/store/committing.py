"""Commits as the writer's thread makes them, without the thread, so that a test decides what comes when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select
from tests.protocol.given import (
    KEY,
    NOW,
    a_client,
    a_grant,
    a_membership,
    a_session,
    a_user,
    a_verifier,
    an_account,
    an_admin_key,
    an_api,
    an_api_key,
    kept,
)

from doorward.protocol import events as e
from doorward.protocol import people_events as p
from doorward.protocol.moment import Position
from doorward.store import journal
from doorward.store.housekeeping import Housekeeping
from doorward.store.journal import Context
from doorward.store.memory import Memory
from doorward.store.retention import Retention
from doorward.store.tables import schedules
from doorward.store.tallies import Step
from doorward.store.writer import Append, Writer

CONTEXT = Context("admin_1", "req_1")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def head(engine: Engine) -> journal.Head:
    with engine.connect() as connection:
        return journal.read_head(connection)


def an_append(*events: e.Event, at: Position | int = 0, refs: Iterable[str] = (), **fields: Any) -> Append:
    """Facts read at `at`, the first position of all when nothing else is said."""
    position = at if isinstance(at, Position) else Position(1, at)
    return Append(events, position, frozenset(refs), fields.pop("context", CONTEXT), fields.pop("now", NOW), **fields)


def a_writer(engine: Engine, memory: Memory | None = None) -> Writer:
    known = Memory(head(engine).position) if memory is None else memory
    return Writer(engine, known, lambda outcomes: None)


def outcomes(engine: Engine, *appends: Append) -> list[str]:
    """What became of each, in one batch: the name of the problem, or nothing."""
    problems = {id(append): problem for append, problem in a_writer(engine).commit(appends)}
    return [type(problem).__name__ if (problem := problems[id(append)]) else "" for append in appends]


def commit(engine: Engine, *events: e.Event, **facts: Any) -> str:
    """Several events of one decision."""
    (outcome,) = outcomes(engine, an_append(*events, **facts))
    return outcome


def rows(engine: Engine, table: Table) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]


def numbered(engine: Engine) -> list[dict[str, Any]]:
    """The rows of both ledgers, as they were numbered."""
    return sorted((row for table in journal.LEDGERS for row in rows(engine, table)), key=lambda row: row["seq"])


class Steps:
    """A writer that runs each step in a transaction of its own, and keeps what they returned."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.results: list[int] = []

    def __call__(self, step: Step) -> int:
        with self.engine.execution_options(writing=True).begin() as connection:
            self.results.append(step(connection))
        return self.results[-1]


def housekeeper(engine: Engine, now: Callable[[], int], kept: Retention | None = None) -> Housekeeping:
    """One of a worker's own; it looks when it is told to."""

    def read(query: Callable[[Connection], Any]) -> Any:
        with engine.connect() as connection:
            return query(connection)

    return Housekeeping(read, Steps(engine), now, kept or Retention())


def swept(engine: Engine, now: int, kept: Retention | None = None) -> None:
    """As if nobody had done it for long."""
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(schedules.delete().where(schedules.c.name == "housekeeping"))
    assert housekeeper(engine, lambda: now, kept).look()


def count(engine: Engine, table: Table) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def read(engine: Engine, find: Any, key: Any) -> Any:
    with engine.connect() as connection:
        return find(connection, key)


def issued(jti: str = "token_1", **fields: Any) -> e.AccessTokenIssued:
    return e.AccessTokenIssued(jti, "client_1", "grant_api_1", NOW + 300, **fields)


ACCOUNT, API = e.AccountCreated(an_account()), e.ApiCreated(an_api())
API_KEY = e.ApiKeyCreated(an_api_key(), kept(KEY, "key_1"))
CLIENT = e.ClientCreated(a_client().client, a_client().secrets[0], (a_grant().grant,))
VERIFIER = e.VerifierCreated(a_verifier().verifier, a_verifier().secrets[0])
ADMIN_KEY = e.AdminKeyCreated(an_admin_key().admin_key, an_admin_key().secret)

USER, MEMBERSHIP = p.UserCreated(a_user()), p.MembershipCreated(a_membership())
SESSION = p.SessionStarted(a_session())


def settled(engine: Engine) -> None:
    """An account, an api, one of each credential, and a user who is signed in."""
    assert commit(engine, ACCOUNT, API, API_KEY, CLIENT, VERIFIER, ADMIN_KEY, USER, MEMBERSHIP, SESSION) == ""
