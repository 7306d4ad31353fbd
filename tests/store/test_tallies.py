"""Tallies (laws, 3b): the details of refusals in a bounded ring, and what is over is swept away step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select
from tests.protocol.given import NOW
from tests.store.committing import ACCOUNT, API, an_append, commit, count, head, issued, outcomes, read, rows, until
from tests.store.test_events import TOKEN

from doorward.protocol import events as e
from doorward.store import tables, tallies
from doorward.store.tallies import RefusalDetail, Step, Tallies, delete_ended, delete_issued, find_refusal, trim_ring
from doorward.store.writer import Unavailable

DETAIL = RefusalDetail("req_1", NOW, "credential_expired", "client_1", "POST", "/oauth/token", "expired yesterday")


def a_detail(number: int) -> RefusalDetail:
    return replace(DETAIL, id=f"req_{number}", at=NOW + number)


class Steps:
    """A writer that runs each step in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.results: list[int] = []

    def __call__(self, step: Step) -> int:
        with self.engine.execution_options(writing=True).begin() as connection:
            self.results.append(step(connection))
        return self.results[-1]


def unavailable(step: Step) -> int:
    raise Unavailable


# The ring -----------------------------------------------------------------------------------------------------


def test_what_was_noted_is_found_by_its_request_id(engine: Engine) -> None:
    kept = Tallies(Steps(engine))
    kept.note(DETAIL)
    kept.note(a_detail(2))
    assert read(engine, find_refusal, "req_1") is None
    kept.flush()
    assert read(engine, find_refusal, "req_1") == DETAIL
    assert read(engine, find_refusal, "req_3") is None


def test_one_transaction_writes_down_all_that_waits(engine: Engine) -> None:
    steps = Steps(engine)
    kept = Tallies(steps)
    for number in range(50):
        kept.note(a_detail(number))
    kept.flush()
    kept.flush()
    assert steps.results == [50]
    assert count(engine, tables.refusal_details) == 50


def test_a_flood_is_dropped_and_counted(engine: Engine) -> None:
    kept = Tallies(Steps(engine))
    for number in range(tallies.WAITING_LIMIT + 7):
        kept.note(a_detail(number))
    kept.flush()
    assert kept.dropped == 7
    assert count(engine, tables.refusal_details) == tallies.WAITING_LIMIT


def test_what_cannot_be_written_is_dropped_and_counted() -> None:
    kept = Tallies(unavailable)
    kept.note(DETAIL)
    kept.flush()
    assert kept.dropped == 1


def test_a_request_id_that_comes_twice_keeps_the_first_detail(engine: Engine) -> None:
    kept = Tallies(Steps(engine))
    kept.note(DETAIL)
    kept.note(replace(DETAIL, detail="another"))
    kept.flush()
    assert rows(engine, tables.refusal_details)[0]["detail"] == DETAIL.detail


@pytest.mark.parametrize("text", ["a\x00b", "half a pair \ud800", "x" * 1_000_000, "\r\n\x1b[2J"])
def test_no_text_keeps_the_others_from_being_written(engine: Engine, text: str) -> None:
    kept = Tallies(Steps(engine))
    kept.note(replace(DETAIL, path=text, detail=text))
    kept.note(a_detail(2))
    kept.flush()
    assert [row["id"] for row in rows(engine, tables.refusal_details)] == ["req_1", "req_2"]
    assert len(rows(engine, tables.refusal_details)[0]["detail"]) <= tallies.TEXT_LIMIT


def test_the_ring_keeps_the_newest(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "RING", 3)
    kept = Tallies(Steps(engine))
    for number in (4, 0, 3, 1, 2):
        kept.note(a_detail(number))
    kept.flush()
    kept.sweep(NOW)
    assert [row["id"] for row in rows(engine, tables.refusal_details)] == ["req_2", "req_3", "req_4"]


# Housekeeping -------------------------------------------------------------------------------------------------


def swept(engine: Engine, now: int) -> Steps:
    steps = Steps(engine)
    Tallies(steps).sweep(now)
    return steps


def insert(engine: Engine, table: Any, *values: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(table.insert(), list(values))


def left(engine: Engine, table: Any) -> list[Any]:
    with engine.connect() as connection:
        key = table.primary_key.columns[0]
        return list(connection.execute(select(key).order_by(key)).scalars())


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


def test_records_of_issued_tokens_go_after_a_day_and_nothing_else_does(engine: Engine) -> None:
    refused = e.CredentialRefused("api_key", "key_1", "credential_expired")
    old, young = NOW - tallies.ISSUED_LIFETIME, NOW - tallies.ISSUED_LIFETIME + 1
    assert commit(engine, ACCOUNT, issued("old"), refused, now=old) == ""
    assert commit(engine, issued("young"), API, now=young) == ""
    before = head(engine)
    swept(engine, NOW)
    assert [row["type"] for row in rows(engine, tables.journal)] == [
        "AccountCreated", "CredentialRefused", "AccessTokenIssued", "ApiCreated",
    ]  # fmt: skip
    assert head(engine) == before
    assert commit(engine, issued("next"), at=before.change_seq) == ""
    assert left(engine, tables.journal) == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("size", [0, 1, 4, 5, 9, 10, 11])
def test_sweeping_goes_in_small_steps_until_all_is_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(tallies, "STEP", 5)
    revoked = [e.TokenRevoked(f"token_{n:02}", NOW - 100, opaque=False, api_id="api_1") for n in range(size)]
    tokens = [issued(f"token_{n:02}") for n in range(size)]
    appends = [an_append(event, now=NOW - 90_000) for event in (*revoked, *tokens, ACCOUNT)]
    assert outcomes(engine, *appends) == [""] * len(appends)
    steps = swept(engine, NOW)
    assert count(engine, tables.revoked_tokens) == 0
    # The records were put in front of the changes; these stay.
    assert left(engine, tables.journal) == list(range(size + 1, 2 * size + 2))
    assert [step for step in steps.results[1 : size // 5 + 2] if step > 5] == []


def test_the_next_sweep_begins_where_the_last_one_ended(engine: Engine) -> None:
    assert outcomes(engine, *(an_append(ACCOUNT if n == 0 else issued(str(n)), now=NOW) for n in range(3))) == [""] * 3
    with engine.begin() as connection:
        assert delete_issued(connection, after=0, before=NOW) == 3
        assert delete_issued(connection, after=3, before=NOW) == 3
        assert delete_issued(connection, after=0, before=NOW - 1) == 0


def test_a_step_says_how_much_it_did(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "STEP", 2)
    monkeypatch.setattr(tallies, "RING", 1)
    insert(engine, tables.revoked_tokens, *({"id": str(n), "expires_at": n, "revoked_at": 0} for n in range(3)))

    def steps(connection: Connection) -> list[int]:
        tallies.keep([a_detail(n) for n in range(4)], connection)
        ended = [delete_ended(tables.revoked_tokens, 1, connection), delete_ended(tables.revoked_tokens, 1, connection)]
        return [*ended, trim_ring(connection), trim_ring(connection), trim_ring(connection)]

    with engine.begin() as connection:
        assert steps(connection) == [2, 0, 2, 1, 0]


def test_an_idle_sweep_asks_each_table_once(engine: Engine) -> None:
    assert swept(engine, NOW).results == [0] * (len(tallies.ENDED) + 3)


def test_the_thread_writes_down_what_was_noted_last(engine: Engine) -> None:
    kept = Tallies(Steps(engine))
    kept.start()
    kept.note(DETAIL)
    kept.stop()
    assert read(engine, find_refusal, "req_1") == DETAIL


def test_the_thread_outlives_a_database_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "FLUSH_INTERVAL", 0.001)
    monkeypatch.setattr(tallies, "SWEEP_INTERVAL", 0)
    asked: list[Step] = []

    def write(step: Step) -> int:
        asked.append(step)
        raise Unavailable

    kept = Tallies(write)
    kept.start()
    try:
        until(lambda: len(asked) > 3)
    finally:
        kept.stop()
