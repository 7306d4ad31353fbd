"""Identities as administrators and users handle them: a login elsewhere is linked to a user, or taken from him.

POST /v1/identities   {"user": "ada", "upstream": "acme", "subject": "00u1a2b3"}           linked at once
                      {"user": "ada", "upstream": "acme", "email": "ada@acme.example"}     an invitation
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from doorward.protocol.admin import Asked, Nothing, Strict, found, invalid
from doorward.protocol.decision import Decision
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Conflict, NotFound
from doorward.protocol.upstream import SUBJECT_LIMIT, Identity, Upstream, is_same_address, vouches
from doorward.protocol.upstream_events import IdentityAdded, IdentityRemoved
from doorward.protocol.user import EMAIL, UserFacts


@dataclass(frozen=True, slots=True)
class CreateIdentity(Strict):
    """`user` is an id or a user name; of `subject` and `email` exactly one is given."""

    user: str
    upstream: str
    subject: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityObject:
    """`state` is `linked`, or `invited` until the subject is known. `upstream` is null once no setting names it."""

    id: str
    user: str
    upstream: str | None
    issuer: str
    subject: str | None
    email: str | None
    state: str
    created_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class CreateFacts:
    """`same` has the same issuer and subject; `invited` are invitations by the same address."""

    user: UserFacts | None = None
    same: Identity | None = None
    invited: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Unlink:
    """By the user himself, on his page."""

    user_id: str
    identity_id: str


@dataclass(frozen=True, slots=True)
class UnlinkFacts:
    user: UserFacts | None = None
    identities: tuple[Identity, ...] = ()


def create(
    asked: Asked[CreateIdentity], facts: CreateFacts, policy: Policy, moment: Moment
) -> Decision[IdentityObject]:
    body = asked.body
    if facts.user is None:
        raise invalid("user", "must be the id or name of a user")
    upstream = policy.upstreams.get(body.upstream)
    if upstream is None:
        raise invalid("upstream", "must be the name of an upstream in the settings")
    if (body.subject is None) == (body.email is None):
        raise invalid("subject", "must be given, or email instead of it")
    expires_at = None if body.email is None else moment.now + policy.invitation_lifetime
    made = Identity(
        moment.id("identity"), facts.user.user.id, upstream.issuer, _subject(body.subject), body.email, moment.now,
        expires_at,
    )  # fmt: skip
    if body.email is not None:
        _invitable(body.email, upstream, facts.invited, moment)
    if facts.same is not None:
        raise Conflict("this login is somebody's already")
    return Decision(show(made, policy), (IdentityAdded(made),))


def _subject(text: str | None) -> str | None:
    if text is not None and (not 0 < len(text) <= SUBJECT_LIMIT or not text.isprintable()):
        raise invalid("subject", f"must be 1 to {SUBJECT_LIMIT} printable characters")
    return text


def _invitable(email: str, upstream: Upstream, invited: Iterable[Identity], moment: Moment) -> None:
    if upstream.first_sign_in == "existing":
        raise invalid("email", "is nothing that this upstream goes by: its first_sign_in is existing")
    if not EMAIL.fullmatch(email) or not vouches(upstream, email):
        raise invalid("email", "must be an address that this upstream may vouch for")
    if any(is_same_address(one.email, email) and not _is_over(one, moment) for one in invited):
        raise Conflict("this address is invited already")


def _is_over(identity: Identity, moment: Moment) -> bool:
    return identity.expires_at is not None and moment.now >= identity.expires_at


def delete(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    """It opens nothing any more; the user's sessions go on until he is disabled, or somebody ends them."""
    return Decision(None, (IdentityRemoved(found(facts.identity, "identity")),))


def unlink(request: Unlink, facts: UnlinkFacts, policy: Policy, moment: Moment) -> Decision[None]:
    """To nobody else is there such a login; and nobody locks himself out."""
    linked = [one for one in facts.identities if one.subject is not None]
    meant = next((one for one in linked if one.id == request.identity_id), None)
    if facts.user is None or meant is None:
        raise NotFound("there is no such login")
    ways_in = [one for one in linked if named(one, policy) is not None]
    if facts.user.password is None and ways_in == [meant]:
        raise Conflict("it is the only way in that the user has", reason="identity_last")
    return Decision(None, (IdentityRemoved(meant),))


def show(identity: Identity, policy: Policy) -> IdentityObject:
    upstream = named(identity, policy)
    return IdentityObject(
        identity.id, identity.user_id, None if upstream is None else upstream.name, identity.issuer, identity.subject,
        identity.email, "invited" if identity.subject is None else "linked", identity.created_at, identity.expires_at,
    )  # fmt: skip


def title(identity: Identity, policy: Policy) -> str:
    """For people: what the button says, or at least whose it was."""
    upstream = named(identity, policy)
    return identity.issuer if upstream is None else upstream.title


def named(identity: Identity, policy: Policy) -> Upstream | None:
    """The upstream that the identity is of, if the settings still name it."""
    return next((one for one in policy.upstreams.values() if one.issuer == identity.issuer), None)
