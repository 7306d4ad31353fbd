"""What happens to logins elsewhere: sign-ins on their way, and identities: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON
from doorward.protocol.upstream import Identity, UpstreamSignIn


@dataclass(frozen=True, slots=True)
class UpstreamSignInBegun:
    """A record: nobody relied on its absence."""

    entity: ClassVar[str] = "upstream_sign_in"
    sign_in: UpstreamSignIn


@dataclass(frozen=True, slots=True)
class UpstreamSignInEnded:
    """The browser came back: once, whatever it brought."""

    entity: ClassVar[str] = "upstream_sign_in"
    sign_in: UpstreamSignIn


@dataclass(frozen=True, slots=True)
class IdentityAdded:
    """It touches the user, so that whoever counts his logins knows of all; also an invitation."""

    entity: ClassVar[str] = "user"
    identity: Identity


@dataclass(frozen=True, slots=True)
class IdentityClaimed:
    """Who was invited came, so that the subject is known."""

    entity: ClassVar[str] = "user"
    identity: Identity


@dataclass(frozen=True, slots=True)
class IdentityRemoved:
    entity: ClassVar[str] = "user"
    identity: Identity


UpstreamSignInEvent = UpstreamSignInBegun | UpstreamSignInEnded
IdentityEvent = IdentityAdded | IdentityClaimed | IdentityRemoved
OfUpstreams = UpstreamSignInEvent | IdentityEvent


def touched(event: OfUpstreams) -> str:
    """The id of what the event touches."""
    match event:
        case UpstreamSignInBegun() | UpstreamSignInEnded():
            return event.sign_in.id
        case IdentityAdded() | IdentityClaimed() | IdentityRemoved():
            return event.identity.user_id


def told(event: OfUpstreams) -> Mapping[str, JSON]:
    """What the audit log keeps of it."""
    match event:
        case UpstreamSignInBegun() | UpstreamSignInEnded():
            return {"upstream": event.sign_in.upstream, "address": event.sign_in.address}
        case IdentityAdded() | IdentityClaimed() | IdentityRemoved():
            return {"identity": event.identity.id, "issuer": event.identity.issuer, "subject": event.identity.subject}
