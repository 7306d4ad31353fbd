"""Whose a login from elsewhere is: who was here before, and by which rule somebody comes a first time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.elsewhere import (
    ACME,
    ADA,
    SUBJECT,
    an_identity,
    an_invitation,
    an_upstream,
    somebody,
    with_upstreams,
    without_password,
)
from tests.protocol.given import NOW, a_moment, a_session, an_account, refused

from doorward.protocol import first_sign_in
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.first_sign_in import Facts, Request
from doorward.protocol.people_events import MembershipCreated, SessionEnded, SessionStarted, UserCreated
from doorward.protocol.session import UNKNOWN, Browser, Started
from doorward.protocol.upstream import Identity, Told, Upstream
from doorward.protocol.upstream_events import IdentityAdded, IdentityClaimed
from doorward.protocol.user import UserFacts

REQUEST = Request("acme", ADA, Browser("Firefox", "192.0.2.1"))
NOT_VOUCHED = replace(ADA, is_vouched_for=False)
RULES = ("existing", "invited", "verified_email", "anyone")


def decide(facts: Facts, rule: str = "existing", told: Told = ADA, **fields: Any) -> Decision[Started]:
    upstream: Upstream = an_upstream(first_sign_in=rule, **fields)
    request = replace(REQUEST, told=told)
    return first_sign_in.decide(request, facts, with_upstreams(upstream), a_moment())


def started_for(decision: Decision[Started]) -> str:
    """Whose session the one that was started is."""
    (event,) = (one for one in decision.events if isinstance(one, SessionStarted))
    assert event.session == decision.reply.session
    return event.session.user_id


def nobody(about: str = "unknown") -> tuple[Event, ...]:
    return (CredentialRefused("upstream", about, "upstream_no_user"),)


@pytest.mark.parametrize("rule", RULES)
def test_a_login_that_is_somebodys_signs_him_in_by_every_rule(rule: str) -> None:
    decision = decide(Facts(somebody(an_identity())), rule, Told(SUBJECT))
    assert started_for(decision) == "user_1"
    assert len(decision.events) == 1


def test_a_disabled_user_is_not_signed_in() -> None:
    with refused("access_denied", reason="upstream_no_user", events=nobody("user_1")):
        decide(Facts(somebody(an_identity(), state="disabled")))


def test_the_session_says_how_and_when_he_signed_in_there() -> None:
    told = replace(ADA, amr=("otp", "pwd", "of-their-own"), auth_time=NOW - 90)
    session = decide(Facts(somebody(an_identity())), told=told).reply.session
    assert (session.amr, session.acr, session.auth_time, session.created_at) == (
        ("fed", "otp", "pwd"), "1", NOW - 90, NOW,
    )  # fmt: skip
    assert decide(Facts(somebody(an_identity()))).reply.session.auth_time == UNKNOWN
    future = replace(ADA, auth_time=NOW + 900)
    assert decide(Facts(somebody(an_identity())), told=future).reply.session.auth_time == NOW


def test_a_name_that_would_be_read_as_an_address_is_none() -> None:
    """Names are compared in NFKC, where a wide @ is one."""
    for name in ("boss@acme.example", "boss\uff20acme.example", "boss\ufe6bacme.example"):
        assert first_sign_in.names(ACME, replace(ADA, username=name, email=None)) == ()


def test_the_session_of_somebody_else_in_this_browser_ends_too() -> None:
    other = a_session(id="other", digest="old", user_id="user_2")
    request = replace(REQUEST, before="old")
    facts = Facts(somebody(an_identity()), here=(other,))
    decision = first_sign_in.decide(request, facts, with_upstreams(), a_moment())
    assert decision.events[1:] == (SessionEnded(replace(other, ended_at=NOW)),)


def test_the_session_that_the_browser_had_ends_with_it() -> None:
    here, elsewhere = a_session(id="here", digest="old"), a_session(id="elsewhere", digest="other")
    facts = Facts(replace(somebody(an_identity()), live=(here, elsewhere)), here=(here,))
    request = replace(REQUEST, before="old")
    decision = first_sign_in.decide(request, facts, with_upstreams(), a_moment())
    assert decision.events[1:] == (SessionEnded(replace(here, ended_at=NOW)),)


@pytest.mark.parametrize("rule", RULES[:3])
def test_who_was_never_here_is_not_let_in(rule: str) -> None:
    with refused("access_denied", reason="upstream_no_user", events=nobody()):
        decide(Facts(), rule)


def test_an_existing_login_is_the_only_way_in_where_the_rule_says_so() -> None:
    """An address that is verified on both sides, and an invitation, are not enough."""
    facts = Facts(invited=(somebody(an_invitation()),), namesakes=(somebody(),))
    with refused("access_denied", reason="upstream_no_user", events=nobody()):
        decide(facts, "existing")


class TestInvited:
    @pytest.mark.parametrize("rule", RULES[1:])
    def test_who_was_invited_becomes_that_user(self, rule: str) -> None:
        decision = decide(Facts(invited=(somebody(an_invitation()),)), rule)
        claimed = an_invitation(subject=SUBJECT, expires_at=None)
        assert decision.events[0] == IdentityClaimed(claimed)
        assert started_for(decision) == "user_1"

    def test_he_need_not_have_an_address_here(self) -> None:
        person = somebody(an_invitation(), email=None, email_verified=False, role="administrator")
        assert started_for(decide(Facts(invited=(person,)), "invited")) == "user_1"

    @pytest.mark.parametrize(
        "invitation",
        [
            an_invitation(expires_at=NOW), an_invitation(email="eve@acme.example"), an_identity(subject="other"),
            an_invitation(issuer="https://other.example"), an_invitation(email="ad\u0430@acme.example"),
        ],
        ids=["over", "another address", "taken", "another issuer", "another letter"],
    )  # fmt: skip
    def test_an_invitation_that_does_not_fit_opens_nothing(self, invitation: Identity) -> None:
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(Facts(invited=(somebody(invitation),)), "invited")

    def test_an_address_that_nobody_vouches_for_is_not_the_one_that_was_invited(self) -> None:
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(Facts(invited=(somebody(an_invitation()),)), "invited", NOT_VOUCHED)

    def test_two_who_are_invited_by_one_address_are_not_guessed_between(self) -> None:
        two = (somebody(an_invitation()), somebody(an_invitation(id="identity_3", user_id="user_2"), id="user_2"))
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(Facts(invited=two), "invited")


class TestByVerifiedAddress:
    @pytest.mark.parametrize("rule", RULES[2:])
    def test_an_address_that_is_verified_on_both_sides_links_its_user(self, rule: str) -> None:
        decision = decide(Facts(namesakes=(somebody(email="ADA@acme.example"),)), rule)
        (added,) = (one for one in decision.events if isinstance(one, IdentityAdded))
        assert (added.identity.user_id, added.identity.issuer, added.identity.subject) == (
            "user_1", ACME.issuer, SUBJECT,
        )  # fmt: skip
        assert decision.events.index(added) == 0
        assert started_for(decision) == "user_1"

    def test_an_address_that_was_merely_written_down_here_opens_nothing(self) -> None:
        """Whoever made a user with somebody's address would be let in as he came."""
        facts = Facts(namesakes=(somebody(email_verified=False),))
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(facts, "verified_email")

    def test_an_address_that_the_upstream_does_not_vouch_for_opens_nothing(self) -> None:
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(Facts(namesakes=(somebody(),)), "verified_email", NOT_VOUCHED)

    @pytest.mark.parametrize("rule", RULES[2:])
    def test_an_administrator_is_not_found_by_an_address(self, rule: str) -> None:
        with refused("access_denied", reason="upstream_no_user", events=nobody("user_1")):
            decide(Facts(namesakes=(somebody(role="administrator"),)), rule)

    @pytest.mark.parametrize("rule", RULES[2:])
    def test_an_address_that_was_given_to_somebody_else_there_opens_nothing(self, rule: str) -> None:
        facts = Facts(namesakes=(somebody(an_identity(subject="who had it before")),))
        with refused("access_denied", reason="upstream_no_user", events=nobody("user_1")):
            decide(facts, rule)

    def test_a_login_at_another_upstream_does_not_stand_in_the_way(self) -> None:
        facts = Facts(namesakes=(somebody(an_identity(issuer="https://other.example")),))
        assert started_for(decide(facts, "verified_email")) == "user_1"

    def test_two_who_have_one_address_are_not_guessed_between(self) -> None:
        facts = Facts(namesakes=(somebody(), somebody(id="user_2")))
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(facts, "verified_email")

    def test_a_disabled_user_is_linked_to_nothing(self) -> None:
        with refused("access_denied", reason="upstream_no_user", events=nobody("user_1")):
            decide(Facts(namesakes=(somebody(state="disabled"),)), "verified_email")


class TestAnyone:
    def test_a_newcomer_becomes_a_user(self) -> None:
        decision = decide(Facts(), "anyone")
        created, added, *_ = decision.events
        assert isinstance(created, UserCreated)
        user = created.user
        assert (user.username, user.name, user.email, user.email_verified, user.role) == (
            "ada.lovelace", "Ada Lovelace", "ada@acme.example", True, "member",
        )  # fmt: skip
        assert isinstance(added, IdentityAdded)
        assert (added.identity.user_id, added.identity.subject) == (user.id, SUBJECT)
        assert started_for(decision) == user.id

    def test_an_address_that_nobody_vouches_for_is_not_verified_by_coming(self) -> None:
        created = decide(Facts(namesakes=(somebody(),)), "anyone", NOT_VOUCHED).events[0]
        assert isinstance(created, UserCreated)
        assert created.user.id != "user_1"
        assert (created.user.email, created.user.email_verified) == ("ada@acme.example", False)

    def test_a_name_that_somebody_has_is_not_given_twice(self) -> None:
        def named(told: Told, *taken: str) -> str:
            created = decide(Facts(taken=frozenset(taken)), "anyone", told).events[0]
            assert isinstance(created, UserCreated)
            return created.user.username

        assert named(ADA, "ada.lovelace") == "ada@acme.example"
        assert named(ADA, "ada.lovelace", "ada@acme.example").startswith("acme-")
        assert named(Told(SUBJECT)).startswith("acme-")
        assert named(replace(ADA, username="user_1")) == "ada@acme.example"

    def test_nobody_is_called_by_an_address_that_is_not_known_to_be_his(self) -> None:
        for told in (replace(ADA, username="boss@acme.example"), replace(NOT_VOUCHED, username="boss@acme.example")):
            created = decide(Facts(), "anyone", told).events[0]
            assert isinstance(created, UserCreated)
            assert created.user.username != "boss@acme.example"

    def test_newcomers_belong_to_the_account_that_the_settings_name(self) -> None:
        facts = Facts(account=an_account())
        decision = decide(facts, "anyone", account_id="acme", account_role="viewer")
        (belongs,) = (one.membership for one in decision.events if isinstance(one, MembershipCreated))
        assert (belongs.account_id, belongs.role, belongs.user_id) == ("acme", "viewer", started_for(decision))

    @pytest.mark.parametrize("facts", [Facts(), Facts(account=an_account(state="suspended"))])
    def test_without_that_account_nobody_comes(self, facts: Facts) -> None:
        with refused("access_denied", reason="upstream_no_user", events=nobody()):
            decide(facts, "anyone", account_id="acme")

    def test_an_odd_name_is_shortened_or_left_out(self) -> None:
        created = decide(Facts(), "anyone", replace(ADA, name="x" * 200)).events[0]
        assert isinstance(created, UserCreated)
        assert created.user.name == "x" * 100
        created = decide(Facts(), "anyone", replace(ADA, name="  ")).events[0]
        assert isinstance(created, UserCreated)
        assert created.user.name == "ada.lovelace"

    def test_an_address_that_is_none_is_not_kept(self) -> None:
        created = decide(Facts(), "anyone", replace(NOT_VOUCHED, email="no address")).events[0]
        assert isinstance(created, UserCreated)
        assert created.user.email is None


def test_a_user_without_a_password_signs_in_all_the_same() -> None:
    person = without_password(somebody(an_identity()))
    assert person.user == UserFacts(person.user.user)
    assert started_for(decide(Facts(person))) == "user_1"
