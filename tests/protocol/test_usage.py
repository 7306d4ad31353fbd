"""Usage: what verifiers tell is added for their own api alone, and no time of theirs is believed beyond reason."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import (
    EARLIER,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_moment,
    a_secret,
    a_verifier,
    basic,
    credentials,
    refused,
)

from doorward.protocol import usage
from doorward.protocol.form import Form
from doorward.protocol.usage import COUNT_LIMIT, LIMIT, Facts, Request, Used

OURS = {("api_key", "key_1"): EARLIER, ("grant", "grant_1"): EARLIER}
AUTHORIZATION = [basic("verifier_1", VERIFIER_SECRET)]


def item(**changes: Any) -> dict[str, Any]:
    return {"kind": "api_key", "id": "key_1", "count": 3, "last_used_at": NOW - 5, **changes}


def parse(*items: Any) -> Request:
    return usage.parse(AUTHORIZATION, Form({}), {"usage": list(items)})


def added(*used: Used) -> tuple[Used, ...]:
    request = Request(credentials("verifier_1", VERIFIER_SECRET), used)
    decision = usage.decide(request, Facts(a_verifier(), OURS), POLICY, a_moment())
    assert decision.events == ()
    return decision.reply


def test_a_batch_is_read_as_it_was_sent() -> None:
    request = parse(item(), item(kind="grant", id="grant_1"))
    assert request.usage == (Used("api_key", "key_1", 3, NOW - 5), Used("grant", "grant_1", 3, NOW - 5))
    assert request.credentials.client_id == "verifier_1"
    assert parse().usage == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "client"}, {"kind": []}, {"id": ""}, {"id": None}, {"id": "x" * 101}, {"count": 0}, {"count": True},
        {"count": 1.0}, {"count": COUNT_LIMIT + 1}, {"last_used_at": -1}, {"last_used_at": 2**53 + 1}, {"else": 1},
    ],
)  # fmt: skip
def test_one_malformed_item_spoils_the_batch(changes: dict[str, Any]) -> None:
    with refused("invalid_request"):
        parse(item(), item(**changes))


@pytest.mark.parametrize("document", [{}, {"usage": None}, {"usage": {}}, {"usage": [], "more": 1}])
def test_a_document_of_another_shape_is_malformed(document: dict[str, Any]) -> None:
    with refused("invalid_request"):
        usage.parse(AUTHORIZATION, Form({}), document)


def test_a_batch_has_a_limit() -> None:
    assert len(parse(*[item()] * LIMIT).usage) == LIMIT
    with refused("invalid_request"):
        parse(*[item()] * (LIMIT + 1))


def test_what_is_not_of_the_verifiers_api_is_passed_over() -> None:
    mine, others = Used("grant", "grant_1", 2, NOW), (Used("grant", "key_1", 1, NOW), Used("api_key", "key_2", 1, NOW))
    assert added(mine, *others) == (mine,)


@pytest.mark.parametrize(
    ("told", "believed"), [(NOW, NOW), (NOW - 9, NOW - 9), (NOW + 1, NOW), (2**53, NOW), (0, EARLIER)]
)
def test_nothing_was_used_later_than_now_nor_before_it_was_made(told: int, believed: int) -> None:
    assert added(Used("api_key", "key_1", 1, told)) == (Used("api_key", "key_1", 1, believed),)


def test_what_is_named_twice_is_added_once() -> None:
    twice = (Used("api_key", "key_1", 2, NOW - 9), Used("api_key", "key_1", 3, NOW - 11))
    assert added(*twice) == (Used("api_key", "key_1", 5, NOW - 9),)


@pytest.mark.parametrize("known", [None, a_verifier()])
def test_who_is_not_the_verifier_is_refused(known: Any) -> None:
    request = Request(credentials("verifier_1", a_secret("s", seed="wrong")), ())
    with refused("invalid_client"):
        usage.decide(request, Facts(known, {}), POLICY, a_moment())
