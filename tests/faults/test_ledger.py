"""The comparison of `test_cluster`: whatever is missing, too much or torn is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.ledger import MADE, Answer, Compared, Database, Row, compare, read

ANSWERS = (
    Answer("POST", "/v1/accounts", 201, "req_1", asked="201"),
    Answer("POST", "/oauth/token", 200, "req_2", asked="200"),
    Answer("GET", "/v1/accounts", 200, "req_3", asked="200"),
    Answer("POST", "/oauth/introspect", 200, "req_4", asked="200"),
    Answer("POST", "/v1/accounts", 409, "req_5", asked="409"),
)
ROWS = (Row(1, "SigningKeyCreated", "k", ""), Row(2, "AccountCreated", "a", "req_1"), Row(3, "Issued", "t", "req_2"))
WHOLE = Database(ROWS, 3, {table: frozenset(("a",) if table == "accounts" else ()) for table in MADE.values()})
LOST = Answer("POST", "/v1/accounts", 502, asked="502")


def test_what_was_acknowledged_is_there():
    assert compare(ANSWERS, WHOLE) == Compared(2, 2, 0, 0, 0, ())


@pytest.mark.parametrize("number", [1, 2])
def test_a_row_that_is_missing_is_noticed(number):
    kept = tuple(replace(row, request_id="") if row is ROWS[number] else row for row in ROWS)
    (wrong,) = compare(ANSWERS, replace(WHOLE, rows=kept)).wrong
    assert wrong.startswith("acknowledged, and not in the database: POST ")


def test_a_row_that_was_taken_out_leaves_a_gap():
    assert len(compare(ANSWERS[:1], replace(WHOLE, rows=ROWS[:1], head=1, there=nothing())).wrong) == 1
    wrong = compare(ANSWERS[:2], replace(WHOLE, rows=(ROWS[0], ROWS[2]), there=nothing())).wrong
    assert "the numbers of the rows have a gap, or one of them twice" in wrong


def test_a_head_that_is_elsewhere_is_noticed():
    assert compare(ANSWERS, replace(WHOLE, head=4)).wrong == ("the head says 4, and the last row 3",)


def test_what_nobody_was_answered_needs_an_answer_that_was_lost():
    rows = (*ROWS, Row(4, "AccountUpdated", "a", "req_9"))
    assert len(compare(ANSWERS, replace(WHOLE, rows=rows, head=4)).wrong) == 1
    assert compare((*ANSWERS, LOST), replace(WHOLE, rows=rows, head=4)) == Compared(2, 2, 0, 0, 1, ())
    passed_on = Answer("POST", "/oauth/token", 200, "req_2", asked="502, 200")
    assert compare((ANSWERS[0], passed_on), replace(WHOLE, rows=rows, head=4)).wrong == ()


def test_an_answer_without_a_row_has_to_repeat_one_that_was_lost():
    repeat = Answer("POST", "/v1/accounts", 201, "req_8", asked="201")
    rows = (ROWS[0], replace(ROWS[1], request_id="req_7"))
    there = replace(WHOLE, rows=rows, head=2)
    assert compare((LOST, repeat), there) == Compared(1, 0, 1, 0, 1, ())
    assert len(compare((repeat, LOST), there).wrong) == 1
    assert len(compare((LOST, repeat, repeat), there).wrong) == 1
    elsewhere = replace(LOST, path="/v1/apis")
    assert len(compare((elsewhere, repeat), there).wrong) == 1


def test_what_had_ended_before_needs_no_row_of_its_own():
    void = Answer("POST", "/v1/grants/g/revoke", 200, "req_8", asked="200", at=7.5)
    ended = Row(4, "GrantRevoked", "g", "req_2", at=7)
    assert compare((*ANSWERS, void), replace(WHOLE, rows=(*ROWS, ended), head=4)) == Compared(3, 2, 0, 1, 0, ())
    for other in (replace(ended, at=8), replace(ended, entity_id="h"), replace(ended, type="GrantCreated")):
        assert len(compare((*ANSWERS, void), replace(WHOLE, rows=(*ROWS, other), head=4)).wrong) == 1


def test_what_was_made_by_half_is_noticed():
    assert compare(ANSWERS, replace(WHOLE, there=nothing())).wrong == ("accounts: a was made, and is not there",)
    strange = {**WHOLE.there, "users": frozenset({"u"})}
    assert compare(ANSWERS, replace(WHOLE, there=strange)).wrong == ("users: u is there, and was never made",)


def test_the_ledger_is_read_as_nginx_writes_it(tmp_path: Path):
    line = {"at": 1.5, "method": "POST", "path": "/oauth/token", "status": 200, "asked": "502, 200", "id": "r"}
    (tmp_path / "ledger").write_text(json.dumps({**line, "replay": ""}) + "\n")
    (found,) = read(tmp_path / "ledger")
    assert (found.is_acknowledged, found.lost, found.id) == (True, 1, "r")


def nothing() -> dict[str, frozenset[str]]:
    return {table: frozenset() for table in MADE.values()}
