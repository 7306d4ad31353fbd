"""First run: a one-time link makes the first administrator, key and person; void once there is one (decision 17)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import ClassVar

from doorward.protocol import admin_key
from doorward.protocol.admin import Strict, absent
from doorward.protocol.admin_key import NewAdminKeyObject
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SetupLink
from doorward.protocol.events import SetupLinkCreated, SetupLinkUsed
from doorward.protocol.moment import Moment
from doorward.protocol.people import Password, User
from doorward.protocol.people_events import PasswordChanged, UserCreated
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Refusal
from doorward.protocol.user import UserFacts
from doorward.protocol.user import new as new_user


class SetupOver(Refusal):
    """The link was used, is too old or never was, or an administrator exists: one answer."""

    status: ClassVar[int] = 410
    error = "setup_over"
    default_reason = "setup_over"


@dataclass(frozen=True, slots=True)
class UseLink(Strict):
    """The first administrator may be a person too: `phc` is of the password that he chose."""

    token: str = field(repr=False)
    username: str | None = None
    phc: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    link: SetupLink | None
    administrator_exists: bool
    namesake: UserFacts | None = None


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def offer(administrator_exists: bool, policy: Policy, moment: Moment) -> Decision[str | None]:
    """A fresh link's token at each start, until an administrator exists."""
    if administrator_exists:
        return Decision(None)
    token = moment.base62(43)
    link = SetupLink(digest(token), moment.now + policy.setup_link_lifetime, moment.now)
    return Decision(token, (SetupLinkCreated(link),))


def check(request: UseLink, facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    """Whether the link is good: asked before a password is hashed for it, which costs time."""
    _good(facts, moment)
    if request.username is not None:
        _person(request.username, facts, moment)
    return Decision(None)


def use(request: UseLink, facts: Facts, policy: Policy, moment: Moment) -> Decision[NewAdminKeyObject]:
    link = _good(facts, moment)
    made = admin_key.new(
        "first administrator", frozenset({"admin"}), "setup", policy.admin_key_lifetime, policy, moment
    )
    used = SetupLinkUsed(replace(link, used_at=moment.now))
    if request.username is None or request.phc is None:
        return Decision(made.reply, (used, *made.events))
    person = _person(request.username, facts, moment)
    signs_in = PasswordChanged(Password(person.id, request.phc, moment.now))
    return Decision(made.reply, (used, *made.events, UserCreated(person), signs_in))


def _good(facts: Facts, moment: Moment) -> SetupLink:
    link = facts.link
    if facts.administrator_exists or link is None or link.used_at is not None or moment.now >= link.expires_at:
        raise SetupOver("the setup link is not valid any more")
    return link


def _person(username: str, facts: Facts, moment: Moment) -> User:
    absent(facts.namesake, "user")
    return new_user(username, None, moment, role="administrator")
