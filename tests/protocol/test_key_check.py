"""`/v1/keys/verify`: whether an api key is good now, for this api and scope, and if not, for what reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    ADMIN_KEY,
    CLIENT_SECRET,
    IDENTIFIER,
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_key,
    a_moment,
    a_secret,
    an_access_token,
    an_account,
    an_api,
    asked,
    refused,
    scope,
    work_of,
)

from doorward.protocol import key_check
from doorward.protocol.credential import ApiKeyFacts, presented
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.key_check import Checked, CheckKey, Facts, KeyCheckObject
from doorward.protocol.limit import LimitState
from doorward.protocol.policy import DAY
from doorward.protocol.use import ADDRESS_LIMIT, USER_AGENT_LIMIT, Used


def decided(facts: ApiKeyFacts | None, key: str = KEY, **wanted: Any) -> Decision[Checked]:
    return key_check.decide(asked(CheckKey(key, **wanted)), Facts(presented(key, "dw"), facts), POLICY, a_moment())


def checked(facts: ApiKeyFacts | None, key: str = KEY, **wanted: Any) -> Checked:
    return decided(facts, key, **wanted).reply


def check(facts: ApiKeyFacts | None, key: str = KEY, **wanted: str) -> Decision[KeyCheckObject]:
    decision = decided(facts, key, **wanted)
    return Decision(decision.reply.shown, decision.events)


def told(facts: ApiKeyFacts, reason: str | None = None) -> KeyCheckObject:
    scopes = " ".join(sorted(facts.api_key.scope))
    limits: list[LimitState] | None = [] if reason is None else None
    ends = facts.api_key.expires_at
    return KeyCheckObject(reason is None, reason, "key_1", "acme", IDENTIFIER, scopes, "live", ends, limits)


def use(result: str = "active", at: int = NOW, **more: Any) -> Used:
    return Used("api_key", "key_1", 1, at, result, "acme", KEY[8:20], **more)


def refusal(facts: ApiKeyFacts, reason: str) -> Decision[KeyCheckObject]:
    return Decision(told(facts, reason), (CredentialRefused("api_key", "key_1", reason),))


def test_a_good_key_is_told_with_what_it_may() -> None:
    shown = KeyCheckObject(True, None, "key_1", "acme", IDENTIFIER, "read", "live", NOW + DAY, [])
    assert check(a_key()) == Decision(shown)


@pytest.mark.parametrize("reason", [None, "rate_limited", "made_up"])
def test_a_use_is_counted_as_it_ended_with_where_it_came_from_and_what_sent_it(reason: str | None) -> None:
    told = {"address": "192.0.2.7", "user_agent": "curl/8"}
    result = {None: "active", "made_up": "other"}.get(reason, str(reason))
    assert key_check.counted(checked(a_key(), **told), reason, NOW + 9) == (use(result, at=NOW + 9, **told),)
    long = checked(a_key(), address="1" * 5000, user_agent="x" * 5000).used
    assert long is not None
    assert (len(long.address), len(long.user_agent)) == (ADDRESS_LIMIT, USER_AGENT_LIMIT)


def test_a_use_of_a_secret_that_was_superseded_is_told_apart() -> None:
    facts = a_key()
    old = replace(facts, secret=replace(facts.secret, superseded_at=NOW - 1, expires_at=NOW + 60))
    assert checked(old).used == use(is_old=True)


def test_what_nobody_holds_and_who_only_asks_is_no_use_of_anything() -> None:
    for one in (checked(None), checked(a_key(), "x"), checked(a_key(), cost=0)):
        assert key_check.counted(one, None, NOW) == ()
    assert checked(a_key(state="revoked"), cost=0).used == use("credential_revoked")


def test_the_uri_scheme_of_secrets_may_stay_on_it() -> None:
    assert check(a_key(), f"secret-token:{KEY}") == check(a_key())


def test_a_key_that_never_expires_says_so() -> None:
    assert check(a_key(expires_at=None)).reply.expires_at is None


def test_a_test_key_is_good_and_says_what_it_is() -> None:
    text = a_secret(environment="test")
    assert check(a_key(text, environment="test"), text).reply.environment == "test"


@pytest.mark.parametrize("text", ["", "x", KEY[:-1], KEY + "0", REFRESH_TOKEN, ADMIN_KEY, CLIENT_SECRET, "a.b.c"])
def test_what_is_no_api_key_is_malformed(text: str) -> None:
    for facts in (a_key(), None):
        assert check(facts, text) == Decision(KeyCheckObject(False, "credential_malformed"))


def test_a_token_is_no_api_key() -> None:
    for token_format in ("jwt", "opaque"):
        text, _ = an_access_token(token_format)
        assert check(None, text).reply.reason == "credential_malformed"


@pytest.mark.parametrize("facts", [None, a_key(a_secret(seed="other")), a_key(a_secret(seed="other"), state="revoked")])
def test_of_an_unknown_key_nothing_else_is_told(facts: ApiKeyFacts | None) -> None:
    assert check(facts) == Decision(KeyCheckObject(False, "credential_unknown"))


def test_an_unknown_key_costs_the_same_work_as_a_known_one() -> None:
    request = asked(CheckKey(KEY))
    for facts in (None, a_key(), a_key(a_secret(seed="other"))):
        assert work_of(key_check.decide, request, Facts(presented(KEY, "dw"), facts)) == 1


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (a_key(state="revoked"), "credential_revoked"),
        (a_key(expires_at=NOW), "credential_expired"),
        (a_key(account=an_account(state="suspended")), "account_suspended"),
    ],
)
def test_an_ended_key_is_refused_with_its_reason_whatever_it_was_for(facts: ApiKeyFacts, reason: str) -> None:
    for wanted in ({}, {"api": "https://unknown.example.com"}, {"scope": "admin"}):
        assert check(facts, **wanted) == refusal(facts, reason)


@pytest.mark.parametrize("reference", [IDENTIFIER, "api_1", "invoices"])
def test_the_api_may_be_named_by_identifier_id_or_name(reference: str) -> None:
    assert check(a_key(), api=reference).reply.active


@pytest.mark.parametrize("reference", ["", "https://other.example.com", f"{IDENTIFIER}/", "Invoices"])
def test_a_key_of_another_api_is_refused(reference: str) -> None:
    assert check(a_key(), api=reference) == refusal(a_key(), "wrong_audience")


def test_a_key_needs_every_scope_that_is_wanted() -> None:
    facts = a_key(scope=scope("read write"))
    for enough in ("read", "write read", ""):
        assert check(facts, scope=enough) == Decision(told(facts))
    assert check(facts, scope="read admin") == refusal(facts, "insufficient_scope")
    assert check(a_key(), scope="rea") == refusal(a_key(), "insufficient_scope")


def test_a_scope_that_the_api_no_longer_defines_is_not_enough() -> None:
    facts = a_key(api=an_api(scopes={}))
    assert check(facts, scope="read").reply.reason == "insufficient_scope"
    assert check(facts).reply.scope == ""


@pytest.mark.parametrize("text", [" ", "read  write", "read\n", 'rea"d'])
def test_a_malformed_scope_is_refused(text: str) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        check(a_key(), scope=text)
    assert [name for name, _ in caught.value.fields] == ["scope"]


def test_the_key_is_not_shown_in_a_repr() -> None:
    assert KEY not in repr(CheckKey(KEY))
    assert KEY not in repr(check(a_key()))
