"""A moment brings time, chance and position into the core; what is made of chance is uniform."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.protocol.given import NOW, POSITION, a_moment

from doorward.protocol.moment import Moment, Position
from doorward_verify.api_key import ALPHABET


def from_bytes(*chunks: bytes) -> Moment:
    """A moment whose chance is these chunks, one a draw, each cut to what was asked for."""
    left = list(chunks)
    return Moment(NOW, lambda length: left.pop(0)[:length])


def test_a_position_is_written_as_epoch_and_seq() -> None:
    assert str(Position(3, 14)) == "3:14"


def test_a_moment_knows_where_its_facts_were_read() -> None:
    assert a_moment().position == POSITION


@pytest.mark.parametrize("length", [0, 1, 12, 32, 43, 500])
def test_base62_has_the_length_that_was_asked_for(length: int) -> None:
    text = a_moment().base62(length)
    assert len(text) == length
    assert set(text) <= set(ALPHABET)


def test_each_digit_has_four_bytes_and_no_more() -> None:
    text = from_bytes(bytes(range(256)), bytes(256)).base62(248)
    assert Counter(text) == dict.fromkeys(ALPHABET, 4)


def test_bytes_that_would_prefer_some_digits_are_thrown_away() -> None:
    assert from_bytes(bytes(range(248, 256)), bytes([61])).base62(1) == "z"
    assert from_bytes(bytes([247, *range(248, 256)])).base62(1) == "z"


def test_it_draws_again_until_there_is_enough() -> None:
    assert from_bytes(b"\xff\x00\xff", b"\xff\xff\xff", b"\x01\xff\x02\x03").base62(3) == "012"


def test_an_id_is_a_noun_with_16_digits() -> None:
    noun, _, digits = a_moment().id("grant").partition("_")
    assert noun == "grant"
    assert len(digits) == 16


def test_no_two_ids_are_the_same() -> None:
    moment = a_moment()
    assert len({moment.id("key") for _ in range(1000)}) == 1000
