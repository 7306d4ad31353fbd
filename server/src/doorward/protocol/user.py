"""A user: a person who signs in, the `sub` of his tokens (OpenID Connect Core §2). Disabling ends all he has here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from doorward.protocol import password, session
from doorward.protocol.admin import Asked, Nothing, Strict, absent, current, found, invalid, named, touched
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON
from doorward.protocol.events import Event
from doorward.protocol.moment import Moment
from doorward.protocol.people import Membership, Password, Session, User
from doorward.protocol.people_events import UserCreated, UserUpdated
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Conflict

Role = Literal["member", "administrator"]
EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
# OpenID Connect Core §5.1, but for what has a field of its own; what each must be.
CLAIMS: Mapping[str, type] = {
    **dict.fromkeys(
        (
            "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender",
            "birthdate", "zoneinfo", "locale", "phone_number",
        ),
        str,
    ),
    "phone_number_verified": bool,
    "address": dict,
}  # fmt: skip
ADDRESS = frozenset({"formatted", "street_address", "locality", "region", "postal_code", "country"})
CLAIM_LIMIT = 500


@dataclass(frozen=True, slots=True)
class CreateUser(Strict):
    username: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    role: Role = "member"
    profile: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpdateUser(Strict):
    username: str | None = None
    email: str | None = None
    email_verified: bool | None = None
    name: str | None = None
    role: Role | None = None
    profile: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MembershipOf:
    account: str
    role: str


@dataclass(frozen=True, slots=True)
class UserObject:
    id: str
    username: str
    email: str | None
    email_verified: bool
    name: str
    state: str
    role: str
    profile: dict[str, Any]
    accounts: list[MembershipOf]
    password_changed_at: int | None
    created_at: int
    updated_at: int
    version: int


@dataclass(frozen=True, slots=True)
class ResetLinkObject:
    """The only answer that carries the link."""

    user: str
    link: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class UserFacts:
    """`password` is None until the first was chosen."""

    user: User
    password: Password | None = None
    memberships: tuple[Membership, ...] = ()

    @property
    def refs(self) -> tuple[str, ...]:
        return (f"user/{self.user.id}",)


@dataclass(frozen=True, slots=True)
class Facts:
    """`namesake` has the user name that is asked for; `sessions` are those that were not ended."""

    known: UserFacts | None = None
    namesake: UserFacts | None = None
    sessions: tuple[Session, ...] = ()


def canonical(username: str) -> str:
    """One spelling for all that a person would call the same name (T146): NFKC, case folded, trimmed."""
    folded = unicodedata.normalize("NFKC", username).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def create(asked: Asked[CreateUser], facts: Facts, policy: Policy, moment: Moment) -> Decision[UserObject]:
    absent(facts.namesake, "user")
    body = asked.body
    user = new(body.username, body.name, moment, role=body.role)
    user = replace(user, email=_email(body.email), email_verified=body.email_verified, profile=_profile(body.profile))
    return Decision(show(UserFacts(user)), (UserCreated(_verifiable(user)),))


def new(username: str, name: str | None, moment: Moment, *, role: str) -> User:
    shown = _username(username)
    shown_name = shown if name is None else named(name)
    return User(
        moment.id("user"), shown, canonical(shown), None, False, shown_name, "active", role, {}, moment.now, moment.now
    )


def update(asked: Asked[UpdateUser], facts: Facts, policy: Policy, moment: Moment) -> Decision[UserObject]:
    user, body = _current(facts, asked), asked.body
    changed = user
    if body.username is not None:
        if facts.namesake is not None and facts.namesake.user.id != user.id:
            raise Conflict("this user exists already")
        shown = _username(body.username)
        changed = replace(changed, username=shown, canonical=canonical(shown))
    if body.email is not None and body.email != user.email:
        changed = replace(changed, email=_email(body.email), email_verified=False)
    if body.email_verified is not None:
        changed = replace(changed, email_verified=body.email_verified)
    if body.name is not None:
        changed = replace(changed, name=named(body.name))
    if body.role is not None:
        changed = replace(changed, role=body.role)
    if body.profile is not None:
        changed = replace(changed, profile=_profile(body.profile))
    return _changed(_verifiable(changed), facts, moment)


def disable(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[UserObject]:
    """His sessions end too, so that enabling him brings none of them back."""
    user = _current(facts, asked)
    if user.state != "active":
        return Decision(show(_known(facts)))
    ended = session.end(facts.sessions, moment)
    return _changed(replace(user, state="disabled"), facts, moment, ended)


def enable(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[UserObject]:
    user = _current(facts, asked)
    if user.state == "active":
        return Decision(show(_known(facts)))
    return _changed(replace(user, state="active"), facts, moment)


def reset_password(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[ResetLinkObject]:
    """A link by which the user chooses a new password himself: nobody else ever knows it."""
    user = _current(facts, asked)
    if user.state != "active":
        raise Conflict("the user is disabled")
    made = password.offer(user.id, policy, moment)
    reply = ResetLinkObject(user.id, password.address(made.reply, policy), moment.now + policy.reset_link_lifetime)
    return Decision(reply, made.events)


def _known(facts: Facts) -> UserFacts:
    assert facts.known is not None, "it is the current one"
    return facts.known


def _current(facts: Facts, asked: Asked[Any]) -> User:
    return current(None if facts.known is None else facts.known.user, asked, "user")


def _changed(user: User, facts: Facts, moment: Moment, more: tuple[Event, ...] = ()) -> Decision[UserObject]:
    before = _known(facts).user
    changed = touched(user, before, moment.now)
    events = () if changed is before else (UserUpdated(changed), *more)
    return Decision(show(replace(_known(facts), user=changed)), events)


def _username(text: str) -> str:
    """What is shown; nothing that could pass for an id or hides something (T143)."""
    name = text.strip()
    plain = canonical(name)
    if not 1 <= len(name) <= 100 or not 1 <= len(plain) <= 100 or not name.isprintable() or plain.startswith("user_"):
        raise invalid("username", "must be 1 to 100 printable characters, and not begin with user_")
    return name


def _email(text: str | None) -> str | None:
    if text is not None and (len(text) > 254 or not EMAIL.fullmatch(text)):
        raise invalid("email", "must be an e-mail address")
    return text


def _verifiable(user: User) -> User:
    if user.email_verified and user.email is None:
        raise invalid("email_verified", "needs an e-mail address")
    return user


def _profile(given: Mapping[str, Any]) -> Mapping[str, JSON]:
    for name, value in given.items():
        if name not in CLAIMS or type(value) is not CLAIMS[name]:
            raise invalid("profile", "must hold standard claims of OpenID Connect, each of its own type")
        texts = value.values() if isinstance(value, dict) else (value,)
        if isinstance(value, dict) and not value.keys() <= ADDRESS:
            raise invalid("profile", "must hold an address of standard members")
        if any(type(text) not in (str, bool) or len(str(text)) > CLAIM_LIMIT or "\x00" in str(text) for text in texts):
            raise invalid("profile", f"must hold texts of at most {CLAIM_LIMIT} characters")
    return dict(given)


def show(facts: UserFacts) -> UserObject:
    user, secret = facts.user, facts.password
    accounts = [MembershipOf(one.account_id, one.role) for one in facts.memberships]
    return UserObject(
        user.id, user.username, user.email, user.email_verified, user.name, user.state, user.role, dict(user.profile),
        accounts, None if secret is None else secret.changed_at, user.created_at, user.updated_at, user.version,
    )  # fmt: skip


def named_user(facts: UserFacts | None) -> User:
    """The user that a body names."""
    return found(None if facts is None else facts.user, "user")
