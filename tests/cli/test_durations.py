"""Spans of time, as they are typed and as they are told."""

import pytest

from doorward.cli.durations import clock, full, moment, relative, seconds, span
from doorward.cli.failure import Failure

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45s", 45), ("5m", 300), ("2h", 7200), ("90d", 90 * DAY), ("3w", 21 * DAY), ("1y", 365 * DAY)],
)
def test_a_span_is_a_number_and_a_unit(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "0d", "1.5h", "90 d", "90D", "1mo", "٩d", "9" * 12 + "d"])
def test_anything_else_is_refused_as_a_misuse(text):
    with pytest.raises(Failure) as refused:
        seconds(text)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (90, "90 seconds"), (3600, "1 hour"),
        (5400, "90 minutes"), (DAY, "1 day"), (90 * DAY, "90 days"), (365 * DAY, "1 year"), (400 * DAY, "400 days"),
        (0, "0 seconds"),
    ],
)  # fmt: skip
def test_a_span_is_told_in_its_largest_fitting_unit(lifetime, expected):
    assert span(lifetime) == expected


def test_a_time_is_told_by_the_clock_and_by_its_distance():
    assert clock(1_795_640_000) == "2026-11-25 20:53 UTC"
    assert relative(1000, now=1000) == "now"
    assert relative(1000 + 90 * DAY, now=1000) == "in 90 days"
    assert relative(1000, now=1120) == "2 minutes ago"
    assert full(None) == "never"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24", 1_795_478_400),
        ("2026-11-24T21:04", 1_795_554_240),
        ("2026-11-24T21:04:05Z", 1_795_554_245),
        ("2d", 1_000_000 - 2 * 86_400),
        (None, None),
    ],
)
def test_a_time_is_a_day_a_minute_or_so_long_ago(text, at):
    assert moment(text, now=1_000_000) == at


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "24.11.2026", "", "7"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(Failure):
        moment(text)
