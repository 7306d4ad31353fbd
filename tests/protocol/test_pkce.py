"""Proof Key for Code Exchange, RFC 7636, by S256 alone."""

from __future__ import annotations

import base64
import hashlib

import pytest
from tests.protocol.allowed import CHALLENGE, VERIFIER

from doorward.protocol import pkce


def test_the_verifier_of_the_rfcs_appendix_fits_its_challenge() -> None:
    assert pkce.matches(VERIFIER, CHALLENGE)


@pytest.mark.parametrize(
    "verifier", [None, "", VERIFIER[:-1], VERIFIER + "k", VERIFIER.lower(), CHALLENGE, VERIFIER + "\n", " " + VERIFIER]
)
def test_every_other_verifier_does_not(verifier: str | None) -> None:
    assert not pkce.matches(verifier, CHALLENGE)


@pytest.mark.parametrize(
    "verifier", ["a" * 42, "a" * 129, "ä" * 43, "a" * 42 + "+", "a" * 42 + "\u00e4", "a" * 42 + "="]
)
def test_what_is_no_verifier_by_4_1_matches_nothing_not_even_its_own_digest(verifier: str) -> None:
    digest = hashlib.sha256(verifier.encode()).digest()
    assert not pkce.matches(verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


def test_43_and_128_characters_are_a_verifier() -> None:
    for verifier in ("a" * 43, "-._~" * 32):
        digest = hashlib.sha256(verifier.encode()).digest()
        assert pkce.matches(verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


def test_the_plain_method_is_no_method() -> None:
    assert not pkce.matches(CHALLENGE, CHALLENGE)


@pytest.mark.parametrize(
    "text", [None, "", CHALLENGE[:-1], CHALLENGE + "a", CHALLENGE[:-1] + "=", CHALLENGE[:-1] + "+"]
)
def test_a_challenge_is_43_characters_of_base64url(text: str | None) -> None:
    assert pkce.is_challenge(CHALLENGE)
    assert not pkce.is_challenge(text)
