"""Keys that the issuer imported have no form: a verifier that takes them asks, by digest and at first by text."""

from __future__ import annotations

import hashlib

import pytest
from tests.verify.asking import KEY, MakeVerifier, active, refused
from tests.verify.issuer_server import INTROSPECTION, Issuer, Question, Reply, inactive

from doorward_verify import Verifier, jwt

OLD = "sk_prod_4f9d8c7b6a5e4d3c2b1a0f9e8d7c6b5a"
DIGEST = {"token_sha256": jwt.b64url_encode(hashlib.sha256(OLD.encode()).digest())}


def shown(issuer: Issuer) -> list[Question]:
    """What was told of the key itself."""
    return [{name: value for name, value in one.items() if name.startswith("token")} for one in issuer.questions]


@pytest.fixture
def taking(verifier_of: MakeVerifier, issuer: Issuer) -> Verifier:
    issuer.replies[INTROSPECTION] = active
    return verifier_of(legacy_keys=True)


def test_without_being_told_a_verifier_asks_nobody(verifier: Verifier, issuer: Issuer) -> None:
    assert refused(lambda: verifier.check(OLD)) == "credential_malformed"
    assert issuer.counts == {}


def test_a_key_that_is_known_is_asked_by_its_digest_alone(taking: Verifier, issuer: Issuer) -> None:
    assert taking.check(OLD).key_id == "key_1"
    assert shown(issuer) == [DIGEST]


def test_one_that_is_known_by_a_slow_hash_is_shown_once(taking: Verifier, issuer: Issuer) -> None:
    def known_by_its_text(question: Question) -> Reply:
        return active() if "token" in question else inactive(question)

    issuer.replies[INTROSPECTION] = known_by_its_text
    assert taking.check(OLD).key_id == "key_1"
    assert shown(issuer) == [DIGEST, {"token": OLD}]


def test_what_nobody_knows_is_refused_and_soon_not_asked_again(taking: Verifier, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = inactive
    for _ in range(2):
        assert refused(lambda: taking.check(OLD)) == "credential_unknown"
    assert shown(issuer) == [DIGEST, {"token": OLD}]


def test_texts_that_keep_the_server_busy_keep_no_other_key_waiting(taking: Verifier, issuer: Issuer) -> None:
    def busy_with_texts(question: Question) -> Reply:
        if "token" in question:
            return Reply({}, 503)
        return inactive(question) if question["token_sha256"] == DIGEST["token_sha256"] else active()

    issuer.replies[INTROSPECTION] = busy_with_texts
    assert refused(lambda: taking.check(OLD)) == "server_unreachable"
    assert taking.check(KEY).key_id == "key_1"


def test_the_environment_may_say_so(verifier_of: MakeVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer.replies[INTROSPECTION] = active
    monkeypatch.setenv("DOORWARD_LEGACY_KEYS", "1")
    assert verifier_of().check(OLD).key_id == "key_1"
    assert refused(lambda: verifier_of(legacy_keys=False).check(OLD)) == "credential_malformed"


def test_a_test_key_is_refused_though_its_text_does_not_say_so(taking: Verifier, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = lambda _: active(environment="test")
    assert refused(lambda: taking.check(OLD)) == "wrong_environment"


def test_a_test_service_takes_it(verifier_of: MakeVerifier, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = lambda _: active(environment="test")
    assert verifier_of(legacy_keys=True, environment="test").check(OLD).environment == "test"


@pytest.mark.parametrize("text", [KEY[:-1] + ("0" if KEY[-1] != "0" else "1"), "short", "a b" * 8, "x" * 513, ""])
def test_a_broken_key_of_ours_and_what_is_no_key_are_refused_without_asking(
    taking: Verifier, issuer: Issuer, text: str
) -> None:
    assert refused(lambda: taking.check(text)) == "credential_malformed"
    assert issuer.counts == {}
