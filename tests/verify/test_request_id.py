"""Request ids that explain themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_verify import request_id
from doorward_verify.request_id import RequestId

KEY = b"k" * 32


def test_an_id_says_when_why_and_where() -> None:
    text = request_id.make(1_800_000_000, 13, 7, bytes(range(8)), KEY)
    found = request_id.read(text)
    assert (found.at, found.reason_code, found.node) == (1_800_000_000, 13, 7)
    assert text == f"req_1xocE40D07{found.random}{found.mac}"
    assert len(text) == 26


def test_ids_of_the_same_second_differ_by_chance() -> None:
    assert request_id.make(1, 0, 0, b"\x00" * 8, KEY) != request_id.make(1, 0, 0, b"\x00" * 7 + b"\x01", KEY)


def test_only_the_key_that_made_an_id_vouches_for_it() -> None:
    text = request_id.make(1, 2, 3, b"12345678", KEY)
    assert request_id.is_authentic(text, KEY)
    assert not request_id.is_authentic(text, b"j" * 32)
    assert not request_id.is_authentic(text, None)
    assert request_id.is_authentic(request_id.make(1, 2, 3, b"12345678", None), None)


def test_every_altered_character_is_noticed() -> None:
    text = request_id.make(1_800_000_000, 13, 7, b"12345678", KEY)
    for place in range(len(text)):
        altered = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
        assert not request_id.is_authentic(altered, KEY)


@pytest.mark.parametrize(
    "text",
    ["", "req_", "req_" + "0" * 21, "req_" + "0" * 23, "REQ_" + "0" * 22, "req_" + "-" * 22, "req_" + "0" * 22 + "\n",
     " req_" + "0" * 22, "req_" + "\uff10" * 22],
)  # fmt: skip
def test_another_text_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="not a request id"):
        request_id.read(text)
    assert not request_id.is_authentic(text, KEY)


@pytest.mark.parametrize(("now", "reason", "node"), [(-1, 0, 0), (62**6, 0, 0), (0, 3844, 0), (0, -1, 0), (0, 0, 3844)])
def test_a_number_that_does_not_fit_is_refused(now: int, reason: int, node: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        request_id.make(now, reason, node, b"12345678", KEY)


@given(
    st.integers(0, 62**6 - 1),
    st.integers(0, 3843),
    st.integers(0, 3843),
    st.binary(min_size=5),
    st.none() | st.binary(),
)
def test_what_was_made_is_read(now: int, reason: int, node: int, random: bytes, key: bytes | None) -> None:
    text = request_id.make(now, reason, node, random, key)
    assert request_id.read(text) == RequestId(now, reason, node, text[14:20], text[20:])
    assert request_id.is_authentic(text, key)
