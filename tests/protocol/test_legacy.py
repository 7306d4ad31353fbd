"""Which keys of elsewhere are taken: strong enough, ours or a JWT by no mistake, and by a hash that we know."""

from __future__ import annotations

import base64
import hashlib

import pytest
from tests.protocol.given import KEY, chance

from doorward.protocol import legacy
from doorward.protocol.refusal import Unprocessable
from doorward_verify import api_key

UUID = "3f2b8c1e-9a4d-4e7f-b6c5-0d1e2f3a4b5c"


def drawn(alphabet: str, length: int, seed: int) -> str:
    return "".join(alphabet[byte % len(alphabet)] for byte in chance(f"{alphabet}{seed}")(length))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("alphabet", "length"),
    [("0123456789abcdef", 32), ("0123456789ABCDEF", 40), (api_key.ALPHABET, 20), (api_key.ALPHABET + "-_", 43),
     ("abcdefghijklmnopqrstuvwxyz234567", 26)],
    ids=["128 bits of hex", "160 bits of hex", "base62", "base64url", "base32"],
)  # fmt: skip
def test_what_was_drawn_by_chance_is_strong_enough(alphabet: str, length: int, seed: int) -> None:
    assert legacy.strength(drawn(alphabet, length, seed)) >= legacy.LEAST


@pytest.mark.parametrize(
    "text",
    ["", "a", "password" * 8, "hunter2hunter2hunter2hunter2", "abcdefghijklmnopqrstuvwxyz", "0123456789" * 4,
     "x" * 200, "1" * 40, "zyxwvutsrqponmlkjihgfedcba987654", "12345678901234567890", "-" * 60, "acegikmoqsuwy" * 3],
)  # fmt: skip
def test_what_is_guessed_is_not(text: str) -> None:
    assert legacy.strength(text) < legacy.LEAST


def test_a_uuid_is_just_strong_enough() -> None:
    assert legacy.strength(UUID) >= legacy.LEAST


def test_a_prefix_adds_no_strength() -> None:
    weak = "sk_live_production_key_of_acme_inc_" + "a1b2c3d4"
    with pytest.raises(Unprocessable):
        legacy.digest_of_text(weak, "sk_live_production_key_of_acme_i", "dw")


def test_the_digest_is_of_the_text_as_it_is_shown() -> None:
    assert legacy.digest_of_text(f"secret-token:{UUID}", "3f2b", "dw") == hashlib.sha256(UUID.encode()).digest()


@pytest.mark.parametrize(
    "text", [KEY, KEY[:-1] + "!", "dwa_live_" + "x9" * 20, "a.b.c" + UUID, UUID + " ", "é" + UUID, UUID * 20]
)
def test_what_would_be_taken_for_something_else_is_not_taken(text: str) -> None:
    with pytest.raises(Unprocessable):
        legacy.digest_of_text(text, "", "dw")


def test_a_key_of_another_brand_may_come_from_there() -> None:
    assert legacy.digest_of_text(KEY, "", "acme") == api_key.digest(KEY)


def test_a_hash_is_read_however_it_is_written() -> None:
    digest = hashlib.sha256(b"x").digest()
    plain = base64.b64encode(digest).decode()
    for text in (
        digest.hex(),
        digest.hex().upper(),
        plain,
        plain.rstrip("="),
        base64.urlsafe_b64encode(digest).decode(),
    ):
        assert legacy.digest_of_hash(text) == digest


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "A" * 42, "A" * 46, "é" * 43, "=" * 44, "a b" * 15])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable):
        legacy.digest_of_hash(text)


@pytest.mark.parametrize("cost", ["03", "15", "31", "1", "xx"])
def test_only_what_can_be_compared_in_time_is_taken(cost: str) -> None:
    with pytest.raises(Unprocessable):
        legacy.bcrypt(f"$2b${cost}$" + "a" * 53)
    assert legacy.bcrypt("$2b$12$" + "a" * 53)


def test_a_slow_hash_needs_something_to_be_found_by() -> None:
    for wrong in ("", "abc", "x" * 33, "a b c"):
        with pytest.raises(Unprocessable):
            legacy.prefix(wrong, needed=True)
    assert legacy.prefix("", needed=False) == ""
    assert "ab12cd34" in legacy.prefixes("ab12cd34.rest")
    assert legacy.prefixes("abc") == []
