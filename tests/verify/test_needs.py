"""What a route needs of its caller: scope, RFC 6750 §3.1, and a sign-in that is strong and recent enough, RFC 9470."""

from __future__ import annotations

from typing import Any

import pytest
from tests.verify.issuing import AUDIENCE, NOW

from doorward_verify import InsufficientScope, MalformedScope, Misconfigured, Verified
from doorward_verify.errors import InsufficientUserAuthentication
from doorward_verify.needs import Needs


def caller(*scope: str, **claims: Any) -> Verified:
    return Verified("jwt", "u", "acme", "c", None, frozenset(scope), AUDIENCE, "live", NOW + 300, claims=claims)


def test_without_needs_every_caller_will_do() -> None:
    Needs.of().check(caller(), NOW)


def test_every_scope_is_needed_however_it_was_written() -> None:
    needs = Needs.of("a b", "c")
    assert needs == Needs.of("a", "b", "c")
    needs.check(caller("a", "b", "c", "d"), NOW)
    with pytest.raises(InsufficientScope) as refused:
        needs.check(caller("a", "c"), NOW)
    assert refused.value.scope == {"a", "b", "c"}


def test_any_of_the_named_levels_is_enough() -> None:
    needs = Needs.of(acr_values="phr  phrh")
    for level in ("phr", "phrh"):
        needs.check(caller(acr=level), NOW)


@pytest.mark.parametrize("acr", [{}, {"acr": "pwd"}, {"acr": "phr phrh"}, {"acr": None}, {"acr": ["phr"]}, {"acr": 1}])
def test_every_other_level_is_not(acr: dict[str, Any]) -> None:
    with pytest.raises(InsufficientUserAuthentication) as refused:
        Needs.of(acr_values="phr phrh").check(caller(**acr), NOW)
    assert (refused.value.acr_values, refused.value.max_age) == (("phr", "phrh"), None)


@pytest.mark.parametrize(("max_age", "signed_in_at"), [(300, NOW - 300), (300, NOW), (0, NOW), (300, NOW + 5)])
def test_a_recent_sign_in_is_enough(max_age: int, signed_in_at: int) -> None:
    Needs.of(max_age=max_age).check(caller(auth_time=signed_in_at), NOW)


@pytest.mark.parametrize("auth_time", [{}, {"auth_time": NOW - 301}, {"auth_time": None}, {"auth_time": str(NOW)}])
def test_an_old_or_unknown_one_is_not(auth_time: dict[str, Any]) -> None:
    with pytest.raises(InsufficientUserAuthentication):
        Needs.of(max_age=300).check(caller(**auth_time), NOW)


def test_true_is_no_time() -> None:
    with pytest.raises(InsufficientUserAuthentication):
        Needs.of(max_age=NOW).check(caller(auth_time=True), NOW)


def test_both_the_level_and_the_age_have_to_do() -> None:
    needs = Needs.of(acr_values="phr", max_age=300)
    needs.check(caller(acr="phr", auth_time=NOW), NOW)
    for claims in ({"acr": "pwd", "auth_time": NOW}, {"acr": "phr", "auth_time": NOW - 301}):
        with pytest.raises(InsufficientUserAuthentication):
            needs.check(caller(**claims), NOW)


def test_who_lacks_both_is_told_of_the_sign_in_whose_challenge_has_the_scope_too() -> None:
    with pytest.raises(InsufficientUserAuthentication):
        Needs.of("a", acr_values="phr").check(caller(), NOW)


def test_needs_that_cannot_be_are_noticed_when_the_route_is_made() -> None:
    with pytest.raises(MalformedScope):
        Needs.of("invoices:read\n")
    with pytest.raises(Misconfigured, match="max_age"):
        Needs.of(max_age=-1)
