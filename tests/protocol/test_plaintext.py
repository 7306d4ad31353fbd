"""What ends because it arrived in the clear, what is only flagged, and what a verifier may say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    ADMIN_KEY,
    KEY,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_key,
    a_moment,
    a_verifier,
    an_admin_key,
    another_api,
    credentials,
    refused,
    scope,
)

from doorward.protocol import leak_events, plaintext
from doorward.protocol.decision import Decision
from doorward.protocol.events import AdminKeyRevoked
from doorward.protocol.leak import BatchFacts, Facts
from doorward.protocol.plaintext import BURNS_LIMIT, ORIGIN, PROXY, WINDOW, Arrived, ArrivedFacts, Burnt

EVERYTHING = an_admin_key(scope=scope("admin"))


def arrived(*texts: str, origin: str = ORIGIN) -> Arrived:
    return plaintext.arrived(texts, "192.0.2.7", origin, "dw")


def decided(request: Arrived, *about: Any, **facts: Any) -> Decision[Burnt]:
    each = tuple(Facts(one) for one in about)
    return plaintext.decide(request, ArrivedFacts(BatchFacts(each), **facts), POLICY, a_moment())


def words(decision: Decision[Burnt]) -> list[str]:
    return [outcome.word for outcome in decision.reply.outcomes]


def ended(decision: Decision[Burnt]) -> set[type]:
    told = (leak_events.LeakReported, leak_events.LeakUpdated)
    return {type(event) for event in decision.events if not isinstance(event, told)}


def test_what_our_socket_received_ends() -> None:
    decision = decided(arrived(KEY), a_key())
    assert (words(decision), ended(decision)) == (["revoked"], {leak_events.ApiKeySecretRevoked})
    (told,) = (event for event in decision.events if isinstance(event, leak_events.LeakReported))
    assert (told.leak.origin, told.leak.locations) == ("plaintext", ("plain http from 192.0.2.7",))


def test_what_a_proxy_says_is_flagged_alone() -> None:
    decision = decided(arrived(KEY, origin=PROXY), a_key())
    assert (words(decision), ended(decision), decision.reply.is_broken) == (["flagged"], set(), False)


def test_what_nobody_knows_changes_nothing() -> None:
    assert decided(arrived(KEY), None) == Decision(Burnt((plaintext.Outcome("unknown"),)))


@pytest.mark.parametrize(
    ("burnt_at", "word"),
    [((NOW,) * (BURNS_LIMIT - 1), "revoked"), ((NOW,) * BURNS_LIMIT, "flagged"), ((NOW - WINDOW,) * 99, "revoked")],
)
def test_so_many_in_a_minute_are_flagged_with_an_alarm(burnt_at: tuple[int, ...], word: str) -> None:
    decision = decided(arrived(KEY), a_key(), burnt_at=burnt_at)
    assert words(decision) == [word]
    assert decision.reply.is_broken is (word == "flagged")
    assert bool(ended(decision)) is (word == "revoked")


def test_one_request_does_not_get_around_the_breaker() -> None:
    decision = decided(arrived(KEY, ADMIN_KEY), a_key(), EVERYTHING, burnt_at=(NOW,) * (BURNS_LIMIT - 1))
    assert words(decision) == ["revoked", "flagged"]


def test_the_alarm_is_for_what_would_have_ended() -> None:
    assert not decided(arrived(KEY), None, burnt_at=(NOW,) * BURNS_LIMIT).reply.is_broken


def test_an_admin_key_ends_while_another_one_may_do_everything() -> None:
    other = replace(EVERYTHING.admin_key, id="admin_2")
    decision = decided(arrived(ADMIN_KEY), EVERYTHING, admins=(EVERYTHING.admin_key, other))
    assert (words(decision), ended(decision)) == (["revoked"], {AdminKeyRevoked})


@pytest.mark.parametrize("fields", [{"scope": scope("apis:read keys:write")}, {"expires_at": NOW}])
def test_the_last_one_is_flagged(fields: dict[str, Any]) -> None:
    """Whatever others there are that could not take its place."""
    other = replace(EVERYTHING.admin_key, id="admin_2", **fields)
    for admins in ((EVERYTHING.admin_key,), (EVERYTHING.admin_key, other)):
        decision = decided(arrived(ADMIN_KEY), EVERYTHING, admins=admins)
        assert (words(decision), ended(decision)) == (["flagged"], set())


def from_a_verifier(*reports: Any, secret: str = VERIFIER_SECRET) -> Arrived:
    return replace(arrived(*reports), credentials=credentials("verifier_1", secret))


def test_a_verifier_ends_what_is_of_its_api() -> None:
    assert words(decided(from_a_verifier(KEY), a_key(), verifier=a_verifier())) == ["revoked"]


@pytest.mark.parametrize("about", [a_key(api=another_api()), EVERYTHING, a_verifier()])
def test_and_nothing_else(about: Any) -> None:
    decision = decided(from_a_verifier(KEY), about, verifier=a_verifier(), admins=())
    assert (words(decision), decision.events) == (["unknown"], ())


def test_it_proves_who_it_is() -> None:
    with refused("invalid_client"):
        decided(from_a_verifier(KEY, secret="wrong"), a_key(), verifier=a_verifier())
