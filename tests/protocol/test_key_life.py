"""Keys that nobody uses, or that are too old, end by the rules of their api; each step to an end has its window."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import NOW, a_moment, an_api, an_api_key

from doorward.protocol import key_life
from doorward.protocol.events import ApiKeyExpired
from doorward.protocol.key_life import STEPS, Aged
from doorward.protocol.policy import DAY

MADE = NOW - 100 * DAY


def aged(last_used_at: int | None = None, *, key: dict[str, Any] | None = None, **api: Any) -> Aged:
    return Aged(an_api_key(**{"created_at": MADE, **(key or {})}), an_api(key_policy_at=MADE, **api), last_used_at)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (aged(), None),
        (aged(key_lifetime_limit=100 * DAY), "too_old"),
        (aged(NOW, key_lifetime_limit=100 * DAY), "too_old"),
        (aged(key_lifetime_limit=100 * DAY + 1), None),
        (aged(unused_key_lifetime=90 * DAY), "unused"),
        (aged(NOW - 90 * DAY, unused_key_lifetime=90 * DAY), "unused"),
        (aged(NOW - 90 * DAY + 1, unused_key_lifetime=90 * DAY), None),
        (aged(unused_key_lifetime=100 * DAY + 1), None),
        (aged(unused_key_lifetime=90 * DAY, key={"state": "inactive"}), "unused"),
        (aged(unused_key_lifetime=90 * DAY, key={"state": "decoy"}), None),
        (aged(unused_key_lifetime=90 * DAY, key={"state": "revoked"}), None),
        (aged(unused_key_lifetime=90 * DAY, key={"expires_at": NOW}), None),
        (aged(unused_key_lifetime=90 * DAY, key={"expires_at": None}), "unused"),
    ],
)
def test_what_is_over_by_the_rules_of_its_api(one: Aged, why: str | None) -> None:
    assert key_life.why_over(one, NOW) == why


def test_nobody_is_late_for_a_rule_that_was_not_there_yet() -> None:
    rule = {"unused_key_lifetime": 90 * DAY}
    for set_at, why in ((NOW - 90 * DAY, "unused"), (NOW - 90 * DAY + 1, None)):
        one = Aged(an_api_key(created_at=MADE), an_api(key_policy_at=set_at, **rule), None)
        assert key_life.why_over(one, NOW) == why


def test_it_ends_now_for_a_reason_that_is_told() -> None:
    events = key_life.expire([aged(), aged(key_lifetime_limit=DAY)], a_moment()).events
    ended = an_api_key(created_at=MADE, expires_at=NOW, updated_at=NOW, version=2)
    assert events == (ApiKeyExpired(ended, "too_old"),)


def test_each_end_is_in_the_window_of_one_step_at_most() -> None:
    for ends_in in range(0, 40 * DAY, DAY // 2):
        windows = [key_life.window(days, NOW) for days in STEPS]
        found = [begin < NOW + ends_in <= end for begin, end in windows]
        assert sum(found) == (1 if 0 < ends_in <= 30 * DAY else 0), ends_in
