"""Status lists: bits as the draft has them, and indexes of which no two tokens ever have the same."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.given import NOW, POLICY
from tests.vectors import outside_json

from doorward.protocol.status_list import (
    BLOCKS,
    ROWS,
    SHARD_LIFETIME,
    SIZE,
    Place,
    aggregation,
    claims,
    indexes,
    lst,
    lst_of_all,
    reference,
    shard_expires_at,
)
from doorward_verify.jwt import b64url_decode

KEY = b"k" * 16


def bits(text: str) -> bytes:
    return zlib.decompress(b64url_decode(text))


# Bits ---------------------------------------------------------------------------------------------------------


def test_the_example_of_the_draft() -> None:
    """§4.1, typed from the text: sixteen tokens, two bytes, the least significant bit first."""
    statuses = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    text = lst((idx for idx, status in enumerate(statuses) if status), 16)
    assert bits(text) == bytes([0xB9, 0xA3])
    assert text == "eNrbuRgAAhcBXQ"


def test_the_vectors_of_the_draft() -> None:
    vectors = outside_json("status-list/vectors.json")
    (long,) = [one for one in vectors["long"] if one["bits"] == 1]
    ended = [idx for idx, status in long["nonzero_or_listed"] if status]
    assert bits(lst(ended, long["size"])) == bits(long["status_list"]["lst"])
    (short,) = [one for one in vectors["short"] if one["bits"] == 1]
    content = bytes.fromhex(short["byte_array_hex"])
    set_ = [idx for idx in range(8 * len(content)) if content[idx // 8] >> (idx % 8) & 1]
    assert lst(set_, 8 * len(content)) == short["status_list"]["lst"]


@given(st.sets(st.integers(0, SIZE - 1), max_size=50))
def test_exactly_the_ended_have_their_bit_set(ended: set[int]) -> None:
    content = bits(lst(ended))
    assert len(content) == SIZE // 8
    assert {idx for idx in ended if content[idx // 8] >> (idx % 8) & 1} == ended
    assert sum(map(int.bit_count, content)) == len(ended)


def test_of_a_list_that_was_lost_every_bit_is_set() -> None:
    assert bits(lst_of_all()) == b"\xff" * (SIZE // 8)


def test_a_list_with_nothing_in_it_is_small_whatever_its_size() -> None:
    assert len(lst([])) < 300


# Indexes ------------------------------------------------------------------------------------------------------


def test_all_blocks_of_a_list_together_are_the_list() -> None:
    found = [idx for block in range(BLOCKS) for idx in indexes(KEY, block)]
    assert len(found) == SIZE
    assert set(found) == set(range(SIZE))


@given(st.binary(min_size=16, max_size=16), st.integers(0, BLOCKS - 1), st.integers(0, BLOCKS - 1))
def test_no_two_blocks_have_an_index_in_common(key: bytes, one: int, other: int) -> None:
    first, second = indexes(key, one), indexes(key, other)
    assert len(set(first)) == ROWS
    assert set(first).isdisjoint(second) is (one != other)


def test_the_key_decides_where_a_block_lies() -> None:
    assert indexes(KEY, 7) == indexes(KEY, 7)
    assert len(set(indexes(KEY, 7)) & set(indexes(b"other key".ljust(16), 7))) < 20


def test_the_blocks_of_a_list_are_spread_over_it() -> None:
    """Tokens that were issued one after the other lie nowhere together."""
    found = sorted(indexes(KEY, 0))
    gaps = [after - before for before, after in pairwise(found)]
    assert min(gaps) < BLOCKS // 4
    assert max(gaps) > BLOCKS


# Shards -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**33), st.integers(10, 3600))
def test_a_list_outlives_its_tokens_and_ends_within_the_hour_after_them(now: int, lifetime: int) -> None:
    expires_at = shard_expires_at(now, lifetime)
    assert now + lifetime < expires_at <= now + lifetime + 10 + SHARD_LIFETIME
    assert expires_at % SHARD_LIFETIME == 0


# What is said -------------------------------------------------------------------------------------------------


def test_the_claims_of_a_list() -> None:
    assert claims(17, "eNrbuRgAAhcBXQ", NOW, POLICY) == {
        "iss": "https://auth.example.com",
        "sub": "https://auth.example.com/statuslists/17",
        "iat": NOW,
        "exp": NOW + 60 + 300,
        "ttl": 60,
        "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"},
    }


@pytest.mark.parametrize("issuer", ["https://auth.example.com", "https://example.com/tenant"])
def test_a_token_refers_to_its_bit_below_the_issuer(issuer: str) -> None:
    status: Any = reference(issuer, Place(17, 413, NOW))
    assert status == {"status_list": {"idx": 413, "uri": f"{issuer}/statuslists/17"}}
    assert aggregation(issuer, [17, 18]) == {"status_lists": [f"{issuer}/statuslists/17", f"{issuer}/statuslists/18"]}
