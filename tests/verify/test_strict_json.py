"""JSON without anything left to interpretation."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vectors import outside

from doorward_verify import strict_json


def refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        strict_json.parse(raw)


def test_an_object_is_read() -> None:
    raw = b'{"a":"b","n":-1,"f":1.5,"t":true,"x":null,"l":[1,{"m":"\\u00e9"}]}'
    assert strict_json.parse(raw) == {
        "a": "b", "n": -1, "f": 1.5, "t": True, "x": None, "l": [1, {"m": "é"}],
    }  # fmt: skip


def test_white_space_around_and_within_is_allowed() -> None:
    assert strict_json.parse(b' \t\r\n{ "a" :\n1 }\n') == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [b'{"a":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}', b'{"x":{"a":1,"a":1}}', b'{"x":[{"a":1,"a":1}]}',
     b'{"a":1,"b":2,"c":3,"a":1}', b'{"":1,"":1}'],
)  # fmt: skip
def test_a_repeated_member_is_refused_at_every_level(raw: bytes) -> None:
    refused(raw)


def test_the_same_member_in_two_objects_is_no_repetition() -> None:
    assert strict_json.parse(b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}')


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 310 + b".0"])
def test_what_is_not_a_finite_number_is_refused(value: bytes) -> None:
    refused(b'{"a":' + value + b"}")
    refused(b'{"a":[' + value + b"]}")


def test_integers_end_at_2_to_the_53() -> None:
    for number in (2**53, -(2**53), 10**15, -(10**15), 0):
        assert strict_json.parse(b'{"a":%d}' % number) == {"a": number}
    for number in (2**53 + 1, -(2**53) - 1, 10**16, 10**17, 10**400):
        refused(b'{"a":%d}' % number)
    refused(b'{"a":' + b"9" * 5_000 + b"}")


def test_sixteen_levels_are_the_most() -> None:
    for first, last in ((b"[", b"]"), (b'{"a":', b"}")):
        assert strict_json.parse(b'{"a":' + first * 15 + b"1" + last * 15 + b"}")
        refused(b'{"a":' + first * 16 + b"1" + last * 16 + b"}")
        refused(b'{"a":' + first * 100_000 + b"1" + last * 100_000 + b"}")
        refused(first * 100_000)


def test_brackets_in_text_are_no_levels() -> None:
    assert strict_json.parse(b'{"a":"' + b'[{\\"' * 100 + b'","b":[1]}')
    assert strict_json.parse(b'{"a":[' + b"[],{}," * 100 + b"1]}")


@pytest.mark.parametrize("half", [b"\\ud800", b"\\udfff", b"\\ud800\\ud800", b"\\udc00\\ud800", b"\\ud800x"])
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(half: bytes) -> None:
    refused(b'{"a":"' + half + b'"}')
    refused(b'{"' + half + b'":1}')
    refused(b'{"a":[{"b":"' + half + b'"}]}')


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert strict_json.parse(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_only_utf_8_without_a_mark_is_read(encoding: str) -> None:
    refused('{"a":1}'.encode(encoding))


@pytest.mark.parametrize("raw", [b"\xff", b"\xc1\x81", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"])
def test_broken_utf_8_is_refused(raw: bytes) -> None:
    refused(b'{"a":"' + raw + b'"}')


@pytest.mark.parametrize("raw", [b"", b" ", b"1", b'"a"', b"null", b"true", b"[]", b"[{}]", b"{}{}", b"{}x", b"x{}"])
def test_only_one_object_is_read(raw: bytes) -> None:
    refused(raw)


def minefield(kind: str) -> list[Any]:
    files = sorted(outside("json-minefield/test_parsing").glob(f"{kind}_*.json"))
    return [pytest.param(file.read_bytes(), id=file.stem) for file in files]


def test_nothing_of_the_minefield_that_must_not_parse_does() -> None:
    for raw in minefield("n"):
        refused(raw.values[0])
        refused(b'{"a":' + raw.values[0] + b"}")


def test_objects_of_the_minefield_are_read_like_the_standard_library_does_or_refused_as_repetitions() -> None:
    read = 0
    for raw in minefield("y"):
        text = raw.values[0]
        value = json.loads(text)
        if not isinstance(value, dict):
            refused(text)
            continue
        if "duplicated" in raw.id:
            refused(text)
            continue
        assert strict_json.parse(text) == value
        read += 1
    assert read > 5


def test_what_the_minefield_leaves_free_is_refused_or_read_without_a_crash() -> None:
    folder = outside("json-minefield/test_transform")
    for raw in (*(m.values[0] for m in minefield("i")), *(file.read_bytes() for file in sorted(folder.iterdir()))):
        for text in (raw, b'{"a":' + raw + b"}"):
            try:
                strict_json.parse(text)
            except ValueError:
                continue


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values), st.booleans())
def test_it_reads_what_the_standard_library_writes(value: dict[str, Any], ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert strict_json.parse(raw) == json.loads(raw)


@given(st.binary())
def test_junk_is_refused_as_a_value_error(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(strict_json.parse(raw), dict)
