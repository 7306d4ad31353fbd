"""Status lists in the store: leases that nobody shares, and bits that follow the revocation log."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, update
from tests.protocol.given import NOW, a_client, a_grant, a_signing_key, an_account
from tests.store.committing import an_append, commit, count, head, issued, outcomes, read, rows, settled, swept
from tests.store.conftest import Database

from doorward.protocol import events as e
from doorward.protocol import signing_key_events as s
from doorward.protocol.entities import ListedToken
from doorward.protocol.revocation_log import LEEWAY
from doorward.protocol.status_list import BLOCKS, ROWS, Place
from doorward.store import status_lists, tables
from doorward.store.rows import Stale
from doorward.store.status_lists import Leases, Listed
from doorward.store.writer import Unavailable
from doorward_verify.jwt import b64url_decode
from doorward_verify.revocations import KINDS

SOON = NOW + 300
Step = Callable[[Connection], int]


class Steps:
    """The one writer of a worker: a step, a transaction that has the journal's lock."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.number = 0

    def __call__(self, step: Step) -> int:
        from doorward.store.journal import lock_head

        with self.engine.execution_options(writing=True).begin() as connection:
            lock_head(connection)
            self.number += 1
            return step(connection)


def a_worker(database: Database, now: Callable[[], int] = lambda: NOW) -> Leases:
    return Leases(Steps(database.engine()), now)


def listed(place: Place, jti: str = "token_1", **fields: Any) -> e.AccessTokenIssued:
    position = fields.pop("position", 1)
    row = ListedToken(
        jti, place.list_id, place.idx, "grant_api_1", "client_1", "acme", "signing_1", position, SOON
    )  # fmt: skip
    return issued(jti, listed=replace(row, **fields))


def ended(engine: Engine, list_id: int) -> set[int]:
    """The indexes whose bit is set."""
    found: Listed | None = read(engine, lambda connection, id_: status_lists.read(connection, id_, NOW), list_id)
    assert found is not None
    content = zlib.decompress(b64url_decode(found.lst))
    return {idx for idx in range(8 * len(content)) if content[idx // 8] and content[idx // 8] >> (idx % 8) & 1}


# Leases -------------------------------------------------------------------------------------------------------


def test_a_place_is_in_a_list_that_outlives_the_token(database: Database) -> None:
    place = a_worker(database).lease(1, 300)
    (row,) = rows(database.engine(), tables.status_lists)
    assert (row["id"], row["epoch"], row["leased"], row["created_at"]) == (place.list_id, 1, 1, NOW)
    assert row["expires_at"] == place.expires_at > SOON


def test_nothing_is_at_hand_before_a_block_was_leased_and_a_block_is_leased_once(database: Database) -> None:
    steps = Steps(database.engine())
    worker = Leases(steps, lambda: NOW)
    assert worker.at_hand(1, 300) is None
    first = worker.lease(1, 300)
    places = [worker.at_hand(1, 300) for _ in range(ROWS - 1)]
    assert None not in places
    assert len({first, *places}) == ROWS
    assert worker.at_hand(1, 300) is None
    assert steps.number == 1


def test_no_two_workers_have_a_place_in_common(database: Database) -> None:
    workers = [a_worker(database) for _ in range(3)]

    def take(worker: Leases) -> list[Place]:
        return [worker.lease(1, 300) for _ in range(2 * ROWS + 5)]

    with ThreadPoolExecutor(3) as threads:
        taken = [place for places in threads.map(take, workers) for place in places]
    assert len({(place.list_id, place.idx) for place in taken}) == len(taken) == 3 * (2 * ROWS + 5)
    assert {place.list_id for place in taken} == {taken[0].list_id}


def test_after_a_crash_nobody_has_what_was_leased_before_it(database: Database) -> None:
    before = a_worker(database)
    taken = {before.lease(1, 300) for _ in range(10)}
    # It is gone; whatever it signed may have been committed or not.
    after = a_worker(database)
    assert taken.isdisjoint({after.lease(1, 300) for _ in range(ROWS)})


def test_threads_that_find_nothing_share_one_lease(database: Database) -> None:
    steps = Steps(database.engine())
    worker, barrier = Leases(steps, lambda: NOW), threading.Barrier(16)

    def take(_: int) -> Place:
        barrier.wait()
        return worker.lease(1, 300)

    with ThreadPoolExecutor(16) as threads:
        places = list(threads.map(take, range(16)))
    assert len(set(places)) == 16
    assert steps.number == 1


def test_a_full_list_is_followed_by_another_one(database: Database) -> None:
    worker, engine = a_worker(database), database.engine()
    first = worker.lease(1, 300)
    with engine.begin() as connection:
        connection.execute(update(tables.status_lists).values(leased=BLOCKS))
    second = a_worker(database).lease(1, 300)
    assert (second.list_id > first.list_id, second.expires_at) == (True, first.expires_at)
    assert worker.at_hand(1, 300) is not None


def test_tokens_that_expire_in_another_hour_have_another_list(database: Database) -> None:
    worker = a_worker(database)
    short, long = worker.lease(1, 10), worker.lease(1, 3600)
    assert long.expires_at - short.expires_at == 3600
    assert long.list_id != short.list_id


def test_the_list_of_an_hour_that_is_over_is_used_no_more(database: Database) -> None:
    now = NOW
    worker = Leases(Steps(database.engine()), lambda: now)
    first = worker.lease(1, 300)
    now = first.expires_at
    assert worker.at_hand(1, 300) is None
    assert worker.lease(1, 300).list_id != first.list_id


def test_a_list_of_another_epoch_is_used_no_more_and_none_of_its_tokens_is_good(database: Database) -> None:
    engine, worker = database.engine(), a_worker(database)
    before = worker.lease(1, 300)
    with engine.begin() as connection:
        connection.execute(update(tables.journal_head).values(epoch=2))
    assert worker.at_hand(2, 300) is None
    assert worker.lease(2, 300).list_id != before.list_id
    assert len(ended(engine, before.list_id)) == BLOCKS * ROWS


def test_facts_of_an_epoch_that_is_over_get_no_place(database: Database) -> None:
    with database.engine().begin() as connection:
        connection.execute(update(tables.journal_head).values(epoch=2))
    with pytest.raises(Unavailable):
        a_worker(database).lease(1, 300)


def test_a_database_that_moved_to_another_epoch_is_unavailable() -> None:
    def stale(step: Step) -> int:
        raise Stale

    with pytest.raises(Unavailable):
        Leases(stale, lambda: NOW).lease(1, 300)


def test_the_number_of_a_list_is_never_used_again(database: Database) -> None:
    engine = database.engine()
    first = a_worker(database).lease(1, 300)
    with engine.begin() as connection:
        connection.execute(tables.status_lists.delete())
    assert a_worker(database).lease(1, 300).list_id > first.list_id


# Bits ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(database: Database) -> Place:
    settled(database.engine())
    return a_worker(database).lease(1, 300)


def test_a_token_is_listed_with_the_record_of_its_issue(engine: Engine, place: Place) -> None:
    assert commit(engine, listed(place), at=head(engine).change_seq) == ""
    (row,) = rows(engine, tables.listed_tokens)
    assert row == {
        "id": "token_1", "list_id": place.list_id, "idx": place.idx, "grant_id": "grant_api_1",
        "client_id": "client_1", "account_id": "acme", "signing_key_id": "signing_1", "position": 1,
        "expires_at": SOON,
    }  # fmt: skip
    assert ended(engine, place.list_id) == set()


def test_a_second_token_with_the_same_bit_is_never_committed(engine: Engine, place: Place) -> None:
    at = head(engine).change_seq
    appends = [an_append(listed(place, jti), at=at) for jti in ("token_1", "token_2")]
    assert sorted(outcomes(engine, *appends)) == ["", "Stale"]
    assert count(engine, tables.listed_tokens) == 1


GRANT, CLIENT, ACCOUNT = a_grant().grant, a_client().client, an_account()
ENDS: dict[str, e.Event] = {
    "token": e.TokenRevoked("token_1", SOON, opaque=False, api_id="api_1"),
    "grant": e.GrantRevoked(replace(GRANT, revoked_at=NOW, version=2)),
    "client": e.ClientUpdated(replace(CLIENT, state="disabled", version=2)),
    "account": e.AccountUpdated(replace(ACCOUNT, state="suspended", version=2)),
}


@pytest.mark.parametrize("kind", ENDS)
def test_whatever_ends_a_token_sets_its_bit_and_leaves_a_stranger_alone(
    engine: Engine, place: Place, kind: str
) -> None:
    at, other = head(engine).change_seq, place._replace(idx=place.idx ^ 1)
    stranger = listed(
        other, "token_2", grant_id="grant_2", client_id="client_2", account_id="other", signing_key_id="signing_2"
    )
    assert commit(engine, listed(place, position=at), stranger, at=at) == ""
    assert commit(engine, ENDS[kind], at=at) == ""
    assert ended(engine, place.list_id) == {place.idx}


@pytest.mark.parametrize("kind", ["client", "account"])
def test_what_was_issued_after_a_resumption_lives_and_what_came_before_stays_dead(
    engine: Engine, place: Place, kind: str
) -> None:
    at, later = head(engine).change_seq, place._replace(idx=place.idx ^ 1)
    assert commit(engine, listed(place, position=at), at=at) == ""
    assert commit(engine, ENDS[kind], at=at) == ""
    resumed: e.Event = e.AccountUpdated(replace(ACCOUNT, version=3))
    if kind == "client":
        resumed = e.ClientUpdated(replace(CLIENT, version=3))
    assert commit(engine, resumed, at=head(engine).change_seq) == ""
    now = head(engine).change_seq
    assert commit(engine, listed(later, "token_2", position=now), at=now) == ""
    assert ended(engine, place.list_id) == {place.idx}


def test_a_grant_or_token_that_is_named_is_dead_for_good_whatever_its_position(engine: Engine, place: Place) -> None:
    at = head(engine).change_seq
    assert commit(engine, ENDS["grant"], at=at) == ""
    assert commit(engine, listed(place, position=at + 1_000), at=head(engine).change_seq) == ""
    assert ended(engine, place.list_id) == {place.idx}


def test_a_withdrawn_signing_key_ends_what_it_signed(engine: Engine, place: Place) -> None:
    key = replace(a_signing_key(), id="signing_1")
    assert commit(engine, s.SigningKeyCreated(key), at=head(engine).change_seq) == ""
    at = head(engine).change_seq
    assert commit(engine, listed(place, position=at), at=at) == ""
    removed = replace(key, state="removed", removed_at=NOW, version=2)
    assert commit(engine, s.SigningKeyRemoved(removed, "emergency"), at=at) == ""
    assert ended(engine, place.list_id) == {place.idx}


def test_when_everything_is_revoked_what_was_issued_before_it_is_dead(engine: Engine, place: Place) -> None:
    at, later = head(engine).change_seq, place._replace(idx=place.idx ^ 1)
    assert commit(engine, listed(place, position=at), at=at) == ""
    assert commit(engine, e.EverythingRevoked(), at=at) == ""
    now = head(engine).change_seq
    assert commit(engine, listed(later, "token_2", position=now), at=now) == ""
    assert ended(engine, place.list_id) == {place.idx}


def test_a_change_ends_nothing(engine: Engine, place: Place) -> None:
    at = head(engine).change_seq
    assert commit(engine, listed(place, position=at), at=at) == ""
    before = head(engine).position
    assert commit(engine, e.ClientUpdated(replace(CLIENT, name="renamed", version=2)), at=at) == ""
    assert ended(engine, place.list_id) == set()
    position, moved = read(engine, status_lists.has_moved, before)
    assert (position, moved) == (head(engine).position, False)


def test_who_built_a_list_learns_that_something_was_ended_since(engine: Engine, place: Place) -> None:
    before = head(engine).position
    assert read(engine, status_lists.has_moved, before) == (before, False)
    assert commit(engine, ENDS["token"], at=before.seq) == ""
    assert read(engine, status_lists.has_moved, before) == (head(engine).position, True)
    assert read(engine, status_lists.has_moved, replace(before, epoch=9))[1]


def test_every_kind_of_entry_that_ends_tokens_ends_listed_ones() -> None:
    """Those of api keys and their secrets hit no token, and apis are only ever changed."""
    assert status_lists.TIES.keys() | status_lists.OF_GRANT.keys() == KINDS - {"api_key", "secret", "api"}


# The end of lists ---------------------------------------------------------------------------------------------


def test_a_list_is_there_until_all_its_tokens_are_dead(database: Database) -> None:
    engine, place = database.engine(), a_worker(database).lease(1, 300)

    def lists(now: int) -> tuple[bool, list[int]]:
        with engine.connect() as connection:
            found = status_lists.read(connection, place.list_id, now)
            return found is not None, list(status_lists.live(connection, now))

    assert lists(place.expires_at + LEEWAY - 1) == (True, [place.list_id])
    assert lists(place.expires_at + LEEWAY) == (False, [])


def test_dead_lists_and_tokens_are_swept_away(engine: Engine, place: Place) -> None:
    at = head(engine).change_seq
    assert commit(engine, listed(place, position=at), at=at) == ""
    swept(engine, SOON + LEEWAY - 1)
    assert (count(engine, tables.listed_tokens), count(engine, tables.status_lists)) == (1, 1)
    swept(engine, SOON + LEEWAY)
    assert (count(engine, tables.listed_tokens), count(engine, tables.status_lists)) == (0, 1)
    swept(engine, place.expires_at + LEEWAY)
    assert count(engine, tables.status_lists) == 0


def test_an_unknown_list_is_none(engine: Engine) -> None:
    assert read(engine, lambda connection, id_: status_lists.read(connection, id_, NOW), 10**17) is None
