"""Keys that users make on their own page: who may, for what, and how freshly he signed in (T165, T166)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    KEY,
    NOW,
    POLICY,
    a_membership,
    a_moment,
    a_password,
    a_session,
    a_user,
    an_account,
    an_api,
    an_api_key,
    kept,
    refused,
    scope,
)

from doorward.protocol import api_key, member_keys
from doorward.protocol.events import ApiKeyRevoked
from doorward.protocol.key_events import ApiKeySelfMade
from doorward.protocol.member_keys import EndKey, KeyFacts, Make, MakeFacts, Proof, Rotate
from doorward.protocol.password import Checked
from doorward.protocol.policy import DAY
from doorward.protocol.rotation_events import ApiKeyRotated
from doorward.protocol.user import UserFacts

OPEN = an_api(self_service=scope("read"))
FRESH, OLD = a_session(auth_time=NOW - 60), a_session(auth_time=NOW - member_keys.FRESH_FOR)
PROOF = Proof("user_1", "session_1")
MAKE = Make(PROOF, "acme", "api_1", scope("read"), "nightly export", "live", 90 * DAY)


def a_member(*memberships: Any, **fields: Any) -> UserFacts:
    return UserFacts(a_user(**fields), a_password(), memberships or (a_membership(role="developer"),))


FACTS = MakeFacts(a_member(), FRESH, an_account(), OPEN)


def the_key(**fields: Any) -> api_key.Facts:
    return api_key.Facts(an_api_key(**fields), (kept(KEY, "key_1"),), an_account(), OPEN)


def test_a_key_is_made_as_it_was_asked_for() -> None:
    decision = member_keys.make(MAKE, FACTS, POLICY, a_moment())
    (event,) = decision.events
    assert isinstance(event, ApiKeySelfMade)
    key = event.api_key
    assert (key.account_id, key.api_id, key.scope, key.user_id) == ("acme", "api_1", scope("read"), "user_1")
    assert (key.expires_at, key.state) == (NOW + 90 * DAY, "active")
    assert decision.reply.key.startswith("dw_live_")


def test_a_key_lives_no_longer_than_its_api_lets() -> None:
    facts = replace(FACTS, api=replace(OPEN, key_lifetime_limit=DAY))
    assert member_keys.make(MAKE, facts, POLICY, a_moment()).reply.expires_at == NOW + DAY


def named(value: object) -> str:
    """The same in every process: a set has no order of its own."""
    if not isinstance(value, dict):
        return str(value)
    return str({name: sorted(one) if isinstance(one, frozenset) else one for name, one in value.items()})


@pytest.mark.parametrize(
    "facts",
    [MakeFacts(), replace(FACTS, account=an_account(state="suspended")), replace(FACTS, api=an_api()),
     replace(FACTS, user=a_member(a_membership(role="viewer"))), replace(FACTS, user=a_member(state="disabled")),
     replace(FACTS, user=a_member(a_membership(account_id="other")))],
    ids=["nothing", "suspended", "closed", "viewer", "disabled", "elsewhere"],
)  # fmt: skip
def test_to_everybody_else_there_is_nothing_to_make_one_for(facts: MakeFacts) -> None:
    with refused("not_found"):
        member_keys.make(MAKE, facts, POLICY, a_moment())


@pytest.mark.parametrize(
    "wrong",
    [{"scope": scope("write")}, {"scope": scope("read write")}, {"scope": frozenset()}, {"name": ""}, {"name": " a"},
     {"name": "a\nb"}, {"lifetime": 0}, {"lifetime": 1}, {"environment": "prod"}],
    ids=named,
)  # fmt: skip
def test_only_what_is_offered_can_be_chosen(wrong: dict[str, Any]) -> None:
    with pytest.raises(member_keys.Unprocessable):
        member_keys.make(replace(MAKE, **wrong), FACTS, POLICY, a_moment())


@pytest.mark.parametrize(
    ("ends", "may"),
    [((NOW + 1,) * 49, True), ((NOW + 1,) * 50, False), ((None,) * 50, False), ((*(NOW + 1,) * 49, NOW), True)],
    ids=["room", "full", "without end", "one has ended"],
)
def test_only_keys_that_live_are_counted(ends: tuple[int | None, ...], may: bool) -> None:
    facts = replace(FACTS, ends=ends)
    if may:
        assert member_keys.make(MAKE, facts, POLICY, a_moment()).events
        return
    with pytest.raises(member_keys.Conflict) as told:
        member_keys.make(MAKE, facts, POLICY, a_moment())
    assert told.value.reason == "keys_too_many"


class TestProof:
    HOLDS = Checked(a_password().phc, True)

    @pytest.mark.parametrize(
        ("session", "fresh"),
        [(FRESH, True), (OLD, False), (None, False), (replace(FRESH, ended_at=NOW), False),
         (replace(OLD, auth_time=0, created_at=NOW - 60), True), (replace(FRESH, auth_time=0, created_at=1), False)],
        ids=["fresh", "old", "none", "ended", "told by nobody", "told by nobody, old"],
    )  # fmt: skip
    def test_a_sign_in_is_fresh_for_a_quarter_of_an_hour(self, session: Any, fresh: bool) -> None:
        assert member_keys.is_fresh(session, NOW) is fresh

    def test_else_the_password_is_needed(self) -> None:
        old = replace(FACTS, session=OLD)
        with pytest.raises(member_keys.SignInOld):
            member_keys.make(MAKE, old, POLICY, a_moment())
        proved = replace(MAKE, proof=replace(PROOF, checked=self.HOLDS))
        assert member_keys.make(proved, old, POLICY, a_moment()).events

    @pytest.mark.parametrize(
        "checked", [Checked(a_password().phc, False), Checked("another", True), Checked(None, True)]
    )
    def test_a_wrong_one_is_recorded(self, checked: Checked) -> None:
        old = replace(FACTS, session=OLD)
        with pytest.raises(member_keys.WrongPassword) as told:
            member_keys.make(replace(MAKE, proof=replace(PROOF, checked=checked)), old, POLICY, a_moment())
        assert [type(event).__name__ for event in told.value.events] == ["CredentialRefused"]


class TestRotation:
    def test_a_key_gets_a_new_secret(self) -> None:
        facts = KeyFacts(the_key(), a_member(), FRESH)
        (event,) = member_keys.rotate(Rotate(PROOF, "key_1", DAY), facts, POLICY, a_moment()).events
        assert isinstance(event, ApiKeyRotated)
        assert event.retired[0].overlap == DAY

    @pytest.mark.parametrize(
        ("fields", "overlap"),
        [({"scope": scope("read write")}, DAY), ({"scope": frozenset()}, DAY), ({"state": "inactive"}, DAY),
         ({"state": "revoked"}, DAY), ({"expires_at": NOW}, DAY), ({}, 1)],
        ids=named,
    )  # fmt: skip
    def test_but_nobody_gets_more_by_it_than_he_may_take(self, fields: dict[str, Any], overlap: int) -> None:
        facts = KeyFacts(the_key(**fields), a_member(), FRESH)
        with pytest.raises(member_keys.Conflict) as told:
            member_keys.rotate(Rotate(PROOF, "key_1", overlap), facts, POLICY, a_moment())
        assert told.value.reason == "key_not_self_served"

    def test_an_old_sign_in_is_not_enough(self) -> None:
        with pytest.raises(member_keys.SignInOld):
            member_keys.rotate(
                Rotate(PROOF, "key_1", DAY), KeyFacts(the_key(), a_member(), OLD), POLICY, a_moment()
            )  # fmt: skip


class TestEnding:
    ASKED = EndKey("user_1", "key_1")

    @pytest.mark.parametrize("role", ["owner", "developer"])
    def test_who_manages_the_account_ends_its_keys(self, role: str) -> None:
        facts = KeyFacts(the_key(), a_member(a_membership(role=role)))
        (event,) = member_keys.end_key(self.ASKED, facts, POLICY, a_moment()).events
        assert isinstance(event, ApiKeyRevoked)
        assert (event.api_key.state, event.api_key.revoked_at) == ("revoked", NOW)

    @pytest.mark.parametrize(
        "facts",
        [KeyFacts(), KeyFacts(the_key()), KeyFacts(the_key(), a_member(a_membership(role="viewer"))),
         KeyFacts(the_key(), a_member(a_membership(account_id="other"))),
         KeyFacts(replace(the_key(), account=an_account(state="suspended")), a_member())],
        ids=["unknown", "nobody", "viewer", "elsewhere", "suspended"],
    )  # fmt: skip
    def test_to_everybody_else_there_is_no_such_key(self, facts: KeyFacts) -> None:
        with refused("not_found"):
            member_keys.end_key(self.ASKED, facts, POLICY, a_moment())

    def test_a_key_that_has_ended_ends_once(self) -> None:
        facts = KeyFacts(the_key(state="revoked"), a_member())
        assert member_keys.end_key(self.ASKED, facts, POLICY, a_moment()).events == ()
