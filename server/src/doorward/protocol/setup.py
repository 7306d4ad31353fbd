"""First run: a one-time link makes the first admin key; void once an administrator exists (decision 17)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import ClassVar

from doorward.protocol import admin_key
from doorward.protocol.admin import Strict
from doorward.protocol.admin_key import NewAdminKeyObject
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SetupLink
from doorward.protocol.events import SetupLinkCreated, SetupLinkUsed
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Refusal


class SetupOver(Refusal):
    """The link was used, is too old or never was, or an administrator exists: one answer."""

    status: ClassVar[int] = 410
    error = "setup_over"
    default_reason = "setup_over"


@dataclass(frozen=True, slots=True)
class UseLink(Strict):
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    link: SetupLink | None
    administrator_exists: bool


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def offer(administrator_exists: bool, policy: Policy, moment: Moment) -> Decision[str | None]:
    """A fresh link's token at each start, until an administrator exists."""
    if administrator_exists:
        return Decision(None)
    token = moment.base62(43)
    link = SetupLink(digest(token), moment.now + policy.setup_link_lifetime, moment.now)
    return Decision(token, (SetupLinkCreated(link),))


def use(request: UseLink, facts: Facts, policy: Policy, moment: Moment) -> Decision[NewAdminKeyObject]:
    link = facts.link
    if facts.administrator_exists or link is None or link.used_at is not None or moment.now >= link.expires_at:
        raise SetupOver("the setup link is not valid any more")
    made = admin_key.new(
        "first administrator", frozenset({"admin"}), "setup", policy.admin_key_lifetime, policy, moment
    )
    return Decision(made.reply, (SetupLinkUsed(replace(link, used_at=moment.now)), *made.events))
