"""What is kept of a use: an address in one spelling, a name without tricks, and one of a few results."""

from __future__ import annotations

import pytest

from doorward.protocol import use
from doorward.protocol.reasons import REASONS


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("192.0.2.7", "192.0.2.7"), ("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""), ("unix", ""), ("192.0.2.7, 10.0.0.1", ""), ("\ud800", ""), ("1" * 5000, ""),
    ],
)  # fmt: skip
def test_an_address_is_an_address(told: str, kept: str) -> None:
    assert use.address(told) == kept


@pytest.mark.parametrize(
    ("told", "kept"),
    [("curl/8.5", "curl/8.5"), ("a\x1b[2Jb\x00\ud800\n", "a[2Jb"), ("x" * 5000, "x" * 200), ("\u202eb", "b")],
)
def test_the_name_of_what_sent_it_is_bounded_and_plain(told: str, kept: str) -> None:
    assert use.user_agent(told) == kept


def test_results_are_reasons_that_people_can_look_up() -> None:
    assert use.RESULTS - REASONS.keys() <= {"active", "other"}
