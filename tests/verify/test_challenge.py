"""How refusals look on the wire: RFC 6750 §3, and bodies that explain themselves."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_verify import challenge
from doorward_verify.api_key import MalformedCredential
from doorward_verify.challenge import UNPROVEN, Answer, completed, quoted
from doorward_verify.errors import (
    CostImpossible,
    CredentialMissing,
    DoorwardError,
    InsufficientScope,
    InsufficientUserAuthentication,
    InTheClear,
    InvalidRequest,
    InvalidToken,
    KeyUnknown,
    RateLimited,
    Unavailable,
)
from doorward_verify.reasons import BY_NAME, REASONS

REALM = 'realm="https://api.example.com"'
STEP_UP = "the user has to sign in again, more strongly or more recently"


def answer(error: DoorwardError) -> Answer:
    return challenge.answer(
        error, issuer="https://auth.example.com", audience="https://api.example.com", request_id="req_1"
    )


def challenges(error: DoorwardError) -> list[str]:
    return [value for name, value in answer(error).headers if name == "www-authenticate"]


def test_without_a_credential_no_error_code_is_told() -> None:
    assert answer(CredentialMissing("no credential was sent")).status == 401
    assert challenges(CredentialMissing("no credential was sent")) == [
        f"Bearer {REALM}", f'ApiKey {REALM}, header="X-API-Key"',
    ]  # fmt: skip


def test_a_bad_credential_is_challenged_both_ways() -> None:
    bearer, api_key = challenges(InvalidToken("the token has expired", reason="credential_expired"))
    assert bearer == f'Bearer {REALM}, error="invalid_token", error_description="the token has expired"'
    assert api_key == f'ApiKey {REALM}, header="X-API-Key"'


def test_a_missing_scope_is_named() -> None:
    error = InsufficientScope(frozenset({"invoices:write", "invoices:read"}))
    assert answer(error).status == 403
    assert challenges(error) == [
        f'Bearer {REALM}, error="insufficient_scope", '
        'error_description="the credential lacks a scope that is needed here", scope="invoices:read invoices:write"'
    ]


def test_several_credentials_are_a_bad_request_without_a_challenge() -> None:
    error = InvalidRequest("more than one credential was sent")
    assert answer(error).status == 400
    assert answer(error).body["error"] == "invalid_request"
    assert challenges(error) == []


@pytest.mark.parametrize("reason", ["server_unreachable", "verifier_refused", "verifier_unconfigured"])
def test_what_is_not_the_callers_fault_is_503(reason: str) -> None:
    error = Unavailable("it cannot be decided", reason=reason)
    assert answer(error).status == 503
    assert ("retry-after", "1") in answer(error).headers
    assert challenges(error) == []


def test_the_body_explains_itself() -> None:
    assert answer(InvalidToken("the token has expired", reason="credential_expired")).body == {
        "error": "invalid_token",
        "error_description": "the token has expired",
        "reason": "credential_expired",
        "request_id": "req_1",
        "docs": "https://auth.example.com/v1/docs#reason-credential_expired",
    }


def test_a_body_without_an_error_code_names_its_reason() -> None:
    assert answer(CredentialMissing("no credential was sent")).body["error"] == "credential_missing"


def test_no_answer_is_stored_and_every_one_has_its_id() -> None:
    for error in (CredentialMissing(""), InvalidRequest(""), InvalidToken(""), Unavailable("")):
        headers = answer(error).headers
        assert ("cache-control", "no-store") in headers
        assert ("content-type", "application/json") in headers
        assert ("x-request-id", "req_1") in headers


def test_until_possession_is_proven_every_refusal_is_the_same() -> None:
    errors = [
        InvalidToken("one", reason="signature_invalid"), InvalidToken("two", reason="token_malformed"),
        InvalidToken("three", reason="token_type_wrong"), InvalidToken("four", reason="credential_unknown"),
        MalformedCredential("five"), KeyUnknown("kid"),
    ]  # fmt: skip
    assert {error.reason for error in errors} == UNPROVEN
    assert len({(a.status, a.headers, tuple(a.body.items())) for a in map(answer, errors)}) == 1


def test_every_reason_has_the_status_and_code_of_the_error_that_names_it() -> None:
    kinds = {
        (401, None): CredentialMissing, (400, "invalid_request"): InvalidRequest, (401, "invalid_token"): InvalidToken,
        (503, "temporarily_unavailable"): Unavailable, (403, "invalid_request"): InTheClear,
    }  # fmt: skip
    # These say more than that they are refused, and are made otherwise.
    others = {
        "insufficient_scope": InsufficientScope,
        "insufficient_user_authentication": InsufficientUserAuthentication,
        "rate_limited": RateLimited,
        "quota_exceeded": RateLimited,
        "cost_impossible": CostImpossible,
    }
    for reason in REASONS:
        if reason.name not in others:
            error = kinds[reason.status, reason.error]("it is so", reason=reason.name)
            assert (error.status, error.error) == (reason.status, reason.error)
    for name, kind in others.items():
        assert (kind.status, kind.error) == (BY_NAME[name].status, BY_NAME[name].error)


def test_the_codes_of_reasons_never_change() -> None:
    assert {reason.name: reason.code for reason in REASONS} == {
        "credential_missing": 1, "several_credentials": 2, "credential_malformed": 3, "credential_unknown": 4,
        "credential_expired": 5, "credential_revoked": 6, "account_suspended": 7, "client_disabled": 8,
        "insufficient_scope": 9, "wrong_audience": 10, "wrong_issuer": 11, "wrong_environment": 12,
        "signature_invalid": 13, "signing_key_unknown": 14, "token_malformed": 15, "token_type_wrong": 16,
        "token_bound": 17, "not_yet_valid": 18, "verifier_unconfigured": 19, "verifier_refused": 20,
        "server_unreachable": 21, "plaintext": 22, "insufficient_user_authentication": 23,
        "network_not_allowed": 24, "rate_limited": 25, "quota_exceeded": 26, "limits_uncountable": 27,
        "cost_impossible": 68,
        "assertion_misplaced": 60, "assertion_replayed": 61, "transport_not_allowed": 70, "key_in_browser": 71,
    }  # fmt: skip


def test_what_the_door_knows_is_added_to_every_challenge_of_a_bearer() -> None:
    refused = completed(
        answer(InvalidToken("it has expired", reason="credential_expired")), frozenset({"a"}), "https://m"
    )
    bearer, api_key = (value for name, value in refused.headers if name == "www-authenticate")
    assert bearer.endswith('error_description="it has expired", scope="a", resource_metadata="https://m"')
    assert api_key == f'ApiKey {REALM}, header="X-API-Key"'


def test_a_scope_is_named_once() -> None:
    refused = completed(answer(InsufficientScope(frozenset({"a", "b"}))), frozenset({"a", "b"}), None)
    assert refused == answer(InsufficientScope(frozenset({"a", "b"})))


@pytest.mark.parametrize("error", [InvalidRequest("no"), Unavailable("no")], ids=lambda error: type(error).__name__)
def test_where_nothing_is_challenged_nothing_is_added(error: DoorwardError) -> None:
    assert completed(answer(error), frozenset({"a"}), "https://m") == answer(error)


def test_a_step_up_says_only_what_is_wanted_and_that_no_key_will_do() -> None:
    said = 'error="insufficient_user_authentication", error_description="' + STEP_UP + '"'
    for error, wanted in (
        (InsufficientUserAuthentication(("phr", "mfa"), None), 'acr_values="phr mfa"'),
        (InsufficientUserAuthentication((), 0), 'max_age="0"'),
    ):
        assert answer(error).status == 401
        assert challenges(error) == [f"Bearer {REALM}, {said}, {wanted}"]


@given(st.text())
def test_no_value_breaks_out_of_its_quotes(value: str) -> None:
    text = quoted(value)
    assert text.isascii()
    assert text.isprintable()
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', text)


def test_quoting_keeps_what_is_harmless() -> None:
    assert quoted("https://api.example.com/a?b=c") == '"https://api.example.com/a?b=c"'
    assert quoted('a"b\\c\r\nd') == '"a\\"b\\\\c??d"'
