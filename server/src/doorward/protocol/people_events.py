"""What happens to people: users, how they sign in, what they belong to: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON
from doorward.protocol.people import LogoutDelivery, Membership, Password, ResetLink, Session, User


@dataclass(frozen=True, slots=True)
class UserCreated:
    entity: ClassVar[str] = "user"
    user: User


@dataclass(frozen=True, slots=True)
class UserUpdated:
    """Also disabling and enabling: the state is part of the user."""

    entity: ClassVar[str] = "user"
    user: User


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """Also the first one. Links that were to reset it are void."""

    entity: ClassVar[str] = "user"
    password: Password


@dataclass(frozen=True, slots=True)
class ResetLinkCreated:
    """Earlier links of the user are void."""

    entity: ClassVar[str] = "user"
    link: ResetLink


@dataclass(frozen=True, slots=True)
class MembershipCreated:
    """It touches the user, whose facts list the memberships."""

    entity: ClassVar[str] = "user"
    membership: Membership


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    entity: ClassVar[str] = "user"
    membership: Membership


@dataclass(frozen=True, slots=True)
class MembershipDeleted:
    entity: ClassVar[str] = "user"
    membership: Membership


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """It touches the user, so that whoever ends all his sessions knows of all."""

    entity: ClassVar[str] = "user"
    session: Session


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`ended_at` of the session says when. Clients that have tokens of it, and want to hear of that, will be told."""

    entity: ClassVar[str] = "session"
    session: Session


@dataclass(frozen=True, slots=True)
class LogoutTokenDelivered:
    """A record: the client knows that the session ended."""

    entity: ClassVar[str] = "session"
    delivery: LogoutDelivery


@dataclass(frozen=True, slots=True)
class LogoutTokenUndelivered:
    """A record: the client was tried for the last time; `reason` is one word."""

    entity: ClassVar[str] = "session"
    delivery: LogoutDelivery
    reason: str


UserEvent = UserCreated | UserUpdated | PasswordChanged | ResetLinkCreated
MembershipEvent = MembershipCreated | MembershipChanged | MembershipDeleted
SessionEvent = SessionStarted | SessionEnded
LogoutEvent = LogoutTokenDelivered | LogoutTokenUndelivered
OfPeople = UserEvent | MembershipEvent | SessionEvent | LogoutEvent


def touched(event: OfPeople) -> str:
    """The id of what the event touches."""
    match event:
        case UserCreated() | UserUpdated():
            return event.user.id
        case PasswordChanged():
            return event.password.user_id
        case ResetLinkCreated():
            return event.link.user_id
        case MembershipCreated() | MembershipChanged() | MembershipDeleted():
            return event.membership.user_id
        case SessionStarted():
            return event.session.user_id
        case SessionEnded():
            return event.session.id
        case LogoutTokenDelivered() | LogoutTokenUndelivered():
            return event.delivery.session_id


def told(event: OfPeople) -> Mapping[str, JSON]:
    """What the audit log keeps of it; nothing that a person signs in with."""
    match event:
        case UserCreated() | UserUpdated():
            return {"username": event.user.username, "state": event.user.state, "role": event.user.role}
        case PasswordChanged():
            return {}
        case ResetLinkCreated():
            return {"expires_at": event.link.expires_at}
        case MembershipCreated() | MembershipChanged() | MembershipDeleted():
            return {"account": event.membership.account_id, "role": event.membership.role}
        case SessionStarted() | SessionEnded():
            return {"session": event.session.id, "user": event.session.user_id, "address": event.session.address}
        case LogoutTokenDelivered():
            return _of_delivery(event.delivery)
        case LogoutTokenUndelivered():
            return {**_of_delivery(event.delivery), "reason": event.reason}


def _of_delivery(delivery: LogoutDelivery) -> Mapping[str, JSON]:
    return {"client_id": delivery.client_id, "user_id": delivery.user_id, "attempts": delivery.attempts}
