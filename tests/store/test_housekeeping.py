"""Housekeeping: what is over goes in small steps, by one of all workers, and nothing goes that could still act."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text, update
from tests.protocol.allowed import a_refresh_token
from tests.protocol.given import NOW, a_session, a_user_grant, an_account, scope
from tests.store.committing import (
    ACCOUNT,
    API,
    commit,
    count,
    head,
    housekeeper,
    issued,
    numbered,
    read,
    rows,
    settled,
    swept,
)
from tests.store.conftest import Database
from tests.store.test_events import TOKEN
from tests.store.test_journal import entries
from tests.store.test_tallies import a_detail

from doorward.protocol import events as e
from doorward.protocol.moment import Position
from doorward.protocol.policy import DAY
from doorward.store import (
    connected_apps,
    journal,
    partitions,
    retention,
    revocation_log,
    sweeping,
    tables,
    tallies,
)
from doorward.store.follower import catch_up
from doorward.store.housekeeping import FEWEST, FIRST, INTERVAL, MOST, TARGET, Interrupted, Pace
from doorward.store.leases import HELD
from doorward.store.memory import Memory
from doorward.store.retention import JOURNAL, Retention
from doorward.store.rows import row
from doorward.store.sweeping import RULES
from doorward.store.writer import Unavailable

HOUR = 3600
MIDNIGHT = NOW - NOW % DAY
KEPT = Retention(audit=10 * DAY, token_records=DAY)
REFUSED = e.CredentialRefused("api_key", "key_1", "credential_expired")


def insert(engine: Engine, table: Any, *values: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(table.insert(), list(values))


def left(engine: Engine, table: Any) -> list[Any]:
    key = table.primary_key.columns[0].name
    return [found[key] for found in rows(engine, table)]


# What goes when ---------------------------------------------------------------------------------------------------


def test_the_rules_say_of_every_table_what_removes_its_rows() -> None:
    assert {rule.table for rule in RULES} == set(tables.metadata.tables.values())
    expiring = {table for table in tables.metadata.tables.values() if "expires_at" in table.c}
    kept = {tables.api_keys, tables.secrets, tables.admin_keys, tables.identities}
    assert expiring - {rule.table for rule in RULES if rule.step} == kept


def test_replies_are_kept_until_they_expire(engine: Engine) -> None:
    kept = {"request": "a digest", "reply": b"sealed"}
    insert(
        engine, tables.idempotency, {"key": "a", "expires_at": NOW, **kept}, {"key": "b", "expires_at": NOW + 1, **kept}
    )
    swept(engine, NOW)
    assert left(engine, tables.idempotency) == ["b"]


def test_revocations_outlive_their_tokens_by_the_leeway_of_clocks(engine: Engine) -> None:
    for jti, expires_at in (("a", NOW - 60), ("b", NOW - 59)):
        assert commit(engine, e.TokenRevoked(jti, expires_at, opaque=False, api_id="api_1")) == ""
    swept(engine, NOW)
    assert left(engine, tables.revoked_tokens) == ["b"]


def test_opaque_tokens_outlive_themselves_by_the_leeway_of_clocks(engine: Engine) -> None:
    for jti, expires_at in (("a", NOW - 60), ("b", NOW - 59)):
        token = replace(TOKEN, id=jti, mac=jti.encode(), expires_at=expires_at)
        assert commit(engine, issued(jti, opaque_token=token)) == ""
    swept(engine, NOW)
    assert left(engine, tables.opaque_tokens) == ["b"]


def test_the_ring_keeps_the_newest(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "RING", 3)
    with engine.begin() as connection:
        tallies.keep([a_detail(number) for number in (4, 0, 3, 1, 2)], connection)
    swept(engine, NOW)
    assert left(engine, tables.refusal_details) == ["req_2", "req_3", "req_4"]


def test_a_row_that_is_written_anew_meanwhile_stays(on_postgresql: Database) -> None:
    """A count of a limit, say: the sweeper waits for whoever writes it, and sees that it lives again."""
    engine = on_postgresql.engine()
    insert(engine, tables.limit_cells, {"id": "cell", "value": 1, "expires_at": NOW - 60})
    from concurrent.futures import ThreadPoolExecutor

    from tests.store.committing import until
    from tests.store.test_journal import waits_for_a_lock

    with ThreadPoolExecutor(1) as other, on_postgresql.engine().begin() as connection:
        connection.execute(tables.limit_cells.update().values(value=2, expires_at=NOW + 60))
        sweep = other.submit(swept, on_postgresql.engine(), NOW)
        until(lambda: waits_for_a_lock(engine))
        connection.commit()
        sweep.result(30)
    assert [found["value"] for found in rows(engine, tables.limit_cells)] == [2]


# Small steps ------------------------------------------------------------------------------------------------------


def a_thousand_revoked(engine: Engine, size: int) -> None:
    insert(engine, tables.revoked_tokens, *({"id": f"{n:05}", "expires_at": n, "revoked_at": 0} for n in range(size)))


@pytest.mark.parametrize("size", [1, FIRST - 1, FIRST, FIRST + 1, 5 * FIRST])
def test_it_goes_in_small_steps_until_all_is_done(engine: Engine, size: int) -> None:
    a_thousand_revoked(engine, size)
    looking = housekeeper(engine, lambda: NOW)
    assert looking.look()
    assert count(engine, tables.revoked_tokens) == 0
    assert (FIRST in looking._write.results) is (size >= FIRST)  # type: ignore[attr-defined]
    assert max(looking._write.results) <= 2 * FIRST  # type: ignore[attr-defined]


def test_a_step_that_took_long_makes_the_next_one_smaller_and_a_short_one_larger() -> None:
    pace = Pace()
    pace.took(2 * TARGET)
    assert pace.limit == FIRST // 2
    for _ in range(20):
        pace.took(2 * TARGET)
    assert pace.limit == FEWEST
    for _ in range(20):
        pace.took(0)
    assert pace.limit == MOST


def test_who_is_stopped_stops_between_two_steps(engine: Engine) -> None:
    a_thousand_revoked(engine, 5 * FIRST)
    looking = housekeeper(engine, lambda: NOW)
    looking._stopping.set()
    with pytest.raises(Interrupted):
        looking.look()
    assert 0 < count(engine, tables.revoked_tokens) < 5 * FIRST


# One of all -------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_of_all_workers_one_does_it_once_a_minute(database: Database) -> None:
    clock = Clock()
    lookers = [housekeeper(database.engine(), clock) for _ in range(3)]
    assert [looker.look() for looker in lookers] == [True, False, False]
    clock.now += INTERVAL - 1
    assert [looker.look() for looker in lookers] == [False, False, False]
    clock.now += 1
    assert [looker.look() for looker in reversed(lookers)] == [True, False, False]


def test_an_idle_look_writes_nothing(engine: Engine) -> None:
    first, second = housekeeper(engine, lambda: NOW), housekeeper(engine, lambda: NOW)
    assert first.look()
    assert not second.look()
    assert second._write.results == []  # type: ignore[attr-defined]


def test_what_a_dead_worker_held_is_taken_over_and_who_slept_through_it_notices(database: Database) -> None:
    clock, engine = Clock(), database.engine()
    asleep, other = housekeeper(engine, clock), housekeeper(database.engine(), clock)
    assert asleep._lease.claim(NOW)
    clock.now += HELD - 1
    assert not other.look()
    clock.now += 1
    assert other._lease.claim(clock.now)
    assert not asleep._lease.renew(clock.now)
    a_thousand_revoked(engine, 5 * FIRST)
    with pytest.raises(Interrupted):
        asleep.sweep(clock.now)
    assert other._lease.renew(clock.now)


def test_a_clock_that_was_wrong_for_a_while_keeps_nobody_from_it(engine: Engine) -> None:
    ahead, right = housekeeper(engine, lambda: NOW + 365 * DAY), housekeeper(engine, lambda: NOW)
    assert ahead.look()
    assert right.look()
    assert not right.look()


def test_a_lease_is_written_anew_only_when_half_of_it_is_over(engine: Engine) -> None:
    looker = housekeeper(engine, lambda: NOW)
    written = looker._write.results  # type: ignore[attr-defined]
    assert looker._lease.claim(NOW)
    assert looker._lease.renew(NOW + HELD // 2 - 1)
    assert len(written) == 1
    assert looker._lease.renew(NOW + HELD // 2)
    assert len(written) == 2
    assert looker._lease.renew(NOW + HELD)


# Grants that can never act again ----------------------------------------------------------------------------------


@pytest.fixture
def people(engine: Engine) -> Engine:
    settled(engine)
    return engine


def allow(engine: Engine, *made: dict[str, Any]) -> None:
    insert(engine, tables.grants, *(row(a_user_grant(**fields)) for fields in made))


def user_grants(engine: Engine) -> set[str]:
    return {found["id"] for found in rows(engine, tables.grants) if found["user_id"]}


def test_a_grant_goes_long_after_its_end_with_what_was_counted_of_it(people: Engine) -> None:
    at = NOW - sweeping.OLD_GRANTS
    allow(people, {"id": "old", "revoked_at": at}, {"id": "young", "revoked_at": at + 1}, {"id": "live"})
    counted = {"kind": "grant", "uses": 1, "last_used_at": at}
    insert(people, tables.usage, *({**counted, "id": id_} for id_ in ("old", "young", "live")))
    swept(people, NOW)
    assert user_grants(people) == {"young", "live"}
    assert {found["id"] for found in rows(people, tables.usage)} == {"young", "live"}


def test_a_grant_whose_refresh_token_is_still_recognised_stays(people: Engine) -> None:
    token = a_refresh_token(grant_id="ended", expires_at=NOW)
    allow(people, {"id": "ended", "revoked_at": NOW - 2 * sweeping.OLD_GRANTS})
    insert(people, tables.refresh_tokens, row(token))
    swept(people, NOW)
    assert user_grants(people) == {"ended"}
    swept(people, NOW + DAY)
    assert user_grants(people) == set()


def silent(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"silent_{number}", "created_at": NOW - 3 * DAY + number, **fields}


def test_of_grants_that_allow_the_same_the_oldest_and_the_newest_stay(people: Engine) -> None:
    allow(people, *(silent(n) for n in range(50)))
    before = read(people, connected_apps.allowed_by, "user_1")
    swept(people, NOW)
    assert user_grants(people) == {"silent_0", "silent_49"}
    assert read(people, connected_apps.allowed_by, "user_1") == before


def test_what_allows_something_else_or_could_still_act_stays(people: Engine) -> None:
    different: list[dict[str, Any]] = [
        {"scope": scope("read write")}, {"api_id": None}, {"account_id": "acme"}, {"user_id": "user_2"},
        {"session_id": "session_2"},
    ]  # fmt: skip
    second = replace(a_session(), id="session_2", digest="another", expires_at=NOW + 1)
    insert(people, tables.sessions, row(second))
    allow(people, silent(0), *(silent(n + 1, **fields) for n, fields in enumerate(different)), silent(9))
    allow(people, {"id": "refreshed", "created_at": NOW - 3 * DAY + 5}, {"id": "young", "created_at": NOW - DAY})
    insert(people, tables.refresh_tokens, row(a_refresh_token(grant_id="refreshed", expires_at=NOW + 1)))
    swept(people, NOW)
    kept = {"silent_0", *(f"silent_{n + 1}" for n in range(5)), "refreshed", "young"}
    # The ninth is neither the oldest nor the newest of its kind.
    assert user_grants(people) == kept


def test_the_second_look_takes_what_a_session_or_a_refresh_token_had_kept(people: Engine) -> None:
    gone = [{"session_id": f"gone_{n}"} for n in range(3)]
    live = [replace(a_session(), id=f"gone_{n}", digest=str(n), expires_at=NOW + DAY) for n in range(3)]
    insert(people, tables.sessions, *map(row, live))
    allow(people, silent(0), *(silent(n + 1, **fields) for n, fields in enumerate(gone)), silent(9))
    swept(people, NOW)
    assert len(user_grants(people)) == 5
    swept(people, NOW + sweeping.OLD_GRANTS)
    assert user_grants(people) == {"silent_0", "silent_9"}


def test_each_grant_is_looked_at_once(people: Engine) -> None:
    allow(people, *(silent(n) for n in range(20)))
    with people.execution_options(writing=True).begin() as connection:
        assert [sweeping.superseded_grants(sweeping.GRANTS, NOW, connection, 8) for _ in range(4)] == [8, 8, 4, 0]


# Retention --------------------------------------------------------------------------------------------------------


def test_records_of_issued_tokens_go_after_their_hours_and_nothing_else_does(engine: Engine) -> None:
    old = NOW - NOW % HOUR - DAY - 1
    assert commit(engine, ACCOUNT, issued("old"), REFUSED, now=old) == ""
    assert commit(engine, issued("young"), API, now=old + 1) == ""
    before = head(engine)
    swept(engine, NOW, KEPT)
    assert [found["entity_id"] for found in numbered(engine)] == ["acme", "key_1", "young", "api_1"]
    assert head(engine) == before
    assert commit(engine, issued("next"), at=before.change_seq) == ""
    assert [found["seq"] for found in numbered(engine)] == [1, 3, 4, 5, 6]


def written(engine: Engine, *days: int) -> None:
    """A change, a refusal and a token of each of these days, ago."""
    for days_ago in days:
        event = e.AccountCreated(an_account(id=f"acme_{days_ago}", name=str(days_ago)))
        assert commit(engine, event, REFUSED, issued(str(days_ago)), now=MIDNIGHT - days_ago * DAY + 5) == ""


def test_the_journal_goes_by_whole_days_behind_a_checkpoint(engine: Engine) -> None:
    written(engine, 13, 12, 11, 10, 9, 0)
    swept(engine, MIDNIGHT + 7, KEPT)
    changes = [found["entity_id"] for found in rows(engine, tables.journal) if found["change"]]
    assert changes == ["acme_10", "acme_9", "acme_0"]
    (checkpoint,) = (found for found in rows(engine, tables.checkpoints) if found["ledger"] == "journal")
    assert checkpoint == {"ledger": "journal", "seq": 9, "at": MIDNIGHT + 7, "count": 6, "digest": None}
    swept(engine, MIDNIGHT + 8, KEPT)
    assert count(engine, tables.checkpoints) == 2


def test_for_ever_is_for_ever(engine: Engine) -> None:
    written(engine, 5000, 0)
    swept(engine, MIDNIGHT + 7, Retention(audit=None))
    assert len(rows(engine, tables.journal)) == 4


def test_a_clock_that_was_wrong_takes_nothing_young_along(engine: Engine) -> None:
    written(engine, 12, 3, 900, 2)
    swept(engine, MIDNIGHT + 7, KEPT)
    changes = [found["entity_id"] for found in rows(engine, tables.journal) if found["change"]]
    assert changes == ["acme_3", "acme_900", "acme_2"]


def test_the_newest_change_stays_so_that_nobody_who_knows_it_begins_anew(engine: Engine) -> None:
    written(engine, 40, 30)
    swept(engine, MIDNIGHT + 7, KEPT)
    assert [found["entity_id"] for found in rows(engine, tables.journal)] == ["acme_30", "key_1"]
    position = head(engine).position
    with engine.connect() as connection:
        assert journal.pruned_to(connection) < position.seq
        assert revocation_log.behind(connection, "api_1", position).moved_on_at is None


def test_who_knows_less_than_what_was_pruned_begins_anew(engine: Engine) -> None:
    written(engine, 40, 39, 0)
    memory = Memory(Position(1, 1))
    memory.keep("remembered", Remembered(), Position(1, 1))
    swept(engine, MIDNIGHT + 7, KEPT)
    with engine.connect() as connection:
        assert revocation_log.behind(connection, "api_1", Position(1, 1)).moved_on_at == 0
        catch_up(connection, memory)
    assert memory.recall("remembered") is None


class Remembered:
    refs = ("nothing/that was changed",)


def test_a_checkpoint_passes_so_many_rows_at_most(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SPAN", 4)
    written(engine, 14, 13, 12, 11, 0)
    swept(engine, MIDNIGHT + 7, Retention(10 * DAY, None))
    found = [(found["seq"], found["count"]) for found in rows(engine, tables.checkpoints)]
    assert found == [(4, 3), (8, 3), (12, 2)]
    assert [found["entity_id"] for found in rows(engine, tables.journal)] == ["acme_0", "key_1"]


def test_of_two_who_prune_at_once_by_different_clocks_one_counts(engine: Engine) -> None:
    """Each row is behind one checkpoint: of the other nothing is written."""
    written(engine, 14, 13, 12, 11, 0)
    with engine.execution_options(writing=True).begin() as connection:
        first, second = (retention.due(connection, JOURNAL, 10 * DAY, MIDNIGHT - late * DAY + 7) for late in (2, 0))
        assert first is not None
        assert second is not None
        assert first.after == second.after
        assert first.last < second.last
        retention.mark(first, None, NOW, connection)
        retention.mark(second, None, NOW, connection)
    assert [found["seq"] for found in rows(engine, tables.checkpoints)] == [first.last]


# The archive ------------------------------------------------------------------------------------------------------


def archived(directory: Path) -> list[Any]:
    files = sorted(directory.iterdir())
    assert [path for path in files if path.suffix != ".jsonl"] == []
    found = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    return sorted(found, key=lambda entry: entry["seq"])


def test_what_goes_is_in_the_archive_as_the_audit_log_showed_it(engine: Engine, tmp_path: Path) -> None:
    written(engine, 13, 12, 11, 0)
    before = entries(engine)
    swept(engine, MIDNIGHT + 7, replace(KEPT, archive=tmp_path / "made" / "audit"))
    assert archived(tmp_path / "made" / "audit") + entries(engine) == sorted(before, key=lambda entry: entry["seq"])
    assert len(entries(engine)) == 3
    (journaled,) = (path for path in (tmp_path / "made" / "audit").iterdir() if path.name.startswith("journal"))
    assert journaled.name == "journal-0000000001-000000000000001-000000000000009.jsonl"
    (checkpoint,) = (found for found in rows(engine, tables.checkpoints) if found["ledger"] == "journal")
    assert checkpoint["digest"] == sha256(journaled.read_bytes()).hexdigest()


def test_numbers_that_come_again_after_a_restore_are_archived_beside_the_first(engine: Engine) -> None:
    written(engine, 13, 0)
    with engine.execution_options(writing=True).begin() as connection:
        before = retention.due(connection, JOURNAL, 10 * DAY, MIDNIGHT)
        connection.execute(update(tables.journal_head).values(epoch=29_000_000))
        after = retention.due(connection, JOURNAL, 10 * DAY, MIDNIGHT)
    assert before is not None
    assert after is not None
    assert (before.after, before.last) == (after.after, after.last)
    assert before.file_name < after.file_name


def test_nothing_goes_that_could_not_be_archived(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file in the way")
    written(engine, 13, 0)
    swept(engine, MIDNIGHT + 7, replace(KEPT, archive=tmp_path / "audit"))
    assert len(numbered(engine)) == 6
    assert count(engine, tables.checkpoints) == 0


def test_who_died_before_the_checkpoint_writes_the_file_once_more(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(engine, 13, 12, 0)
    before = entries(engine)
    kept = replace(KEPT, archive=tmp_path / "audit")

    with monkeypatch.context() as patch:
        patch.setattr(retention, "mark", die)
        with pytest.raises(Unavailable):
            swept(engine, MIDNIGHT + 7, kept)
    assert entries(engine) == before
    swept(engine, MIDNIGHT + 7, kept)
    assert sorted([*archived(tmp_path / "audit"), *entries(engine)], key=lambda entry: entry["seq"]) == before


def test_rows_that_a_checkpoint_passed_go_though_its_writer_died(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(engine, 13, 12, 0)

    with monkeypatch.context() as patch:
        patch.setattr(partitions, "prune", die)
        with pytest.raises(Unavailable):
            swept(engine, MIDNIGHT + 7, KEPT)
    assert len(numbered(engine)) == 9
    swept(engine, MIDNIGHT + 7, KEPT)
    assert len(numbered(engine)) == 3


def die(*arguments: object) -> int:
    raise Unavailable


# Files and parts --------------------------------------------------------------------------------------------------


def test_a_sqlite_file_gets_smaller_when_much_of_it_is_free(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "FREE_PAGES", 50)
    engine, file = sqlite.engine(), tmp_path / "doorward.db"
    kept = {"request": "a digest", "reply": b"x" * 4000, "expires_at": NOW}
    insert(engine, tables.idempotency, *({"key": str(n), **kept} for n in range(1000)))

    def size() -> int:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())

    full = size()
    swept(engine, NOW)
    assert count(engine, tables.idempotency) == 0
    assert size() < full / 2
    assert file.exists()


def journal_parts(engine: Engine) -> list[tuple[int, int]]:
    with engine.connect() as connection:
        return [(part.begin, part.end) for part in partitions.parts(connection, JOURNAL)]


def at_seq(engine: Engine, seq: int) -> None:
    """As if so much had happened."""
    with engine.begin() as connection:
        connection.execute(tables.journal_head.update().values(seq=seq, change_seq=seq))


@pytest.fixture
def apart(empty_on_postgresql: Database, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Its parts are this test's alone."""
    from tests.store.conftest import CREATED_AT, FINGERPRINT

    from doorward.store import schema

    engine = empty_on_postgresql.engine()
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    return engine


def test_parts_are_made_ahead_and_dropped_whole(apart: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LEAST", 10)
    (first,) = journal_parts(apart)
    assert first[0] == 0
    at_seq(apart, first[1] - 2)
    written(apart, 40)
    assert head(apart).seq == first[1] + 1
    swept(apart, MIDNIGHT + 7, Retention(None, None))
    (_, second) = journal_parts(apart)
    assert second[0] == first[1] + 11, "what lies in the rest already is passed by"
    at_seq(apart, second[0])
    written(apart, 39, 0)
    swept(apart, MIDNIGHT + 7, KEPT)
    assert journal_parts(apart)[0] == second
    assert [found["entity_id"] for found in rows(apart, tables.journal)] == ["acme_0", "key_1"]


def test_a_part_is_as_large_as_a_week_of_its_ledger(apart: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LEAST", 10)
    written(apart, 1)
    at_seq(apart, 1_000_000)
    swept(apart, MIDNIGHT + 5, Retention(None, None))
    second = journal_parts(apart)[1]
    assert 6_900_000 < second[1] - second[0] < 7_100_000


def test_rows_of_a_large_part_wait_until_it_is_dropped_whole(apart: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LEAST", 10)
    (first,) = journal_parts(apart)
    written(apart, 41)
    at_seq(apart, first[1] - 1)
    swept(apart, MIDNIGHT - 40 * DAY, Retention(None, None))
    written(apart, 40, 0)
    swept(apart, MIDNIGHT + 7, KEPT)
    with apart.connect() as connection:
        assert journal.pruned_to(connection) == first[1] + 2
    assert len(rows(apart, tables.journal)) == 4
    assert journal_parts(apart)[0][0] == first[1]


def test_who_reads_the_journal_for_long_keeps_nobody_waiting(apart: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that cannot be dropped now is dropped a minute later."""
    monkeypatch.setattr(partitions, "LEAST", 10)
    (first,) = journal_parts(apart)
    written(apart, 40)
    at_seq(apart, first[1])
    swept(apart, MIDNIGHT + 7, Retention(None, None))
    written(apart, 39, 0)
    with apart.connect() as reader:
        reader.execute(text("SELECT count(*) FROM journal"))
        with pytest.raises(Exception, match="lock timeout"):
            swept(apart, MIDNIGHT + 7, KEPT)
        assert commit(apart, API, at=head(apart).change_seq) == ""
    swept(apart, MIDNIGHT + 7, KEPT)
    assert first not in journal_parts(apart)


def test_an_engine_without_parts_deletes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "parts", lambda *_: ())
    written(engine, 40, 0)
    swept(engine, MIDNIGHT + 7, KEPT)
    assert len(rows(engine, tables.journal)) == 2
