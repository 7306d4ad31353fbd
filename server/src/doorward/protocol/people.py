"""The people among what everything speaks of: user, password, membership, session; fields as in `protocol.entities`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from doorward.protocol.entities import JSON


@dataclass(frozen=True, slots=True)
class User:
    """A person who signs in; `canonical` is the user name as it is compared, `profile` holds OIDC's other claims."""

    id: str
    username: str
    canonical: str
    email: str | None
    email_verified: bool
    name: str
    state: str
    role: str
    profile: Mapping[str, JSON]
    created_at: int
    updated_at: int
    version: int = 1


@dataclass(frozen=True, slots=True)
class Password:
    """What is kept of a user's password: argon2id in its PHC string."""

    user_id: str
    phc: str = field(repr=False)
    changed_at: int


@dataclass(frozen=True, slots=True)
class Membership:
    """Which account a user belongs to, and what he may do there."""

    id: str
    user_id: str
    account_id: str
    role: str
    created_at: int
    version: int = 1


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which a user signed in; `id` is the `sid`, `digest` is SHA-256 of what its cookie carries.

    `auth_time` is 0 where a login elsewhere did not say when.
    """

    id: str
    digest: str = field(repr=False)
    user_id: str
    auth_time: int
    amr: tuple[str, ...]
    acr: str
    created_at: int
    expires_at: int
    user_agent: str
    address: str
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class LogoutDelivery:
    """A client that has yet to hear that a session ended; `next_at` is when it is tried again, if this try fails."""

    session_id: str
    client_id: str
    user_id: str
    created_at: int
    next_at: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class ResetLink:
    """A one-time permission to choose a new password; `digest` is SHA-256 of what the link carries."""

    digest: str = field(repr=False)
    user_id: str
    expires_at: int
    created_at: int
    used_at: int | None = None
