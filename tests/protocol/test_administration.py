"""Every request to /v1: who asks is settled first, then what he may, then whether it was answered before."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import (
    ADMIN_KEY,
    CLIENT_SECRET,
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_moment,
    a_secret,
    an_account,
    an_admin_key,
    an_administrator,
    asked,
    refused,
)

from doorward.protocol import account, administration
from doorward.protocol.admin import Asked, Caller
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.administration import Answered, Facts, Presented, Request, identify, presented
from doorward.protocol.decision import Decision
from doorward.protocol.events import AccountUpdated, CredentialRefused
from doorward_verify import api_key

ADDRESS = "192.0.2.1"
WHO = Presented(ADMIN_KEY[9:21], api_key.digest(ADMIN_KEY), ADDRESS)


def bearer(text: str) -> list[bytes]:
    return [b"Bearer " + text.encode()]


# Who asks


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_an_admin_key_is_a_bearer_token(scheme: bytes) -> None:
    assert presented([scheme + b" " + ADMIN_KEY.encode()], ADDRESS, "dw") == WHO


@pytest.mark.parametrize("authorization", [[], [b""], [b"Basic eDp5"], [b"Bearish x"]])
def test_without_an_admin_key_no_error_code_is_told(authorization: list[bytes]) -> None:
    with refused("invalid_token", reason="credential_missing"):
        presented(authorization, ADDRESS, "dw")


def test_two_authorization_headers_are_refused() -> None:
    with refused("invalid_request", reason="several_credentials"):
        presented(bearer(ADMIN_KEY) * 2, ADDRESS, "dw")


@pytest.mark.parametrize("text", ["", " ", ADMIN_KEY[:-1], ADMIN_KEY + "0", f" {ADMIN_KEY}", "é", "a.b.c"])
def test_a_malformed_admin_key_is_refused(text: str) -> None:
    with refused("invalid_token", reason="credential_malformed"):
        presented(bearer(text), ADDRESS, "dw")


@pytest.mark.parametrize("text", [KEY, CLIENT_SECRET, REFRESH_TOKEN, a_secret("o")])
def test_a_secret_of_another_kind_is_no_admin_key(text: str) -> None:
    with refused("invalid_token", reason="credential_unknown"):
        presented(bearer(text), ADDRESS, "dw")


def test_the_key_itself_goes_no_further() -> None:
    shown = repr(WHO)
    assert ADMIN_KEY not in shown
    assert repr(WHO.digest)[2:-1] not in shown


def test_the_caller_on_the_own_data_directory_is_who_he_is() -> None:
    local = Caller("local:1000", frozenset({"admin"}))
    assert identify(local, None, POLICY, a_moment()) is local


def test_a_caller_with_an_admin_key_is_its_id_and_its_scope() -> None:
    facts = an_admin_key(allowed="keys:read")
    assert identify(WHO, facts, POLICY, a_moment()) == Caller("admin_1", frozenset({"keys:read"}))


# What is decided


def decide(
    request: Request[Any],
    admin_key: AdminKeyFacts | None = None,
    answered: Answered | None = None,
    scope: str = "accounts:write",
    now: int = NOW,
) -> Decision[Any]:
    facts = Facts(admin_key, answered, account.Facts(an_account()))
    return administration.decide(scope, account.suspend, request, facts, POLICY, a_moment(now))


def a_request(who: Presented | Caller = WHO, digest: str = "digest of the request") -> Request[Any]:
    return Request(who, Asked(asked().body), digest, "idempotency key")


def test_the_routes_own_decision_is_made_for_the_caller() -> None:
    callers = []

    def within(inner: Asked[Any], facts: Any, *_: Any) -> Decision[str]:
        callers.append((inner.caller, facts))
        return Decision("done")

    facts = Facts(an_admin_key(), None, "facts of the route")
    assert administration.decide("apis:read", within, a_request(), facts, POLICY, a_moment()) == Decision("done")
    assert callers == [(an_administrator(), "facts of the route")]


def test_what_the_route_decides_is_the_answer() -> None:
    decision = decide(a_request(), an_admin_key())
    assert isinstance(decision.reply, account.AccountObject)
    assert [type(event) for event in decision.events] == [AccountUpdated]


def test_an_unknown_admin_key_decides_nothing() -> None:
    for facts in (None, an_admin_key(a_secret("a", seed="other"))):
        with refused("invalid_token", reason="credential_unknown"):
            decide(a_request(), facts)


def test_an_ended_admin_key_decides_nothing_and_that_is_recorded() -> None:
    record = CredentialRefused("admin_key", "admin_1", "credential_revoked")
    with refused("invalid_token", reason="credential_revoked", events=(record,)):
        decide(a_request(), an_admin_key(state="revoked"))


@pytest.mark.parametrize("allowed", ["accounts:read", "keys:write", "metrics:read"])
def test_every_route_needs_its_scope(allowed: str) -> None:
    with refused("insufficient_scope", reason="insufficient_scope", fields={"scope": "accounts:write"}):
        decide(a_request(), an_admin_key(allowed=allowed))
    with refused("insufficient_scope"):
        decide(a_request(an_administrator(allowed)))


def test_a_local_caller_needs_the_scope_too() -> None:
    assert decide(a_request(an_administrator("accounts:write"))).events
    with refused("insufficient_scope"):
        decide(a_request(Caller("local:1000", frozenset())))


# Idempotency

ANSWERED = Answered("digest of the request", b"sealed", NOW + 1)


def test_a_repeated_request_gets_the_reply_that_was_kept_and_changes_nothing() -> None:
    assert decide(a_request(), an_admin_key(), ANSWERED) == Decision(ANSWERED)


def test_the_same_key_with_another_request_is_refused() -> None:
    with refused("invalid_fields", reason="idempotency_mismatch"):
        decide(a_request(digest="digest of another request"), an_admin_key(), ANSWERED)


def test_a_reply_is_kept_for_its_time_only() -> None:
    assert decide(a_request(), an_admin_key(), ANSWERED, now=NOW + 1).events
    assert decide(a_request(digest="digest of another request"), an_admin_key(), ANSWERED, now=NOW + 2).events


def test_a_kept_reply_is_for_those_who_may_still_ask() -> None:
    with refused("invalid_token"):
        decide(a_request(), None, ANSWERED)
    with refused("insufficient_scope"):
        decide(a_request(), an_admin_key(allowed="accounts:read"), ANSWERED)


def test_a_kept_reply_is_not_shown_in_a_repr() -> None:
    assert "sealed" not in repr(ANSWERED)
