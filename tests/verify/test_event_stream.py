"""Server-sent events, however the bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_verify.event_stream import EVENT_LIMIT, LINE_LIMIT, Event, EventStream

STREAM = b"id: 1:1\nevent: entry\ndata: {}\n\n: a comment\nevent: heartbeat\ndata: e\xc3\xa9y\n\ndata: x\ndata: y\n\n"
EVENTS = [Event("entry", "{}"), Event("heartbeat", "e\u00e9y"), Event("message", "x\ny")]


def parsed(*chunks: bytes) -> list[Event]:
    stream = EventStream()
    return [event for chunk in chunks for event in stream.feed(chunk)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_is_one(end: bytes) -> None:
    # A carriage return at the very end may be half of a line's end.
    assert parsed(STREAM.replace(b"\n", end) + b":") == EVENTS


@given(st.lists(st.integers(0, len(STREAM))), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_how_the_bytes_are_cut_does_not_matter(cuts: list[int], end: bytes) -> None:
    text = STREAM.replace(b"\n", end) + b":"
    places = [0, *sorted(cuts), len(text)]
    assert parsed(*(text[a:b] for a, b in pairwise(places))) == EVENTS


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"\xef\xbb\xbfdata: a\n\n", [Event("message", "a")]),
        (b"data:a\n\n", [Event("message", "a")]),
        (b"data:  a\n\n", [Event("message", " a")]),
        (b"data\n\n", [Event("message", "")]),
        (b"event: entry\n\ndata: a\n\n", [Event("message", "a")]),
        (b"event: entry\nid: 1\nretry: 1\n\n", []),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"\n\n\n", []),
        (b"colour: red\ndata: a\n\n", [Event("message", "a")]),
    ],
)
def test_the_rules_of_the_format(text: bytes, events: list[Event]) -> None:
    assert parsed(text) == events


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"a" * LINE_LIMIT + b"\n\n"],
        [b"a" * 1024] * (LINE_LIMIT // 1024 + 1),
        [b"data: " + b"a" * 1024 + b"\n"] * (EVENT_LIMIT // 1024 + 1),
        [b"data: \xff\n\n"],
    ],
    ids=["a line", "a line that never ends", "an event that never ends", "no text"],
)
def test_what_is_too_long_or_no_text_is_refused(chunks: list[bytes]) -> None:
    with pytest.raises(ValueError):
        parsed(*chunks)
