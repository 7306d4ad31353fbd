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


@pytest.mark.parametrize("position", [Position(0, 0), Position(3, 14), Position(999_999_999, 10**18 - 1)])
def test_a_position_is_read_as_it_is_written(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", ":", "1", "1:", ":1", "1:2:3", "01:2", "1:02", "-1:2", "+1:2", "1: 2", "1:2\n", "1:x", "१:2", "1:" + "9" * 19],
)
def test_what_is_no_position_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Position.parse(text)


def test_a_later_epoch_is_after_every_place_of_an_earlier_one() -> None:
    assert Position(1, 5) < Position(1, 6) < Position(2, 0)


def test_positions_are_read_as_they_are_written() -> None:
    for position in (Position(1, 0), Position(3, 14), Position(999_999_999, 999_999_999_999_999_999)):
        assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "1", "1:", ":1", "1:2:3", "01:2", "1:02", "-1:2", "1:-2", "+1:2", " 1:2", "1:2 ", "1:2\n", "1:\u0662", "1:2a",
     "1000000000:1", "1:1000000000000000000", "1;2"],
)  # fmt: skip
def test_nothing_else_is_a_position(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Position.parse(text)


def test_positions_are_in_the_order_of_the_journal_and_of_its_epochs() -> None:
    mixed = [Position(2, 1), Position(1, 10), Position(2, 0), Position(1, 9)]
    assert sorted(mixed) == [Position(1, 9), Position(1, 10), Position(2, 0), Position(2, 1)]


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
