"""As much of the wire format as Envoy's question needs; what is no message is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.protocol import envoy_check, protobuf

# protobuf.dev, Encoding: the examples that are printed there.
PRINTED = (
    (bytes.fromhex("089601"), [(1, 150)]),
    (bytes.fromhex("120774657374696e67"), [(2, b"testing")]),
    (bytes.fromhex("1a03089601"), [(3, bytes.fromhex("089601"))]),
)


@pytest.mark.parametrize(("raw", "found"), PRINTED)
def test_the_printed_examples_are_read_and_written(raw: bytes, found: list[tuple[int, bytes | int]]) -> None:
    assert [*protobuf.fields(raw)] == found
    ((number, value),) = found
    written = protobuf.number(number, value) if isinstance(value, int) else protobuf.text(number, value)
    assert written == raw


@pytest.mark.parametrize(
    "raw",
    [
        "08",
        "0880",
        "0a",
        "0a05",
        "0a0561",
        "09",
        "0900",
        "0d000000",
        "0b",
        "0c",
        "0e",
        "0f",
        "80" * 11,
        "0a" + "ff" * 9 + "01",
    ],
)
def test_what_is_cut_off_or_of_another_kind_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        [*protobuf.fields(bytes.fromhex(raw))]


def test_fixed_numbers_are_passed_over() -> None:
    assert [number for number, _ in protobuf.fields(bytes.fromhex("09" + "00" * 8 + "15" + "00" * 4 + "1801"))] == [
        1,
        2,
        3,
    ]


def test_of_several_the_last_one_counts() -> None:
    assert protobuf.last(protobuf.text(1, "a") + protobuf.text(1, "b"), 1) == b"b"
    assert protobuf.last(b"", 1, 2, 3) == b""


@given(st.binary(max_size=60))
def test_any_bytes_are_a_question_or_refused(raw: bytes) -> None:
    with suppress(ValueError):
        assert envoy_check.asked(raw).scheme


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_what_is_written_is_read_again(number: int, value: bytes) -> None:
    assert [*protobuf.fields(protobuf.number(7, number) + protobuf.text(16, value))] == [(7, number), (16, value)]
