"""T070-T086: every bad token of every class is refused in one way, without a connection and without a crash."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.verify import bad_tokens
from tests.verify.issuing import AUDIENCE, ISSUER, NOW, ec_key, keys, rsa_key, token
from tests.verify.waiting import Clock

from doorward_verify import Verifier, access_token, challenge
from doorward_verify.errors import DoorwardError, InvalidToken
from doorward_verify.source import HeldKeys

BAD = bad_tokens.bad()
# What is told only to someone who has shown a token that the issuer signed.
PROVEN = {"wrong_issuer", "wrong_audience", "token_bound", "credential_expired", "not_yet_valid"}


@pytest.fixture
def verifier(caplog: pytest.LogCaptureFixture) -> Verifier:
    """It has the issuer's keys and asks nobody."""
    caplog.set_level(logging.ERROR, "doorward_verify")
    clock = Clock()
    made = Verifier(ISSUER, audience=AUDIENCE, revocation="off", clock=clock.wall, monotonic=clock.monotonic)
    made._source._held = HeldKeys(keys(), clock.monotonic(), 3600)
    # An unknown kid may cause one reading in 30 seconds (T073); it has just been.
    made._source._unknown_kid.begin()
    return made


def test_the_corpus_has_every_class_of_t070() -> None:
    assert len(BAD) == 23
    assert sum(len(texts) for texts in BAD.values()) > 500
    assert all(BAD.values())


@pytest.mark.parametrize("kind", BAD)
def test_every_bad_token_is_refused(kind: str) -> None:
    known = keys()
    for name, text in BAD[kind].items():
        try:
            access_token.verify(text, known, issuer=ISSUER, audience=AUDIENCE, now=NOW)
        except InvalidToken:
            continue
        pytest.fail(f"accepted: {name}")


@pytest.mark.parametrize("kind", BAD)
def test_every_bad_token_gets_the_same_answer_and_causes_no_connection(
    kind: str, verifier: Verifier, no_connections: list[Any]
) -> None:
    answers = set()
    for text in BAD[kind].values():
        with pytest.raises(DoorwardError) as refused:
            verifier.check(text)
        answer = verifier.answer(refused.value)
        assert answer.status == 401
        assert (
            'Bearer realm="https://api.example.com", error="invalid_token"'
            in dict(answer.headers[:-1])["www-authenticate"]
        )
        assert set(answer.body) == {"error", "error_description", "reason", "request_id", "docs"}
        if refused.value.reason not in PROVEN:
            answers.add((answer.body["error"], answer.body["error_description"], answer.body["reason"]))
    assert answers <= {("invalid_token", challenge.UNIFORM, "credential_unknown")}
    assert no_connections == []


def test_the_controls_are_accepted_by_the_same_verifier(verifier: Verifier, no_connections: list[Any]) -> None:
    for text in bad_tokens.good().values():
        assert verifier.check(text).credential == "jwt"
    assert no_connections == []


def test_no_token_is_in_the_answer_or_the_error(verifier: Verifier) -> None:
    for texts in BAD.values():
        for text in texts.values():
            with pytest.raises(DoorwardError) as refused:
                verifier.check(text)
            parts = [part for part in text.split(".") if len(part) > 40]
            shown = f"{refused.value!r} {verifier.answer(refused.value)}"
            assert not any(part in shown for part in parts)


@settings(max_examples=300)
@given(st.sampled_from([ec_key(), rsa_key()]), st.data())
def test_no_altered_token_is_accepted(key: Any, data: st.DataObject) -> None:
    text = token(key)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    altered = text[:start] + data.draw(st.text("AQgwz019-_.=+/ {}\"'\x00é", max_size=8)) + text[end:]
    if altered != text:
        with pytest.raises(InvalidToken):
            access_token.verify(altered, keys(), issuer=ISSUER, audience=AUDIENCE, now=NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=5,
)


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "scope", "cnf", "act", "jti"]),
        json_values,
        min_size=1,
    )
)
def test_odd_claims_are_refused_or_make_sense(changes: dict[str, Any]) -> None:
    try:
        verified = access_token.verify(token(**changes), keys(), issuer=ISSUER, audience=AUDIENCE, now=NOW)
    except InvalidToken:
        return
    assert verified.audience == AUDIENCE
    assert verified.claims["iss"] == ISSUER
    assert type(verified.expires_at) is int
    assert isinstance(verified.subject, str)
    assert "cnf" not in verified.claims


@settings(max_examples=300)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(InvalidToken):
        access_token.verify(text, keys(), issuer=ISSUER, audience=AUDIENCE, now=NOW)
