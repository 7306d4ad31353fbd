"""Tallies (laws, 3b): the details of refusals, written down by a thread of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from tests.protocol.given import NOW
from tests.store.committing import Steps, count, read, rows, until

from doorward.store import tables, tallies
from doorward.store.tallies import RefusalDetail, Step, Tallies, find_refusal
from doorward.store.writer import Unavailable

DETAIL = RefusalDetail("req_1", NOW, "credential_expired", "client_1", "POST", "/oauth/token", "expired yesterday")


def a_detail(number: int) -> RefusalDetail:
    return replace(DETAIL, id=f"req_{number}", at=NOW + number)


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


def test_the_thread_writes_down_what_was_noted_last(engine: Engine) -> None:
    kept = Tallies(Steps(engine))
    kept.start()
    kept.note(DETAIL)
    kept.stop()
    assert read(engine, find_refusal, "req_1") == DETAIL


def test_the_thread_outlives_a_database_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "FLUSH_INTERVAL", 0.001)
    asked: list[Step] = []

    def write(step: Step) -> int:
        asked.append(step)
        raise Unavailable

    kept = Tallies(write)
    kept.start()
    try:
        until(lambda: bool(kept.note(DETAIL)) or len(asked) > 3)
    finally:
        kept.stop()
