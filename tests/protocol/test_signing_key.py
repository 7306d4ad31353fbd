"""Signing keys: one active for each algorithm, shown without the private half (RFC 7517 §4)."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol.given import EARLIER, a_signing_key

from doorward.protocol.entities import SigningKey
from doorward.protocol.events import SigningKeyCreated
from doorward.protocol.signing_key import ALGORITHMS, FEED, TOKEN, created, missing, show
from doorward_verify.jwt import PRIVATE_MEMBERS


def a_key_of(algorithm: str, state: str = "active", purpose: str = TOKEN) -> SigningKey:
    return replace(a_signing_key(), algorithm=algorithm, state=state, purpose=purpose)


OF_THE_FEED = a_key_of("ES256", purpose=FEED)


def test_a_deployment_without_keys_misses_one_for_each_algorithm_and_one_for_the_feed() -> None:
    assert ALGORITHMS == ("ES256", "RS256")
    assert missing(()) == (("token", "ES256"), ("token", "RS256"), ("feed", "ES256"))


def test_only_an_active_key_is_not_missed() -> None:
    assert missing([a_key_of("ES256"), OF_THE_FEED]) == (("token", "RS256"),)
    assert missing([a_key_of("ES256"), a_key_of("RS256"), OF_THE_FEED]) == ()
    for state in ("pending", "retired", "removed"):
        assert missing([a_key_of("ES256", state), a_key_of("RS256"), OF_THE_FEED]) == (("token", "ES256"),)


def test_a_key_of_one_purpose_does_not_stand_in_for_the_other() -> None:
    assert missing([a_key_of("ES256"), a_key_of("RS256")]) == (("feed", "ES256"),)
    assert missing([OF_THE_FEED, a_key_of("RS256")]) == (("token", "ES256"),)


def test_each_new_key_is_an_event() -> None:
    keys = [a_key_of("ES256"), a_key_of("RS256")]
    assert created(keys) == (SigningKeyCreated(keys[0]), SigningKeyCreated(keys[1]))
    assert created([]) == ()


def test_a_signing_key_is_shown_without_its_private_half() -> None:
    key = a_signing_key()
    shown = show(key)
    assert (shown.kid, shown.purpose, shown.algorithm, shown.state) == ("signing_1", "token", "ES256", "active")
    assert (shown.created_at, shown.activated_at) == (EARLIER, EARLIER)
    assert shown.public_jwk == dict(key.public_jwk)
    assert PRIVATE_MEMBERS.isdisjoint(shown.public_jwk)
    for text in (repr(shown), repr(key)):
        assert repr(key.private_key)[2:-1] not in text
