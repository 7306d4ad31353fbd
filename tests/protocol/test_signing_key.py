"""Signing keys and their turns (T210-T212): known before they sign, published for as long as what they signed lives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocol.given import EARLIER, NOW, POLICY, a_moment, a_signing_key, asked, refused

from doorward.protocol import signing_key
from doorward.protocol.entities import SigningKey
from doorward.protocol.events import Event
from doorward.protocol.signing_key import (
    ALGORITHMS,
    ASSERTION,
    FEED,
    TOKEN,
    USES,
    RetireSigningKey,
    RotateSigningKeys,
    Use,
    due,
    missing,
    show,
    upkeep,
    withdraw,
)
from doorward.protocol.signing_key_events import (
    SigningKeyActivated,
    SigningKeyCreated,
    SigningKeyEvent,
    SigningKeyRemoved,
    SigningKeyRetired,
)
from doorward_verify.jwt import PRIVATE_MEMBERS

LIFETIME, KNOWN_AFTER, OUTLIVED_AFTER = 30 * 86_400, 300 + 2 * 60, 3600 + 60
ES256, RS256, OF_FEED, OF_ASSERTIONS = USES


def a_key(use: Use = ES256, state: str = "active", age: int = KNOWN_AFTER, **fields: Any) -> SigningKey:
    """One that is in its state for so long, and was published for so long."""
    since = NOW - age
    at = {"active": {"activated_at": since}, "retired": {"activated_at": EARLIER, "retired_at": since}}.get(state, {})
    made = replace(
        a_signing_key(), id=f"{use.purpose}_{use.algorithm}_{state}", purpose=use.purpose, algorithm=use.algorithm,
        state=state, created_at=since, activated_at=None,
    )  # fmt: skip
    return replace(made, **{**at, **fields})


def all_keys(age: int = KNOWN_AFTER) -> tuple[SigningKey, ...]:
    return tuple(a_key(use, state, age) for use in USES for state in ("active", "pending"))


def steps(events: tuple[Event, ...]) -> list[tuple[str, str, str]]:
    """What happens to which key, and the state it is left in."""
    return [
        (type(event).__name__.removeprefix("SigningKey"), event.signing_key.id, event.signing_key.state)
        for event in events
        if isinstance(event, SigningKeyEvent)
    ]


def handed_over(use: Use = ES256) -> list[tuple[str, str, str]]:
    """No two keys of one use are active at any time, so that the old one comes first."""
    name = f"{use.purpose}_{use.algorithm}"
    return [("Retired", f"{name}_active", "retired"), ("Activated", f"{name}_pending", "active")]


# What is missing


def test_a_deployment_without_keys_misses_one_that_signs_and_a_spare_for_each_use() -> None:
    assert ALGORITHMS == ("ES256", "RS256")
    assert USES == ((TOKEN, "ES256"), (TOKEN, "RS256"), (FEED, "ES256"), (ASSERTION, "ES256"))
    assert missing(()) == tuple((use, state) for use in USES for state in ("active", "pending"))


def test_nothing_is_missing_where_each_use_has_both() -> None:
    assert missing(all_keys()) == ()


@pytest.mark.parametrize("use", USES)
def test_a_spare_that_is_gone_is_missed_and_no_key_of_another_use_stands_in_for_it(use: Use) -> None:
    assert missing(key for key in all_keys() if key.id != a_key(use, "pending").id) == ((use, "pending"),)


def test_where_a_spare_is_there_no_key_signs_unannounced() -> None:
    assert missing(key for key in all_keys() if key.id != a_key().id) == ()


@pytest.mark.parametrize("state", ["retired", "removed"])
def test_a_key_that_signs_no_more_is_none(state: str) -> None:
    assert missing([a_key(use, state) for use in USES]) == missing(())


# The schedule


def test_new_keys_are_taken_for_what_is_missing_and_for_nothing_else() -> None:
    fresh = tuple(a_key(use, state, 0) for use, state in missing(()))
    assert upkeep(fresh, (), POLICY, a_moment()).events == tuple(map(SigningKeyCreated, fresh))
    assert upkeep(fresh, all_keys(), POLICY, a_moment()).events == ()
    assert upkeep(fresh, all_keys()[:-1], POLICY, a_moment()).events == (SigningKeyCreated(fresh[-1]),)


def test_an_active_key_hands_over_at_the_end_of_its_time() -> None:
    keys = (a_key(age=LIFETIME), a_key(state="pending"))
    assert steps(due(keys, POLICY, NOW)) == handed_over()
    assert due(keys, POLICY, NOW - 1) == ()


def test_its_time_is_a_setting() -> None:
    keys = (a_key(age=3600), a_key(state="pending"))
    assert due(keys, POLICY, NOW) == ()
    assert steps(due(keys, replace(POLICY, signing_key_lifetime=3600), NOW)) == handed_over()


def test_no_spare_signs_before_it_was_published_for_max_age_and_twice_the_skew() -> None:
    """T210: a verifier that read the keys just before it was published, with a clock that is off, reads them again."""
    keys = (a_key(age=LIFETIME + 10_000), a_key(state="pending", age=KNOWN_AFTER))
    assert steps(due(keys, POLICY, NOW)) == handed_over()
    assert due(keys, POLICY, NOW - 1) == ()
    assert due(keys, replace(POLICY, jwks_max_age=301), NOW) == ()


def test_an_old_key_without_a_spare_goes_on() -> None:
    assert due((a_key(age=2 * LIFETIME),), POLICY, NOW) == ()


def test_each_use_has_its_own_turns() -> None:
    keys = (a_key(RS256, age=LIFETIME), a_key(OF_FEED, age=LIFETIME), *all_keys()[:2], a_key(RS256, "pending"))
    assert steps(due(keys, POLICY, NOW)) == handed_over(RS256)


def test_a_spare_signs_at_once_where_nothing_else_does() -> None:
    spare = a_key(state="pending", age=0)
    assert steps(due((spare,), POLICY, NOW)) == [("Activated", spare.id, "active")]


def test_a_retired_key_is_published_until_nothing_that_it_signed_can_live() -> None:
    key = a_key(state="retired", age=OUTLIVED_AFTER)
    (event,) = due((key,), POLICY, NOW)
    assert isinstance(event, SigningKeyRemoved)
    assert (event.reason, event.signing_key.state, event.signing_key.removed_at) == ("schedule", "removed", NOW)
    assert due((key,), POLICY, NOW - 1) == ()


@pytest.mark.parametrize("back", [1, 3600, 10**9])
def test_a_clock_that_was_turned_back_makes_nothing_happen_early(back: int) -> None:
    keys = (a_key(age=LIFETIME - 1), a_key(state="pending", age=0), a_key(state="retired", age=0))
    assert due(keys, POLICY, NOW - back) == ()


def test_a_key_that_signs_no_more_has_no_private_half() -> None:
    key, spare = a_key(age=LIFETIME), a_key(state="pending")
    retired, activated = due((key, spare), POLICY, NOW)
    assert isinstance(retired, SigningKeyRetired)
    assert isinstance(activated, SigningKeyActivated)
    assert retired == SigningKeyRetired(
        replace(key, state="retired", private_key=b"", retired_at=NOW, version=key.version + 1)
    )
    assert activated == SigningKeyActivated(replace(spare, state="active", activated_at=NOW, version=spare.version + 1))
    (removed,) = withdraw(key, (key,), NOW)
    assert isinstance(removed, SigningKeyRemoved)
    assert removed.signing_key.private_key == b""


class Deployment:
    """A server and its verifiers, minute by minute; every token is checked by each of them until it expires."""

    def __init__(self) -> None:
        self.keys: tuple[SigningKey, ...] = ()
        self.numbers = iter(range(10**6))

    def look(self, now: int) -> None:
        made = tuple(
            a_key(use, state, NOW - now, id=f"k{next(self.numbers)}", activated_at=now if state == "active" else None)
            for use, state in missing(self.keys)
        )
        policy = replace(POLICY, signing_key_lifetime=3600)
        for event in upkeep(made, self.keys, policy, a_moment(now)).events:
            assert isinstance(event, SigningKeyEvent)
            rest = tuple(key for key in self.keys if key.id != event.signing_key.id)
            self.keys = (*rest, event.signing_key)
            held = [(*use_of(key), key.state) for key in self.keys if key.state in ("active", "pending")]
            assert len(held) == len(set(held)), "two keys had one use"

    def published(self) -> set[str]:
        return {key.id for key in self.keys if key.state != "removed"}

    def active(self) -> str:
        (key,) = [key for key in self.keys if key.state == "active" and use_of(key) == ES256]
        assert key.private_key
        return key.id


def use_of(key: SigningKey) -> tuple[str, str]:
    return key.purpose, key.algorithm


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=3), st.integers(30, 59))
def test_no_verifier_that_keeps_keys_for_their_max_age_ever_meets_one_that_it_does_not_know(
    read_at: list[int], every: int
) -> None:
    """T210 and F14 in a model: ten rotations, and no token is refused for its key from its issue to its end."""
    deployment, tokens, used = Deployment(), [], set()
    held: list[tuple[int, set[str] | None]] = [(NOW + at - 300, None) for at in read_at]
    for now in range(NOW, NOW + 11 * 3600, every):
        deployment.look(now)
        held = [(now, deployment.published()) if now - at >= 300 else (at, keys) for at, keys in held]
        tokens = [(kid, exp) for kid, exp in tokens if now < exp] + [(deployment.active(), now + 300)]
        used.add(deployment.active())
        for _, known in held:
            assert known is None or {kid for kid, _ in tokens} <= known
    assert len(used) >= 10


# By hand


def rotate(keys: tuple[SigningKey, ...], **body: Any) -> Any:
    return signing_key.rotate(asked(RotateSigningKeys(**body)), keys, POLICY, a_moment())


def retire(keys: tuple[SigningKey, ...], kid: str, **body: Any) -> Any:
    return signing_key.retire(asked(RetireSigningKey(**body), id=kid), keys, POLICY, a_moment())


def test_a_rotation_lets_every_spare_of_a_purpose_sign() -> None:
    decision = rotate(all_keys())
    assert steps(decision.events) == handed_over(ES256) + handed_over(RS256)
    assert [(key.kid, key.state) for key in decision.reply.active] == [
        ("token_ES256_pending", "active"), ("token_RS256_pending", "active"),
    ]  # fmt: skip
    assert steps(rotate(all_keys(), purpose="feed").events) == handed_over(OF_FEED)
    assert steps(rotate(all_keys(), algorithm="RS256").events) == handed_over(RS256)


def test_what_no_key_is_used_for_cannot_rotate() -> None:
    with refused("invalid_fields"):
        rotate(all_keys(), purpose="feed", algorithm="RS256")


def test_a_spare_that_verifiers_may_not_know_waits_and_the_refusal_says_how_long() -> None:
    keys = all_keys(KNOWN_AFTER - 7)
    for call in (lambda: rotate(keys), lambda: retire(keys, "token_ES256_active")):
        with refused("conflict", reason="signing_key_unknown_yet") as caught:
            call()
        assert "in 7 seconds" in caught.value.description


def test_whoever_cannot_wait_may_say_so() -> None:
    assert steps(rotate(all_keys(0), force=True, algorithm="ES256").events) == handed_over()
    assert steps(retire(all_keys(0), "token_ES256_active", force=True).events) == handed_over()


@pytest.mark.parametrize("force", [False, True])
def test_without_a_spare_nothing_rotates(force: bool) -> None:
    with refused("conflict", reason="signing_key_spare_missing"):
        rotate((a_key(),), algorithm="ES256", force=force)
    with refused("conflict", reason="signing_key_spare_missing"):
        retire((a_key(),), "token_ES256_active", force=force)


def test_one_key_is_retired_and_its_spare_signs() -> None:
    decision = retire(all_keys(), "token_RS256_active")
    assert steps(decision.events) == handed_over(RS256)
    assert [key.kid for key in decision.reply.active] == ["token_RS256_pending"]


def test_retiring_a_key_twice_changes_nothing_and_names_the_one_that_signs() -> None:
    for state in ("retired", "removed"):
        decision = retire((*all_keys(), a_key(state=state)), f"token_ES256_{state}")
        assert decision.events == ()
        assert [key.kid for key in decision.reply.active] == ["token_ES256_active"]


def test_only_a_key_that_is_there_and_has_begun_can_be_retired() -> None:
    with refused("conflict", reason="signing_key_pending"):
        retire(all_keys(), "token_ES256_pending")
    with refused("not_found"):
        retire(all_keys(), "unknown")


# In an emergency


def test_a_withdrawn_key_is_removed_and_its_spare_signs_in_the_same_decision() -> None:
    keys = all_keys(0)
    events = withdraw(keys[0], keys, NOW)
    assert steps(events) == [
        ("Removed", "token_ES256_active", "removed"), ("Activated", "token_ES256_pending", "active"),
    ]  # fmt: skip
    assert isinstance(events[0], SigningKeyRemoved)
    assert events[0].reason == "emergency"


def test_without_a_spare_it_is_removed_all_the_same_and_the_schedule_makes_another() -> None:
    (removed,) = withdraw(a_key(), (a_key(),), NOW)
    assert isinstance(removed, SigningKeyRemoved)
    assert (ES256, "active") in missing((removed.signing_key,))


@pytest.mark.parametrize("state", ["pending", "retired"])
def test_a_key_that_does_not_sign_is_withdrawn_alone(state: str) -> None:
    key = a_key(state=state)
    assert steps(withdraw(key, (*all_keys(), key), NOW)) == [("Removed", key.id, "removed")]


def test_a_removed_key_cannot_be_withdrawn_again() -> None:
    assert withdraw(a_key(state="removed"), all_keys(), NOW) == ()


# As it is shown


def test_a_signing_key_is_shown_without_its_private_half() -> None:
    key = a_signing_key()
    shown = show(key, POLICY)
    assert (shown.kid, shown.purpose, shown.algorithm, shown.state) == ("signing_1", "token", "ES256", "active")
    assert (shown.created_at, shown.activated_at, shown.retired_at, shown.removed_at) == (EARLIER, EARLIER, None, None)
    assert shown.public_jwk == dict(key.public_jwk)
    assert PRIVATE_MEMBERS.isdisjoint(shown.public_jwk)
    for text in (repr(shown), repr(key)):
        assert repr(key.private_key)[2:-1] not in text


@pytest.mark.parametrize(
    ("state", "next_state", "next_at"),
    [
        ("pending", "active", NOW + KNOWN_AFTER),
        ("active", "retired", NOW + LIFETIME),
        ("retired", "removed", NOW + OUTLIVED_AFTER),
        ("removed", None, None),
    ],
)
def test_each_key_says_what_comes_next_and_when(state: str, next_state: str | None, next_at: int | None) -> None:
    shown = show(a_key(state=state, age=0), POLICY)
    assert (shown.next_state, shown.next_at) == (next_state, next_at)
