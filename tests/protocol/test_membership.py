"""Memberships: one for a user and an account, with one of three roles."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol.given import (
    NOW,
    POLICY,
    a_membership,
    a_moment,
    a_person,
    a_user_grant,
    an_account,
    asked,
    refused,
)

from doorward.protocol import membership
from doorward.protocol.events import GrantRevoked
from doorward.protocol.membership import CreateFacts, CreateMembership, Facts, UpdateMembership
from doorward.protocol.people_events import MembershipChanged, MembershipCreated, MembershipDeleted

BODY = CreateMembership("ada", "acme")


def test_a_user_belongs_to_an_account_as_a_developer_unless_said_otherwise() -> None:
    decision = membership.create(asked(BODY), CreateFacts(a_person(), an_account()), POLICY, a_moment())
    (event,) = decision.events
    assert isinstance(event, MembershipCreated)
    made = event.membership
    assert (made.user_id, made.account_id, made.role, made.created_at) == ("user_1", "acme", "developer", NOW)
    assert (decision.reply.user, decision.reply.account) == ("user_1", "acme")


def test_what_is_named_must_exist() -> None:
    for facts in (CreateFacts(None, an_account()), CreateFacts(a_person(), None)):
        with refused("invalid_fields"):
            membership.create(asked(BODY), facts, POLICY, a_moment())


def test_nobody_belongs_to_an_account_twice() -> None:
    with refused("conflict"):
        membership.create(asked(BODY), CreateFacts(a_person(a_membership()), an_account()), POLICY, a_moment())


def test_a_role_is_changed_and_the_same_one_changes_nothing() -> None:
    facts = Facts(a_membership())
    (event,) = membership.update(asked(UpdateMembership("owner")), facts, POLICY, a_moment()).events
    assert event == MembershipChanged(replace(a_membership(), role="owner", version=2))
    assert membership.update(asked(UpdateMembership("developer")), facts, POLICY, a_moment()).events == ()


def test_a_membership_ends() -> None:
    assert membership.delete(asked(), Facts(a_membership()), POLICY, a_moment()).events == (
        MembershipDeleted(a_membership()),
    )
    with refused("not_found"):
        membership.delete(asked(), Facts(None), POLICY, a_moment())


def test_what_acted_for_the_account_in_his_name_ends_with_it() -> None:
    """T056."""
    acting, over = a_user_grant(account_id="acme"), a_user_grant(id="grant_v", account_id="acme", revoked_at=NOW - 1)
    assert membership.delete(asked(), Facts(a_membership(), (acting, over)), POLICY, a_moment()).events == (
        MembershipDeleted(a_membership()), GrantRevoked(replace(acting, revoked_at=NOW, version=2)),
    )  # fmt: skip
