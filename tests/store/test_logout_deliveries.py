"""Who has yet to hear that a session ended: written with its end, taken by one worker, gone once it is settled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.protocol.allowed import an_app
from tests.protocol.given import KEY, NOW, POLICY, a_logout_delivery, a_session, a_user_grant, kept
from tests.store.committing import an_append as append
from tests.store.committing import commit, outcomes, rows, settled

from doorward.protocol import events as e
from doorward.protocol import people_events as p
from doorward.protocol.entities import Client
from doorward.protocol.logout_token import TRIES
from doorward.protocol.moment import Position
from doorward.protocol.people import LogoutDelivery
from doorward.store import logout_deliveries, tables
from doorward.store.memory import Memory, Reader
from doorward.store.rows import row

ENDED = p.SessionEnded(a_session(ended_at=NOW))
URI = "https://client.example/logout"


def a_client(engine: Engine, id_: str, *grants: str, session_id: str = "session_1", **fields: Any) -> Client:
    """Who was allowed something in a session."""
    client = an_app(id=id_, **{"backchannel_logout_uri": URI, **fields}).client
    made = tuple(a_user_grant(id=grant, client_id=id_, session_id=session_id) for grant in grants)
    secret = kept(KEY, id_, id=id_, mac=id_.encode())
    assert commit(engine, e.ClientCreated(client, secret, made)) == ""
    return client


@pytest.fixture
def listened(engine: Engine) -> Engine:
    """A session in which two clients got tokens that want to hear of its end, one of them twice."""
    settled(engine)
    a_client(engine, "client_a", "grant_1", "grant_2")
    a_client(engine, "client_b", "grant_3")
    return engine


def owed(engine: Engine) -> list[str]:
    return [found["client_id"] for found in rows(engine, tables.logout_deliveries)]


def claimed(engine: Engine, now: int = NOW) -> tuple[LogoutDelivery, ...]:
    """As a worker's writer does it."""
    found: list[LogoutDelivery] = []
    step = append(also=lambda connection: found.extend(logout_deliveries.claim(connection, now)))
    assert outcomes(engine, step) == [""]
    return tuple(found)


def test_each_client_that_wants_to_hear_is_owed_it_once(listened: Engine) -> None:
    a_client(listened, "client_silent", "grant_4", backchannel_logout_uri=None)
    a_client(listened, "client_elsewhere", "grant_5", session_id="session_9")
    a_client(listened, "client_without")
    assert commit(listened, ENDED) == ""
    assert rows(listened, tables.logout_deliveries) == [
        row(a_logout_delivery(client_id="client_a")), row(a_logout_delivery(client_id="client_b")),
    ]  # fmt: skip


def test_a_client_that_was_deleted_is_owed_nothing(listened: Engine) -> None:
    gone = an_app(id="client_a", state="deleted", version=2).client
    assert commit(listened, e.ClientDeleted(gone)) == ""
    assert commit(listened, ENDED) == ""
    assert owed(listened) == ["client_b"]


def test_an_end_that_was_not_committed_owes_nothing(listened: Engine) -> None:
    """All of it or none of it: the same transaction."""
    again = p.SessionEnded(a_session(id="session_9", ended_at=NOW))
    assert commit(listened, ENDED, again) == "Stale"
    assert owed(listened) == []
    assert commit(listened, ENDED) == ""
    assert commit(listened, ENDED) == "Stale"
    assert owed(listened) == ["client_a", "client_b"]


def test_what_is_due_is_taken_once_and_comes_again_later(listened: Engine) -> None:
    commit(listened, ENDED)
    first = claimed(listened)
    assert [(one.client_id, one.attempts, one.next_at) for one in first] == [
        ("client_a", 1, NOW + 10), ("client_b", 1, NOW + 10),
    ]  # fmt: skip
    assert claimed(listened) == ()
    assert claimed(listened, NOW + 9) == ()
    assert [one.attempts for one in claimed(listened, NOW + 10)] == [2, 2]


def test_of_many_workers_one_takes_it(listened: Engine) -> None:
    commit(listened, ENDED)
    barrier, found = threading.Barrier(4), list[tuple[LogoutDelivery, ...]]()

    def take() -> None:
        barrier.wait()
        found.append(claimed(listened))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one) for one in found) == [0, 0, 0, 2]


def test_what_is_taken_at_once_is_bounded(engine: Engine) -> None:
    settled(engine)
    many = [row(a_logout_delivery(client_id=f"client_{n:03}", next_at=NOW - n)) for n in range(60)]
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(tables.logout_deliveries.insert(), many)
    first = claimed(engine)
    assert len(first) == logout_deliveries.CLAIM_LIMIT == 50
    assert first[0].client_id == "client_059", "the oldest first"
    assert len(claimed(engine)) == 10


@pytest.mark.parametrize(
    "settles", [p.LogoutTokenDelivered, lambda one: p.LogoutTokenUndelivered(one, "status_500")], ids=["taken", "not"]
)
def test_what_is_settled_is_gone_and_saying_so_twice_is_no_error(
    listened: Engine, settles: Callable[[LogoutDelivery], p.LogoutEvent]
) -> None:
    commit(listened, ENDED)
    first = claimed(listened)[0]
    for _ in range(2):
        assert commit(listened, settles(first)) == ""
        assert owed(listened) == ["client_b"]


def test_a_worker_that_ended_in_the_last_try_leaves_it_to_be_told(listened: Engine) -> None:
    commit(listened, ENDED)
    now = NOW
    for _ in range(TRIES):
        now = claimed(listened, now)[0].next_at
    assert [one.attempts for one in claimed(listened, now)] == [TRIES + 1, TRIES + 1]


def test_it_goes_to_the_client_as_it_is_registered_by_then(listened: Engine) -> None:
    def client_of(delivery: LogoutDelivery) -> Client | None:
        with listened.connect() as connection:
            reader = Reader(Memory(Position(1, 0)), POLICY, connection, Position(1, 0))
            return logout_deliveries.facts(reader, delivery).client

    delivery = a_logout_delivery(client_id="client_a")
    known = client_of(delivery)
    assert known is not None
    assert known.backchannel_logout_uri == URI
    moved = replace(known, backchannel_logout_uri=f"{URI}/moved", version=2)
    assert commit(listened, e.ClientUpdated(moved)) == ""
    assert client_of(delivery) == moved
    assert commit(listened, e.ClientDeleted(replace(moved, state="deleted", version=3))) == ""
    assert client_of(delivery) is None
