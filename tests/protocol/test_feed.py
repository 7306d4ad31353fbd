"""The revocation feed's questions: who may ask, from where on, and when a snapshot is needed instead."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import (
    CLIENT_SECRET,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_form,
    a_moment,
    a_verifier,
    basic,
    refused,
)

from doorward.protocol import feed
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.feed import Request, follow, parse, parse_stream
from doorward.protocol.moment import Position
from doorward.protocol.verifier import VerifierFacts

BASIC = basic("verifier_1", VERIFIER_SECRET)
HEAD = Position(1, 100)


def asked(**query: str) -> Request:
    return parse([BASIC], a_form(**query))


def test_no_query_asks_for_a_snapshot() -> None:
    request = asked()
    assert (request.since, request.wait) == (None, 0)
    assert (request.credentials.client_id, request.credentials.method) == ("verifier_1", "client_secret_basic")


def test_a_poll_names_its_position_and_may_wait() -> None:
    assert asked(since="1:1000").since == Position(1, 1000)
    assert [asked(since="1:1", wait=wait).wait for wait in ("0", "7", "30")] == [0, 7, 30]


@pytest.mark.parametrize("wait", ["31", "-1", "1.5", "030", "x", "\u0663", "\u00b2"])
def test_nobody_waits_for_longer_than_half_a_minute(wait: str) -> None:
    with refused("invalid_request"):
        asked(since="1:1", wait=wait)


def test_who_waits_says_from_where_on() -> None:
    with refused("invalid_request"):
        asked(wait="3")


@pytest.mark.parametrize("since", ["1", "x:y", "1:1 ", "1:99999999999999999999"])
def test_a_malformed_position_is_refused(since: str) -> None:
    with refused("invalid_request"):
        asked(since=since)
    with refused("invalid_request"):
        parse_stream([BASIC], a_form(), since.encode())


def test_a_stream_goes_on_where_the_last_one_ended() -> None:
    assert parse_stream([BASIC], a_form(), b"1:7").since == Position(1, 7)
    assert parse_stream([BASIC], a_form(since="1:5"), None).since == Position(1, 5)


def test_a_client_that_reconnects_with_its_first_address_goes_on_where_it_was() -> None:
    assert parse_stream([BASIC], a_form(since="1:5"), b"1:7").since == Position(1, 7)


def test_a_stream_from_nowhere_is_refused() -> None:
    with refused("invalid_request"):
        parse_stream([BASIC], a_form(), None)


@pytest.mark.parametrize("authorization", [[], [b"Bearer dw_live_x"], [b"Basic !"]])
def test_the_caller_authenticates_by_basic_and_by_nothing_else(authorization: list[bytes]) -> None:
    for ask in (lambda: parse(authorization, a_form()), lambda: parse_stream(authorization, a_form(), b"1:1")):
        with refused("invalid_client"):
            ask()


def decide(authorization: bytes, facts: VerifierFacts | None, **query: str) -> Decision[VerifierFacts]:
    return feed.decide(parse([authorization], a_form(**query)), facts, POLICY, a_moment())


def test_a_verifier_with_its_secret_may_hear() -> None:
    assert decide(BASIC, a_verifier()) == Decision(a_verifier())


@pytest.mark.parametrize("facts", [None, a_verifier()])
def test_a_stranger_may_not(facts: Any) -> None:
    with refused("invalid_client", events=()):
        decide(basic("verifier_1", CLIENT_SECRET), facts)


def test_a_verifier_that_was_revoked_may_not_and_that_is_recorded() -> None:
    record = CredentialRefused("verifier", "verifier_1", "credential_revoked")
    with refused("invalid_client", events=(record,)):
        decide(BASIC, a_verifier(state="revoked", revoked_at=NOW))


def test_a_secret_in_the_url_is_refused_though_it_is_the_right_one() -> None:
    query = {"client_id": "verifier_1", "client_secret": VERIFIER_SECRET}
    with refused("invalid_request", reason="secret_in_query", events=(
        CredentialRefused("verifier", "verifier_1", "secret_in_query"),
    )):  # fmt: skip
        decide(BASIC, a_verifier(), **query)


def test_what_nothing_came_behind_can_be_followed_however_old_it_is() -> None:
    follow(HEAD, HEAD, None, NOW)
    follow(Position(1, 0), HEAD, None, NOW)


def test_what_something_came_behind_can_be_followed_for_a_quarter_of_an_hour() -> None:
    follow(Position(1, 90), HEAD, NOW - 900, NOW)
    with refused("gone", reason="feed_gone"):
        follow(Position(1, 90), HEAD, NOW - 901, NOW)


@pytest.mark.parametrize("since", [Position(1, 101), Position(2, 100), Position(2, 1), Position(0, 100)])
def test_a_position_of_another_epoch_or_ahead_of_the_journal_is_gone(since: Position) -> None:
    with refused("gone", reason="feed_gone"):
        follow(since, HEAD, None, NOW)


def test_a_heartbeat_says_how_far_everything_was_told_and_what_was_the_last_of_it() -> None:
    claims = feed.heartbeat("https://auth.example.com", "https://api.example.com", NOW, HEAD, Position(1, 42))
    assert claims == {
        "iss": "https://auth.example.com", "aud": "https://api.example.com", "iat": NOW,
        "pos": "1:100", "last": "1:42",
    }  # fmt: skip
