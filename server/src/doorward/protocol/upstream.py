"""Upstreams: where people have logins already, at an OpenID provider or on the company's own sign-in page.

An identity is such a login that is a user's here, by its issuer and subject: addresses and names change hands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from doorward_verify import jwt

# Who may come that was never here before; each rule lets in whom the one before it lets in.
FirstSignIn = Literal["existing", "invited", "verified_email", "anyone"]
BY_EMAIL: frozenset[str] = frozenset({"invited", "verified_email"})
EVERY_DOMAIN = "*"
# OpenID Connect Core §2: a subject has at most 255 characters.
SUBJECT_LIMIT = 255
TEXT_LIMIT = 254


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Under which name an upstream tells what; OpenID Connect Core §5.1 has the usual ones."""

    sub: str = "sub"
    email: str = "email"
    email_verified: str = "email_verified"
    name: str = "name"
    username: str = "preferred_username"


@dataclass(frozen=True, slots=True)
class Upstream:
    """As the settings name it. `page` and `keys` are of a sign-in page of one's own, which has no `client_id`.

    `email_domains` are those whose addresses it may vouch for: nobody is known by any other address.
    """

    name: str
    title: str
    issuer: str
    first_sign_in: FirstSignIn = "existing"
    client_id: str = ""
    page: str | None = None
    keys: jwt.Keys = field(default_factory=dict)
    email_domains: tuple[str, ...] = ()
    claims: ClaimNames = ClaimNames()
    account_id: str | None = None
    account_role: str = "developer"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user's login elsewhere. Without a subject it is an invitation: for who shows this address there first."""

    id: str
    user_id: str
    issuer: str
    subject: str | None
    email: str | None
    created_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class UpstreamSignIn:
    """A browser that is signing in elsewhere; `id` is the state, `digest` of the cookie that it must show again.

    `request_id` is the authorization that waits for it, `max_age` how long ago he may have signed in there, and
    `proof` the digest of what can be shown once, when it was.
    """

    id: str
    upstream: str
    digest: str = field(repr=False)
    request_id: str
    address: str
    max_age: int | None
    created_at: int
    expires_at: int
    ended_at: int | None = None
    proof: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an upstream says of who signed in there. `is_vouched_for`: the address is his, for all we can know."""

    subject: str
    email: str | None = None
    is_vouched_for: bool = False
    name: str | None = None
    username: str | None = None
    amr: tuple[str, ...] = ()
    auth_time: int | None = None


def told(upstream: Upstream, subject: str, claims: Mapping[str, Any]) -> Told:
    """By the names that the upstream has for them; what is of the wrong kind was not told."""
    names = upstream.claims
    email = _text(claims, names.email)
    # Strictly: what is not `true` was not said to be verified.
    is_vouched_for = email is not None and claims.get(names.email_verified) is True and vouches(upstream, email)
    amr, auth_time = claims.get("amr"), claims.get("auth_time")
    return Told(
        subject, email, is_vouched_for, _text(claims, names.name), _text(claims, names.username),
        tuple(one for one in amr if isinstance(one, str)) if isinstance(amr, list) else (),
        int(auth_time) if isinstance(auth_time, int | float) and not isinstance(auth_time, bool) else None,
    )  # fmt: skip


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    text = claims.get(name)
    return text if isinstance(text, str) and 0 < len(text) <= TEXT_LIMIT and text.isprintable() else None


def vouches(upstream: Upstream, email: str) -> bool:
    """Whether the upstream may say whose address it is: by the whole domain, of one that can have only one."""
    local, at, domain = email.partition("@")
    if not local or not at or "@" in domain or not email.isascii():
        return False
    return EVERY_DOMAIN in upstream.email_domains or domain.lower() in upstream.email_domains


def is_same_address(one: str | None, other: str | None) -> bool:
    """Whatever the case, of ASCII alone: other letters fold into it, and would open what is somebody else's."""
    if one is None or other is None or not one.isascii() or not other.isascii():
        return False
    return one.lower() == other.lower()
