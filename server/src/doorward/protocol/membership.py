"""A membership: which account a user belongs to, and whether as owner, developer or viewer (decision 10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from doorward.protocol import grant
from doorward.protocol.admin import Asked, Nothing, Strict, absent, current, invalid
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, Grant
from doorward.protocol.moment import Moment
from doorward.protocol.people import Membership
from doorward.protocol.people_events import MembershipChanged, MembershipCreated, MembershipDeleted
from doorward.protocol.policy import Policy
from doorward.protocol.user import UserFacts

Role = Literal["owner", "developer", "viewer"]
# Who may make, rotate and end keys of the account on his own page.
MANAGERS = frozenset({"owner", "developer"})


@dataclass(frozen=True, slots=True)
class CreateMembership(Strict):
    """`user` is an id or a user name."""

    user: str
    account: str
    role: Role = "developer"


@dataclass(frozen=True, slots=True)
class UpdateMembership(Strict):
    role: Role


@dataclass(frozen=True, slots=True)
class MembershipObject:
    id: str
    user: str
    account: str
    role: str
    created_at: int
    version: int


@dataclass(frozen=True, slots=True)
class CreateFacts:
    user: UserFacts | None
    account: Account | None


@dataclass(frozen=True, slots=True)
class Facts:
    """`grants` are those by which clients act for this account in the user's name."""

    membership: Membership | None
    grants: tuple[Grant, ...] = ()


def create(
    asked: Asked[CreateMembership], facts: CreateFacts, policy: Policy, moment: Moment
) -> Decision[MembershipObject]:
    if facts.user is None:
        raise invalid("user", "must be the id or name of a user")
    if facts.account is None:
        raise invalid("account", "must be the id of an account")
    account_id = facts.account.id
    absent(next((one for one in facts.user.memberships if one.account_id == account_id), None), "membership")
    made = Membership(moment.id("membership"), facts.user.user.id, account_id, asked.body.role, moment.now)
    return Decision(show(made), (MembershipCreated(made),))


def update(asked: Asked[UpdateMembership], facts: Facts, policy: Policy, moment: Moment) -> Decision[MembershipObject]:
    there = current(facts.membership, asked, "membership")
    if there.role == asked.body.role:
        return Decision(show(there))
    changed = replace(there, role=asked.body.role, version=there.version + 1)
    return Decision(show(changed), (MembershipChanged(changed),))


def delete(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    """Who leaves an account takes along whatever acts for it in his name (T056)."""
    gone = MembershipDeleted(current(facts.membership, asked, "membership"))
    ended = [event for one in facts.grants for event in grant.end(one, moment)]
    return Decision(None, (gone, *ended))


def show(membership: Membership) -> MembershipObject:
    return MembershipObject(
        membership.id, membership.user_id, membership.account_id, membership.role, membership.created_at,
        membership.version,
    )  # fmt: skip
