"""Passwords: which may be chosen, how one is changed, and the one-time link that resets it (decision 17; T056).

Only argon2id's PHC string of one is kept; comparing is slow work outside, and arrives here as a fact (decision 28).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from doorward.protocol import session
from doorward.protocol.authorization_events import GrantTokensRevoked
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Grant
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.moment import Moment
from doorward.protocol.people import Password, ResetLink, Session, User
from doorward.protocol.people_events import PasswordChanged, ResetLinkCreated
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Refusal, Unprocessable

# Without composition rules, as NIST SP 800-63B-4 §3.1.1.2 has it: length is what counts.
SHORTEST, LONGEST = 12, 256


class LinkOver(Refusal):
    """The link was used, replaced, is too old or never was, or the user is disabled: one answer."""

    status = 410
    error = "reset_over"
    default_reason = "reset_over"


class WrongPassword(Refusal):
    """Who changes his password shows the present one."""

    status = 403
    error = "access_denied"
    default_reason = "password_wrong"


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of comparing a password with what was kept then."""

    phc: str | None = field(repr=False)
    matches: bool

    def holds(self, password: Password | None) -> bool:
        """Whether it matched what is kept still."""
        return self.matches and password is not None and self.phc == password.phc


@dataclass(frozen=True, slots=True)
class Reset:
    """`phc` is of the new password; it is made once the link was found good, and is None before."""

    token: str = field(repr=False)
    phc: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ResetFacts:
    link: ResetLink | None = None
    user: User | None = None
    sessions: tuple[Session, ...] = ()
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """By the user himself in a session, which stays; the others end."""

    user_id: str
    session_id: str
    checked: Checked
    phc: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChangeFacts:
    user: User | None
    password: Password | None
    sessions: tuple[Session, ...]
    grants: tuple[Grant, ...]


def normal(text: str) -> str:
    """One password, however a keyboard composes its letters (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFKC", text)


def acceptable(text: str, names: Iterable[str], leaked: frozenset[str] = frozenset()) -> None:
    """Raises Unprocessable for what is guessed first; `names` are those of the user, `leaked` what others know."""
    plain = normal(text)
    if not SHORTEST <= len(plain) <= LONGEST:
        raise Unprocessable(f"a password has {SHORTEST} to {LONGEST} characters", reason="password_unfit")
    folded = plain.casefold()
    if len(set(folded)) < 5 or folded in leaked or any(len(name) > 3 and name.casefold() in folded for name in names):
        raise Unprocessable("the password is too easy to guess", reason="password_unfit")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def address(token: str, policy: Policy) -> str:
    """The token stands in the fragment, which no server ever sees."""
    return f"{policy.issuer}/reset#token={token}"


def offer(user_id: str, policy: Policy, moment: Moment) -> Decision[str]:
    """A fresh link's token; earlier links of the user are void."""
    token = moment.base62(43)
    link = ResetLink(digest(token), user_id, moment.now + policy.reset_link_lifetime, moment.now)
    return Decision(token, (ResetLinkCreated(link),))


def reset(request: Reset, facts: ResetFacts, policy: Policy, moment: Moment) -> Decision[User]:
    """Without `phc`: whether the link is good. With it: the new password, and the end of every session."""
    link, user = facts.link, facts.user
    if link is None or link.used_at is not None or moment.now >= link.expires_at:
        raise LinkOver("the link is not valid any more")
    if user is None or user.state != "active":
        raise LinkOver("the link is not valid any more")
    if request.phc is None:
        return Decision(user)
    return Decision(user, _changed(user, request.phc, facts.sessions, facts.grants, policy, moment))


def change(request: Change, facts: ChangeFacts, policy: Policy, moment: Moment) -> Decision[None]:
    user = facts.user
    if user is None or user.state != "active" or not request.checked.holds(facts.password):
        refused = CredentialRefused("password", request.user_id, "password_wrong")
        raise WrongPassword("the present password is another one", events=(refused,))
    sessions = tuple(one for one in facts.sessions if one.id != request.session_id)
    grants = tuple(one for one in facts.grants if one.session_id != request.session_id)
    return Decision(None, _changed(user, request.phc, sessions, grants, policy, moment))


def _changed(
    user: User, phc: str, sessions: tuple[Session, ...], grants: tuple[Grant, ...], policy: Policy, moment: Moment
) -> tuple[Event, ...]:
    """T056: whoever knew the old password may sit in a session, or hold a token that began there."""
    changed = PasswordChanged(Password(user.id, phc, moment.now))
    if not policy.password_change_ends_sessions:
        return (changed,)
    live = (one for one in grants if not one.has_ended)
    ended = (replace(one, tokens_revoked_at=moment.now, version=one.version + 1) for one in live)
    return (changed, *session.end(sessions, moment), *(GrantTokensRevoked(one) for one in ended))


@dataclass(frozen=True, slots=True)
class Ask:
    """For a letter with a link."""

    username: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What goes into the letter, and to whom."""

    email: str
    name: str
    link: str = field(repr=False)


def ask(request: Ask, facts: User | None, policy: Policy, moment: Moment) -> Decision[Offered | None]:
    """Nothing for who is unknown, disabled or without an address that is known to be his."""
    if facts is None or facts.state != "active" or facts.email is None or not facts.email_verified:
        return Decision(None)
    made = offer(facts.id, policy, moment)
    return Decision(Offered(facts.email, facts.username, address(made.reply, policy)), made.events)
