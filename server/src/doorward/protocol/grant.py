"""What users allowed clients, as administrators see and end it; and whether it still holds (T034, T056)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorward.protocol.admin import Asked, Nothing, found
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, Api, Grant, Usage
from doorward.protocol.events import GrantRevoked
from doorward.protocol.moment import Moment
from doorward.protocol.people import Session, User
from doorward.protocol.policy import Policy
from doorward_verify import scope as scopes


@dataclass(frozen=True, slots=True)
class GrantObject:
    """`user` is null for an administrator's grant, `api` for one that opens /oauth/userinfo alone."""

    id: str
    client: str
    user: str | None
    account: str | None
    api: str | None
    scope: str
    uses: int
    last_used_at: int | None
    created_at: int
    revoked_at: int | None
    version: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A grant with what it is shown by."""

    grant: Grant
    api: Api | None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Owner:
    """A user, and the accounts that he belongs to, active or not."""

    user: User
    accounts: tuple[Account, ...]

    @property
    def active(self) -> tuple[Account, ...]:
        """Those that his clients may act for."""
        return tuple(one for one in self.accounts if one.state == "active")

    @property
    def refs(self) -> tuple[str, ...]:
        return f"user/{self.user.id}", *(f"account/{one.id}" for one in self.accounts)


@dataclass(frozen=True, slots=True)
class UserGrantFacts:
    """A user's grant with all that it hangs on; `api` is None where it is for the issuer itself.

    `acts_for_account` says that the account it names, if any, is active and still one of the user's; `amr` is how he
    signed in, for as long as his session is known.
    """

    grant: Grant
    user: User
    api: Api | None = None
    acts_for_account: bool = True
    session_has_ended: bool = False
    amr: tuple[str, ...] = ()

    @classmethod
    def of(cls, grant: Grant, owner: Owner, api: Api | None, session: Session | None) -> UserGrantFacts:
        acts = grant.account_id is None or any(one.id == grant.account_id for one in owner.active)
        has_ended, amr = (session.ended_at is not None, session.amr) if session else (False, ())
        return cls(grant, owner.user, api, acts, has_ended, amr)

    @property
    def refs(self) -> tuple[str, ...]:
        grant = self.grant
        also = (("api", self.api and self.api.id), ("account", grant.account_id))
        named = (f"{noun}/{id_}" for noun, id_ in also if id_)
        return f"grant/{grant.id}", f"user/{self.user.id}", f"session/{grant.session_id}", *named


def why_ended(facts: UserGrantFacts, client: ClientFacts) -> str | None:
    """The reason why nothing can be had of it any more. Who may act while the user is away outlives his session."""
    if facts.grant.has_ended:
        return "grant_ended"
    if facts.user.state != "active" or client.client.state != "active":
        return "grant_ended"
    if not facts.acts_for_account:
        return "grant_ended"
    if facts.session_has_ended and "offline_access" not in facts.grant.scope:
        return "grant_ended"
    return None


def is_for(facts: UserGrantFacts, resources: tuple[str, ...]) -> bool:
    """RFC 8707 §2.2: a token request may name the resource of its grant once more, and no other."""
    return not resources or (facts.api is not None and resources == (facts.api.identifier,))


def revoke(asked: Asked[Nothing], facts: Shown | None, policy: Policy, moment: Moment) -> Decision[GrantObject]:
    """`POST /v1/grants/{id}/revoke`; a second time is no error."""
    known = found(facts, "grant")
    ended = end(known.grant, moment)
    shown = replace(known, grant=ended[0].grant) if ended else known
    return Decision(show(shown), ended)


def end(grant: Grant, moment: Moment) -> tuple[GrantRevoked, ...]:
    """The event that ends it, if it has not ended yet."""
    if grant.revoked_at is not None:
        return ()
    return (GrantRevoked(replace(grant, revoked_at=moment.now, version=grant.version + 1)),)


def show(known: Shown) -> GrantObject:
    grant, usage = known.grant, known.usage
    return GrantObject(
        grant.id, grant.client_id, grant.user_id, grant.account_id, known.api.identifier if known.api else None,
        scopes.text(grant.scope), usage.uses, usage.last_used_at, grant.created_at, grant.revoked_at, grant.version,
    )  # fmt: skip
