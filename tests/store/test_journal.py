"""The journal: one row an event in commit order, and a head that says how far it goes (decision 2)."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.protocol.given import NOW, an_account
from tests.store.committing import ACCOUNT, API, an_append, commit, head, issued, numbered, outcomes, rows, until
from tests.store.conftest import Database

from doorward.protocol import events as e
from doorward.protocol.policy import DAY
from doorward.store import audit, journal, tables
from doorward.store.audit import Query
from doorward.store.journal import Context, Head

REFUSED = e.CredentialRefused("api_key", "key_1", "credential_expired")
SUSPENDED = e.AccountUpdated(an_account(state="suspended", version=2))


def entries(engine: Engine, **query: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(audit.page(connection, Query(query.pop("after", None), query.pop("limit", 100), **query)))


def changed(engine: Engine, after: int = 0) -> list[tuple[int, str]]:
    with engine.connect() as connection:
        return journal.changed_since(connection, after)


def test_an_event_is_a_row_that_says_who_did_what_when(engine: Engine) -> None:
    assert commit(engine, ACCOUNT, now=NOW + 3, context=Context("admin_7", "req_7")) == ""
    assert entries(engine) == [
        {
            "seq": 1, "at": NOW + 3, "kind": "change", "type": "AccountCreated", "entity": "account",
            "entity_id": "acme", "actor": "admin_7", "request_id": "req_7",
            "data": {"name": "Acme Inc", "state": "active"},
        }
    ]  # fmt: skip


def test_each_append_keeps_its_own_time_and_caller(engine: Engine) -> None:
    appends = [an_append(issued(f"t{n}"), now=NOW + n, context=Context(f"client_{n}", f"req_{n}")) for n in range(3)]
    assert outcomes(engine, *appends) == [""] * 3
    assert [(row["at"], row["actor"], row["request_id"]) for row in entries(engine)] == [
        (NOW + n, f"client_{n}", f"req_{n}") for n in range(3)
    ]


def test_the_head_counts_all_rows_and_names_the_last_change(engine: Engine) -> None:
    assert head(engine) == Head(1, 0, 0)
    assert commit(engine, issued(), issued("token_2")) == ""
    assert head(engine) == Head(1, 2, 0)
    assert commit(engine, ACCOUNT, API, at=2) == ""
    assert head(engine) == Head(1, 4, 4)
    assert commit(engine, REFUSED, at=4) == ""
    assert head(engine) == Head(1, 5, 4)


@pytest.mark.parametrize("size", [1, 2, 3, 127, 128, 129, 300])
def test_a_batch_of_any_size_is_written_whole_and_in_order(engine: Engine, size: int) -> None:
    assert commit(engine, issued("before")) == ""
    assert outcomes(engine, *(an_append(issued(f"token_{n}")) for n in range(size))) == [""] * size
    assert [(row["seq"], row["entity_id"]) for row in numbered(engine)] == [
        (1, "before"), *((n + 2, f"token_{n}") for n in range(size)),
    ]  # fmt: skip


def test_only_changes_count_as_changed(engine: Engine) -> None:
    assert commit(engine, issued(), ACCOUNT, REFUSED, API) == ""
    assert changed(engine) == [(2, "account/acme"), (4, "api/api_1")]
    assert changed(engine, after=2) == [(4, "api/api_1")]
    assert changed(engine, after=4) == []


def test_what_was_not_committed_leaves_no_gap(engine: Engine) -> None:
    assert commit(engine, ACCOUNT) == ""
    assert commit(engine, ACCOUNT, issued()) == "Stale"
    assert commit(engine, API) == ""
    assert [row["seq"] for row in entries(engine)] == [1, 2]


def test_any_text_comes_back_as_it_was(engine: Engine) -> None:
    name = 'Grüße, "quoted" \\ \u2028 \U0001f511 \'; DROP TABLE journal'
    assert commit(engine, e.AccountCreated(an_account(name=name))) == ""
    assert entries(engine)[0]["data"]["name"] == name


def test_data_is_plain_json(engine: Engine) -> None:
    assert commit(engine, issued()) == ""
    assert json.loads(rows(engine, tables.token_records)[0]["data"]) == {
        "client_id": "client_1", "grant_id": "grant_api_1", "exp": NOW + 300,
    }  # fmt: skip


def test_pages_follow_each_other_in_both_directions(engine: Engine) -> None:
    assert commit(engine, *(issued(f"token_{n}") for n in range(5))) == ""
    assert [row["seq"] for row in entries(engine, limit=2)] == [1, 2]
    assert [row["seq"] for row in entries(engine, after=2, limit=2)] == [3, 4]
    assert [row["seq"] for row in entries(engine, limit=2, newest_first=True)] == [5, 4]
    assert [row["seq"] for row in entries(engine, after=4, newest_first=True)] == [3, 2, 1]


def test_a_page_can_be_of_one_type_or_one_entity(engine: Engine) -> None:
    assert commit(engine, ACCOUNT, API, issued(), SUSPENDED) == ""
    assert [row["seq"] for row in entries(engine, type="AccessTokenIssued")] == [3]
    assert [row["seq"] for row in entries(engine, entity_id="acme")] == [1, 4]


def test_a_page_can_be_of_a_span_of_time(engine: Engine) -> None:
    days = [commit(engine, issued(f"t{n}") if n % 2 else REFUSED, now=NOW + n * DAY) for n in range(20)]
    assert days == [""] * 20
    found = entries(engine, since=NOW + 5 * DAY, until=NOW + 8 * DAY)
    assert [row["seq"] for row in found] == [6, 7, 8]
    assert [row["seq"] for row in entries(engine, since=NOW + 18 * DAY + 1, newest_first=True)] == [20]
    assert entries(engine, until=NOW) == entries(engine, since=NOW + 20 * DAY) == []
    assert [row["seq"] for row in entries(engine, since=NOW, after=17)] == [18, 19, 20]


# Two transactions on PostgreSQL, the first of them slow to commit ---------------------------------------------


def waits_for_a_lock(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with engine.connect() as connection:
        return connection.execute(text(query)).scalar_one() == 1


def interleaved(database: Database, **second: Any) -> tuple[str, list[str], list[list[int]]]:
    """A second append begins after the first one's and before its commit.

    What became of it, the rows' entities in `seq` order, and the numbers that a reader saw before and after.
    """
    engine = database.engine()
    seen: list[list[int]] = []

    def look() -> None:
        seen.append([row["seq"] for row in numbered(engine)])

    with ThreadPoolExecutor(1) as other, database.engine().connect() as first:
        transaction = first.begin()
        before = journal.lock_head(first)
        after = journal.append(first, before, [(ACCOUNT, Context("first"), NOW)])
        journal.move_head(first, after)
        outcome: Future[str] = other.submit(commit, database.engine(), API, **second)
        until(lambda: waits_for_a_lock(engine))
        look()
        transaction.commit()
        found = outcome.result(30)
        look()
    return found, [row["entity_id"] for row in numbered(engine)], seen


def test_positions_come_in_the_order_of_commits(on_postgresql: Database) -> None:
    assert interleaved(on_postgresql) == ("", ["acme", "api_1"], [[], [1, 2]])


def test_a_change_that_commits_meanwhile_is_not_missed(on_postgresql: Database) -> None:
    assert interleaved(on_postgresql, refs=["account/acme"])[:2] == ("Stale", ["acme"])


def test_without_the_lock_on_the_head_the_order_would_be_lost(
    on_postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: both think that they come first."""
    monkeypatch.setitem(journal.LOCK, "postgresql", journal.LOCK["sqlite"])
    outcome, written, _ = interleaved(on_postgresql)
    assert (outcome, written) != ("", ["acme", "api_1"])
