"""The format of keys and secrets: published vectors, and what a checksum is good for."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_verify import api_key
from doorward_verify.errors import DoorwardError

VECTORS: dict[str, list[dict[str, str]]] = json.loads(Path(__file__).with_name("key_format.json").read_text("utf-8"))
VALID, INVALID = VECTORS["valid"], VECTORS["invalid"]
KEY = VALID[0]["text"]

base62 = st.text(api_key.ALPHABET, min_size=1)


def what(vector: Any) -> str:
    return str(vector["what"])


@pytest.mark.parametrize("vector", VALID, ids=what)
def test_a_valid_vector_is_assembled_and_parsed(vector: dict[str, str]) -> None:
    parts = vector["brand"], vector["kind"], vector["environment"], vector["id"]
    assert api_key.assemble(*parts, vector["secret"]) == vector["text"]
    assert api_key.parse(vector["text"], vector["brand"]) == api_key.Parsed(*parts)


@pytest.mark.parametrize("vector", INVALID, ids=what)
def test_an_invalid_vector_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(api_key.MalformedCredential):
        api_key.parse(vector["text"])


def test_a_key_of_another_brand_is_refused_though_its_checksum_is_right() -> None:
    foreign = api_key.assemble("other", "", "live", "a" * 12, "b" * 32)
    assert api_key.parse(foreign, "other").brand == "other"
    for brand in ("dw", "othes", "otherr", "oth", "o"):
        with pytest.raises(api_key.MalformedCredential):
            api_key.parse(foreign, brand)


def test_brand_and_kind_are_told_apart_by_the_deployments_brand() -> None:
    text = api_key.assemble("dw", "a", "live", "a" * 12, "b" * 32)
    assert api_key.parse(text, "dw").kind == "a"
    assert api_key.parse(text, "dwa").kind == ""


def test_every_strict_prefix_and_every_extension_is_refused() -> None:
    for text in (*(KEY[:end] for end in range(len(KEY))), *(KEY + letter for letter in api_key.ALPHABET)):
        with pytest.raises(api_key.MalformedCredential):
            api_key.parse(text)


def test_of_two_hundred_thousand_corruptions_of_one_character_none_is_accepted() -> None:
    """Every one that there is, of sixty keys."""
    tried = 0
    for number in range(60):
        key = api_key.assemble("dw", "", "live", f"{number:012d}", f"{number**9:032d}")
        for place, original in enumerate(key):
            for letter in api_key.ALPHABET + "_":
                if letter != original:
                    tried += 1
                    assert not is_one(key[:place] + letter + key[place + 1 :])
    assert tried >= 200_000


def is_one(text: str) -> bool:
    try:
        api_key.parse(text)
    except api_key.MalformedCredential:
        return False
    return True


def test_the_checksum_is_crc32_in_base62_over_everything_before_it() -> None:
    number = 0
    for digit in KEY[-6:]:
        number = number * 62 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(digit)
    assert number == zlib.crc32(KEY[:-6].encode())


def test_the_digest_is_sha256_of_the_full_text() -> None:
    assert api_key.digest("dw_live_x") == hashlib.sha256(b"dw_live_x").digest()


@pytest.mark.parametrize(
    "parts",
    [
        ("dw", "x", "live", "a" * 12, "b" * 32),
        ("dw", "", "prod", "a" * 12, "b" * 32),
        ("dw", "", "live", "a" * 11, "b" * 33),
        ("dw", "", "live", "a" * 12, "b" * 31),
        ("d", "", "live", "a" * 12, "b" * 32),
        ("Dw", "", "live", "a" * 12, "b" * 32),
        ("d" * 17, "", "live", "a" * 12, "b" * 32),
        ("dw", "", "live", "a" * 12, "b" * 31 + "-"),
    ],
)
def test_parts_that_make_no_secret_are_refused(parts: tuple[str, str, str, str, str]) -> None:
    with pytest.raises(ValueError, match="do not make a secret"):
        api_key.assemble(*parts)


def test_the_uri_scheme_of_rfc_8959_is_taken_off() -> None:
    assert api_key.strip_uri_scheme(f"secret-token:{KEY}") == KEY
    assert api_key.strip_uri_scheme(f"Secret-Token:{KEY}") == KEY
    assert api_key.strip_uri_scheme(KEY) == KEY
    assert api_key.strip_uri_scheme(f"secret-token:secret-token:{KEY}") == f"secret-token:{KEY}"
    assert api_key.strip_uri_scheme("") == ""


def test_a_malformed_credential_is_refused_without_echoing_it() -> None:
    with pytest.raises(DoorwardError) as refused:
        api_key.parse("dw_live_hunter2")
    assert refused.value.reason == "credential_malformed"
    assert refused.value.status == 401
    assert "hunter2" not in str(refused.value)


def test_a_parsed_key_does_not_hold_its_secret() -> None:
    assert VALID[0]["secret"] not in repr(api_key.parse(KEY))


@given(
    st.from_regex(r"[a-z][a-z0-9]{1,15}", fullmatch=True),
    st.sampled_from(api_key.KINDS),
    st.sampled_from(["live", "test"]),
    st.text(api_key.ALPHABET, min_size=44, max_size=44),
)
def test_what_was_assembled_is_parsed(brand: str, kind: str, environment: str, body: str) -> None:
    text = api_key.assemble(brand, kind, environment, body[:12], body[12:])
    assert api_key.parse(text, brand) == api_key.Parsed(brand, kind, environment, body[:12])


@given(st.text())
def test_any_other_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(api_key.MalformedCredential):
        api_key.parse(text)
