"""A key seen where it does not belong is flagged once for each place, by nobody but the verifiers of its api."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    EARLIER,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_moment,
    a_verifier,
    an_api_key,
    basic,
    credentials,
    refused,
)

from doorward.protocol import exposure
from doorward.protocol.exposure import Facts, Request, Seen
from doorward.protocol.exposure_events import ApiKeySeen
from doorward.protocol.form import Form

SEEN = Seen("key_1", "url", NOW - 5)


def decided(*seen: Seen, secret: str = VERIFIER_SECRET, **fields: Any) -> tuple[Any, ...]:
    request = Request(credentials("verifier_1", secret), seen)
    facts = Facts(a_verifier(), {"key_1": an_api_key(**fields)})
    return exposure.decide(request, facts, POLICY, a_moment()).events


def test_the_first_time_in_each_place_counts() -> None:
    events = decided(SEEN, replace(SEEN, seen_at=NOW - 1), replace(SEEN, where="browser"))
    assert events == (ApiKeySeen(an_api_key(), "url", NOW - 5), ApiKeySeen(an_api_key(), "browser", NOW - 5))


def test_what_is_known_is_not_told_again() -> None:
    assert decided(SEEN, seen_in_url_at=EARLIER) == ()
    assert decided(replace(SEEN, where="browser"), seen_in_browser_at=EARLIER) == ()


def test_keys_that_are_not_of_the_api_are_passed_over() -> None:
    assert decided(replace(SEEN, id="key_2")) == ()


@pytest.mark.parametrize(("told", "kept"), [(0, EARLIER), (NOW + 99, NOW), (NOW - 5, NOW - 5)])
def test_it_was_seen_after_it_was_made_and_not_later_than_now(told: int, kept: int) -> None:
    (event,) = decided(replace(SEEN, seen_at=told))
    assert event.seen_at == kept


def test_a_verifier_proves_who_it_is() -> None:
    with refused("invalid_client"):
        decided(SEEN, secret="wrong")


def test_a_list_of_objects_is_read() -> None:
    given = [{"id": "key_1", "where": "url", "seen_at": 7}]
    request = exposure.parse([basic("verifier_1", VERIFIER_SECRET)], Form({}), given)
    assert request.seen == (Seen("key_1", "url", 7),)
