"""The deployment's settings as the core sees them: the defaults are those of the product's contract."""

from __future__ import annotations

from tests.protocol.given import POLICY

from doorward.protocol.policy import DAY


def test_access_tokens_live_300_seconds_and_never_above_an_hour() -> None:
    assert (POLICY.token_lifetime, POLICY.token_lifetime_limit) == (300, 3600)


def test_a_token_is_not_above_4_kib() -> None:
    assert POLICY.token_size_limit == 4 * 1024


def test_keys_end_after_90_days_and_setup_links_after_30_minutes() -> None:
    assert POLICY.api_key_lifetime == POLICY.admin_key_lifetime == 90 * DAY == 90 * 24 * 3600
    assert POLICY.setup_link_lifetime == 1800


def test_the_peppers_are_not_shown_in_a_repr() -> None:
    assert repr(POLICY.pepper.versions[1])[2:-1] not in repr(POLICY)
