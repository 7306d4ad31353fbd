"""Whose login it is that came from elsewhere: a user's, who was here before, or by the upstream's rule a first time.

A login is somebody's for good by issuer and subject. An address is a way to it but once: it has to be vouched for on
both sides, by an upstream that may, and a user with another login there, or who administers, is not found by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from doorward.protocol import session, user
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.moment import Moment
from doorward.protocol.people import Membership, Session, User
from doorward.protocol.people_events import MembershipCreated, UserCreated
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Unprocessable
from doorward.protocol.session import Browser, Started
from doorward.protocol.sign_in import ACR
from doorward.protocol.upstream import Identity, Told, Upstream, is_same_address
from doorward.protocol.upstream_events import IdentityAdded, IdentityClaimed
from doorward.protocol.upstream_sign_in import UpstreamFailed, known
from doorward.protocol.user import UserFacts

# RFC 8176 has no name for it: what the upstream says of how he signed in there stands beside it.
FEDERATED = "fed"
METHODS = frozenset(
    {
        "face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd", "rba", "retina", "sc",
        "sms", "swk", "tel", "user", "vbm", "wia",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """`before` is the digest of the cookie that the browser had: signing in replaces that session."""

    upstream: str
    told: Told
    browser: Browser
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A user who may be meant, with the logins and sessions that he has."""

    user: UserFacts
    identities: tuple[Identity, ...] = ()
    live: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """`taken` are the canonical names, of those that a newcomer might get, that others have.

    `here` is the session that the browser had: another user's perhaps.
    """

    known: Person | None = None
    invited: tuple[Person, ...] = ()
    namesakes: tuple[Person, ...] = ()
    account: Account | None = None
    taken: frozenset[str] = field(default=frozenset())
    here: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class Met:
    """Who it is, and what made him be it."""

    person: Person
    events: tuple[Event, ...] = ()


Step = Callable[[Upstream, Told, Facts, Moment], Met | None]


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Started]:
    upstream = known(policy, request.upstream)
    met = Met(facts.known) if facts.known else _first(upstream, request.told, facts, moment)
    found = met.person.user.user
    if found.state != "active":
        raise _refused(found.id, "the user is disabled")
    others = tuple(one for one in met.person.live if one.digest != request.before)
    started = session.start(
        found, _amr(request.told), ACR, request.browser, others, policy, moment, _signed_in_at(request.told, moment)
    )
    replaced = session.end(facts.here, moment)
    return Decision(started.reply, (*met.events, *started.events, *replaced))


def _signed_in_at(told: Told, moment: Moment) -> int:
    """When he signed in is when he did so there; where the upstream does not say it, nobody knows."""
    return session.UNKNOWN if told.auth_time is None else max(session.UNKNOWN, min(told.auth_time, moment.now))


def _amr(told: Told) -> tuple[str, ...]:
    return (FEDERATED, *sorted(METHODS & frozenset(told.amr)))


def names(upstream: Upstream, told: Told) -> tuple[str, ...]:
    """What a newcomer might be called here, the best first; by an address only if it is his."""
    vouched = told.email if told.is_vouched_for else None
    chosen = told.username if told.username and "@" not in user.canonical(told.username) else None
    return tuple(one for one in (chosen, vouched) if one)


def _first(upstream: Upstream, told: Told, facts: Facts, moment: Moment) -> Met:
    for step in RULES[upstream.first_sign_in]:
        met = step(upstream, told, facts, moment)
        if met is not None:
            return met
    raise _refused("unknown", "nobody has this login")


def _as_invited(upstream: Upstream, told: Told, facts: Facts, moment: Moment) -> Met | None:
    """An administrator said whose it would be: expiry is decided when it is used."""
    open_ = tuple(
        (person, identity)
        for person in facts.invited
        for identity in person.identities
        if _is_invitation(identity, upstream, told, moment)
    )
    if not told.is_vouched_for or not open_:
        return None
    if len(open_) > 1:
        raise _refused("unknown", "several users are invited by this address")
    person, identity = open_[0]
    return Met(person, (IdentityClaimed(replace(identity, subject=told.subject, expires_at=None)),))


def _is_invitation(identity: Identity, upstream: Upstream, told: Told, moment: Moment) -> bool:
    is_open = identity.subject is None and (identity.expires_at is None or moment.now < identity.expires_at)
    return is_open and identity.issuer == upstream.issuer and is_same_address(identity.email, told.email)


def _by_address(upstream: Upstream, told: Told, facts: Facts, moment: Moment) -> Met | None:
    """Both sides must know that the address is his: one that somebody merely wrote down here opens nothing."""
    meant = [one for one in facts.namesakes if _has_address(one, told)]
    if not told.is_vouched_for or not meant:
        return None
    person = meant[0]
    if len(meant) > 1:
        raise _refused("unknown", "several users have this address")
    # An address that was given to somebody else there has another subject.
    if any(one.issuer == upstream.issuer and one.subject is not None for one in person.identities):
        raise _refused(person.user.user.id, "the user has another login there")
    if person.user.user.role == "administrator":
        raise _refused(person.user.user.id, "an administrator is linked by an administrator alone")
    return Met(person, (IdentityAdded(_identity(person.user.user.id, upstream, told, moment)),))


def _has_address(person: Person, told: Told) -> bool:
    found = person.user.user
    return found.email_verified and is_same_address(found.email, told.email)


def _newcomer(upstream: Upstream, told: Told, facts: Facts, moment: Moment) -> Met:
    made = _named(upstream, told, facts, moment)
    made = replace(made, email=_address(told), email_verified=told.is_vouched_for and _address(told) is not None)
    identity = _identity(made.id, upstream, told, moment)
    belongs = _membership(made.id, upstream, facts, moment)
    events: tuple[Event, ...] = (UserCreated(made), IdentityAdded(identity), *map(MembershipCreated, belongs))
    return Met(Person(UserFacts(made, None, belongs), (identity,)), events)


def _address(told: Told) -> str | None:
    return told.email if told.email is not None and user.EMAIL.fullmatch(told.email) else None


def _named(upstream: Upstream, told: Told, facts: Facts, moment: Moment) -> User:
    """A name that somebody has is not given twice: whoever comes by it would pass for him."""
    shown_name = None if told.name is None else told.name.strip()[:100].strip() or None
    for name in (*names(upstream, told), f"{upstream.name}-{moment.base62(10).lower()}"):
        try:
            made = user.new(name, shown_name, moment, role="member")
        except Unprocessable:
            continue
        if made.canonical not in facts.taken:
            return made
    raise _refused("unknown", "no name is left for a newcomer")


def _membership(user_id: str, upstream: Upstream, facts: Facts, moment: Moment) -> tuple[Membership, ...]:
    if upstream.account_id is None:
        return ()
    if facts.account is None or facts.account.state != "active":
        raise _refused("unknown", "the account of newcomers is not there, or suspended")
    made = Membership(moment.id("membership"), user_id, upstream.account_id, upstream.account_role, moment.now)
    return (made,)


def _identity(user_id: str, upstream: Upstream, told: Told, moment: Moment) -> Identity:
    return Identity(moment.id("identity"), user_id, upstream.issuer, told.subject, _address(told), moment.now)


def _refused(user_id: str, detail: str) -> UpstreamFailed:
    """One answer: it is for administrators to know why."""
    record = CredentialRefused("upstream", user_id, "upstream_no_user")
    return UpstreamFailed("this login is nobody's here", reason="upstream_no_user", events=(record,), detail=detail)


RULES: Mapping[str, tuple[Step, ...]] = {
    "existing": (),
    "invited": (_as_invited,),
    "verified_email": (_as_invited, _by_address),
    "anyone": (_as_invited, _by_address, _newcomer),
}
