"""Why a request was refused, read from its id alone: when, where, the sentence and the fix (decision 23)."""

from __future__ import annotations

import pytest
from tests.protocol.given import NOW, refused

from doorward.protocol.explanation import DetailObject, ExplanationObject, explain
from doorward.protocol.reasons import REASONS
from doorward_verify import request_id

KEY = b"k" * 32
DETAIL = DetailObject("client_1", "POST", "/oauth/token", "")


def an_id(code: int = 0, key: bytes | None = KEY) -> str:
    return request_id.make(NOW, code, 1, b"random bytes", key)


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_every_refusal_is_explained_by_its_id(reason: object) -> None:
    known = REASONS[reason.name]  # type: ignore[attr-defined]
    id_ = an_id(known.code)
    assert explain(id_, KEY) == ExplanationObject(
        id_, NOW, "server", known.name, known.status, known.sentence, known.fix, None
    )


def test_a_request_that_was_not_refused_says_so() -> None:
    shown = explain(an_id(), KEY, DETAIL)
    assert shown == ExplanationObject(
        an_id(), NOW, "server", None, None, "The request was not refused.", "", DETAIL
    )  # fmt: skip


def test_what_was_kept_of_the_request_is_told_with_it() -> None:
    assert explain(an_id(REASONS["scope_invalid"].code), KEY, DETAIL).detail == DETAIL


def test_an_id_made_by_a_service_is_explained_and_said_to_be_one() -> None:
    shown = explain(an_id(REASONS["wrong_audience"].code, key=None), KEY)
    assert (shown.origin, shown.reason) == ("service", "wrong_audience")


@pytest.mark.parametrize(
    "id_", ["", "x", "req_", an_id()[:-1], an_id() + "0", an_id().lower(), an_id(key=b"other" * 7)]
)
def test_an_id_that_nobody_here_made_is_not_known(id_: str) -> None:
    with refused("not_found", reason="entity_unknown"):
        explain(id_, KEY)


def test_a_typing_error_is_found() -> None:
    good = an_id(REASONS["scope_invalid"].code)
    for place in range(4, len(good)):
        wrong = good[:place] + ("0" if good[place] != "0" else "1") + good[place + 1 :]
        with refused("not_found"):
            explain(wrong, KEY)


@pytest.mark.parametrize("key", [KEY, None])
def test_an_id_with_a_reason_that_does_not_exist_is_not_known(key: bytes | None) -> None:
    with refused("not_found"):
        explain(an_id(3000, key), KEY)
