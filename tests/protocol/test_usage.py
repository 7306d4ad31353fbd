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
from doorward.protocol.usage import COUNT_LIMIT, LIMIT, TEXT_LIMIT, Facts, Known, Request
from doorward.protocol.use import Used

OURS = {("api_key", "key_1"): Known(EARLIER, "acme"), ("grant", "grant_1"): Known(EARLIER, "books")}
OWNERS = {"api_key": "acme", "grant": "books"}
AUTHORIZATION = [basic("verifier_1", VERIFIER_SECRET)]


def item(**changes: Any) -> dict[str, Any]:
    return {"kind": "api_key", "id": "key_1", "count": 3, "last_used_at": NOW - 5, **changes}


def parse(*items: Any) -> Request:
    return usage.parse(AUTHORIZATION, Form({}), {"usage": list(items)})


def added(*used: Used, superseded_at: int | None = None) -> tuple[Used, ...]:
    request = Request(credentials("verifier_1", VERIFIER_SECRET), used)
    facts = Facts(a_verifier(), OURS, {("key_1", "secret_1"): superseded_at})
    decision = usage.decide(request, facts, POLICY, a_moment())
    assert (decision.events, decision.uses) == ((), ())
    return decision.reply


def owned(kind: str, id_: str, count: int, at: int, **more: Any) -> Used:
    return Used(kind, id_, count, at, account_id=OWNERS[kind], **more)


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
        {"result": None}, {"secret_id": 1}, {"address": ["::1"]}, {"user_agent": "x" * (TEXT_LIMIT + 1)},
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
    assert added(mine, *others) == (owned("grant", "grant_1", 2, NOW),)


@pytest.mark.parametrize(
    ("told", "believed"), [(NOW, NOW), (NOW - 9, NOW - 9), (NOW + 1, NOW), (2**53, NOW), (0, EARLIER)]
)
def test_nothing_was_used_later_than_now_nor_before_it_was_made(told: int, believed: int) -> None:
    assert added(Used("api_key", "key_1", 1, told)) == (owned("api_key", "key_1", 1, believed),)


def test_what_is_named_twice_is_added_once() -> None:
    twice = (Used("api_key", "key_1", 2, NOW - 9), Used("api_key", "key_1", 3, NOW - 11))
    assert added(*twice) == (owned("api_key", "key_1", 5, NOW - 9),)


def test_each_secret_and_result_counts_for_itself_as_it_was_used_last() -> None:
    late = Used("api_key", "key_1", 1, NOW - 1, secret_id="secret_1", address="192.0.2.7", user_agent="curl/8")
    early = Used("api_key", "key_1", 2, NOW - 9, secret_id="secret_1", address="192.0.2.1")
    refused = Used("api_key", "key_1", 4, NOW, "network_not_allowed", secret_id="secret_1")
    told = {"secret_id": "secret_1", "address": "192.0.2.7", "user_agent": "curl/8"}
    assert added(late, early, refused) == (
        owned("api_key", "key_1", 3, NOW - 1, **told),
        owned("api_key", "key_1", 4, NOW, result="network_not_allowed", secret_id="secret_1"),
    )


@pytest.mark.parametrize(("superseded_at", "is_old"), [(None, False), (NOW - 5, True), (NOW - 4, False)])
def test_a_secret_is_old_when_it_was_used_after_it_was_superseded(superseded_at: int | None, is_old: bool) -> None:
    (one,) = added(Used("api_key", "key_1", 1, NOW - 5, secret_id="secret_1"), superseded_at=superseded_at)
    assert one.is_old is is_old


def test_a_secret_of_another_key_is_nobodys() -> None:
    (one,) = added(Used("api_key", "key_1", 1, NOW, secret_id="secret_2"))
    assert (one.id, one.secret_id) == ("key_1", "")
    (one,) = added(Used("grant", "grant_1", 1, NOW, secret_id="secret_1"))
    assert one.secret_id == ""


@pytest.mark.parametrize(
    ("told", "counted"),
    [("active", "active"), ("credential_expired", "credential_expired"), ("made_up", "other"), ("", "other")],
)
def test_a_result_is_one_of_a_few(told: str, counted: str) -> None:
    (one,) = parse(item(result=told)).usage
    assert one.result == counted


@pytest.mark.parametrize("known", [None, a_verifier()])
def test_who_is_not_the_verifier_is_refused(known: Any) -> None:
    request = Request(credentials("verifier_1", a_secret("s", seed="wrong")), ())
    with refused("invalid_client"):
        usage.decide(request, Facts(known, {}), POLICY, a_moment())
