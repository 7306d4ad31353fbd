"""Signing in with a user name and a password: the second of two exchanges (decision 28).

The first one counts the attempt, before anything is hashed; then the password is compared, whether there is such a user
or not; here it is decided. Unknown, disabled or wrong are one answer, with one record each (T145).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from doorward.protocol import session
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.moment import Moment
from doorward.protocol.password import Checked
from doorward.protocol.people import Session
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Refusal
from doorward.protocol.session import Browser, Started
from doorward.protocol.user import UserFacts, canonical

PASSWORD = ("pwd",)
# RFC 8176 has the name of the method; one factor is the least of the classes.
ACR = "1"
ACRS = (ACR,)


class SignInRefused(Refusal):
    """RFC 9110 §15.5.2 would ask for a challenge; the form that is shown again is one."""

    status = 403
    error = "access_denied"
    default_reason = "sign_in_refused"


class SlowDown(Refusal):
    """RFC 6585 §4: too many attempts from here, or for this account."""

    status = 429
    error = "slow_down"
    default_reason = "too_many_attempts"


@dataclass(frozen=True, slots=True)
class Request:
    """`before` is the digest of the cookie that the browser had: signing in replaces that session."""

    username: str
    checked: Checked
    browser: Browser
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """`here` is the session that the browser had: another user's perhaps."""

    user: UserFacts | None = None
    live: tuple[Session, ...] = ()
    here: tuple[Session, ...] = ()


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Started]:
    known = facts.user
    # Without a user it is recorded too: a commit takes its time, and would tell.
    if known is None:
        raise _refused("unknown", "there is no such user")
    if known.user.state != "active":
        raise _refused(known.user.id, "the user is disabled")
    if not request.checked.holds(known.password):
        raise _refused(known.user.id, "the password is wrong")
    started = session.start(known.user, PASSWORD, ACR, request.browser, _others(request, facts), policy, moment)
    replaced = session.end(facts.here, moment)
    return Decision(started.reply, (*started.events, *replaced))


def _others(request: Request, facts: Facts) -> tuple[Session, ...]:
    return tuple(one for one in facts.live if one.digest != request.before)


def _refused(user_id: str, detail: str) -> SignInRefused:
    record = CredentialRefused("password", user_id, "sign_in_refused")
    return SignInRefused("the user name or the password is wrong", events=(record,), detail=detail)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the limiter counts, canonical (T146): `place` is the address itself, `network` what stands for it."""

    account: str
    place: str
    network: str
    credential: str


def attempt(username: str, address: str, credential: str) -> Attempt:
    """An alias of a mail address is the same account: `ada+x@example.com` is `ada@example.com`."""
    name = canonical(username)
    local, at, domain = name.partition("@")
    account = f"{local.partition('+')[0]}@{domain}" if at else name
    return Attempt(account, address, network_of(address), credential)


def network_of(address: str) -> str:
    """Of IPv6 a whole /64 belongs to one subscriber."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False))
