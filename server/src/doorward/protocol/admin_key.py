"""An admin key: the credential for /v1. It has scopes, an owner and an end (decision 17a)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from doorward.protocol import network
from doorward.protocol import secret as secrets
from doorward.protocol.admin import SCOPES, Asked, Caller, Nothing, Strict, current, invalid, named
from doorward.protocol.decision import Decision
from doorward.protocol.entities import AdminKey
from doorward.protocol.events import AdminKeyCreated, AdminKeyRevoked, CredentialRefused
from doorward.protocol.moment import FOREVER, Moment
from doorward.protocol.network import Network
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.refusal import InsufficientScope, InvalidToken
from doorward.protocol.replay import HELD
from doorward.protocol.secret import Secret
from doorward_verify import networks
from doorward_verify import scope as scopes
from doorward_verify.scope import MalformedScope, Scope

LIFETIME_LIMIT = 365 * DAY


@dataclass(frozen=True, slots=True)
class CreateAdminKey(Strict):
    name: str
    scope: str = "admin"
    expires_in: int | None = None
    networks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AdminKeyObject:
    id: str
    prefix: str
    name: str
    scope: str
    owner: str
    networks: list[str]
    state: str
    expires_at: int | None
    created_at: int
    revoked_at: int | None
    version: int


@dataclass(frozen=True, slots=True)
class NewAdminKeyObject(AdminKeyObject):
    """The only answer that carries the key."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AdminKeyFacts:
    admin_key: AdminKey
    secret: Secret

    @property
    def refs(self) -> tuple[str, ...]:
        return (f"admin_key/{self.admin_key.id}",)


@dataclass(frozen=True, slots=True)
class CreateFacts:
    pass


@dataclass(frozen=True, slots=True)
class Facts:
    admin_key: AdminKeyFacts | None


def create(
    asked: Asked[CreateAdminKey], facts: CreateFacts, policy: Policy, moment: Moment
) -> Decision[NewAdminKeyObject]:
    scope = _scope(asked.body.scope, asked.caller)
    lifetime = policy.admin_key_lifetime if asked.body.expires_in is None else asked.body.expires_in
    if not 60 <= lifetime <= LIFETIME_LIMIT:
        raise invalid("expires_in", f"must be 60 to {LIFETIME_LIMIT} seconds")
    networks = _networks(asked.body.networks, asked.caller)
    return new(asked.body.name, scope, asked.caller.actor, lifetime, policy, moment, networks)


def new(
    name: str,
    scope: Scope,
    owner: str,
    lifetime: int,
    policy: Policy,
    moment: Moment,
    networks: tuple[str, ...] = (),
) -> Decision[NewAdminKeyObject]:
    key = AdminKey(moment.id("admin"), named(name), scope, owner, networks, "active", moment.now + lifetime, moment.now)
    text, secret = secrets.mint("a", "live", key.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    shown = NewAdminKeyObject(**_fields(AdminKeyFacts(key, secret), policy), key=text)
    return Decision(shown, (AdminKeyCreated(key, secret),))


def _scope(text: str, caller: Caller) -> Scope:
    """Scopes that exist, and none that the caller does not hold himself."""
    try:
        scope = scopes.parse(text)
    except MalformedScope:
        raise invalid("scope", "must be scope names separated by single spaces") from None
    if not scope <= SCOPES:
        raise invalid("scope", "must name admin scopes such as admin, keys:write or audit:read")
    if not all(caller.may(name) for name in scope):
        raise InsufficientScope("an admin key cannot give a scope that it does not hold")
    return scope


def _networks(given: list[str], caller: Caller) -> tuple[str, ...]:
    """A key that is bound to networks makes keys for these alone, and for all of them when none are named (T166)."""
    wanted, own = network.parse(given or caller.networks), network.parse(caller.networks)
    if own and not all(any(_is_part(one, whole) for whole in own) for one in wanted):
        raise InsufficientScope("an admin key cannot give networks that it is not bound to")
    return tuple(map(str, wanted))


def _is_part(one: Network, whole: Network) -> bool:
    return one.version == whole.version and one.subnet_of(whole)  # type: ignore[arg-type]


def revoke(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[AdminKeyObject]:
    key = current(facts.admin_key.admin_key if facts.admin_key else None, asked, "admin key")
    assert facts.admin_key is not None
    if key.state == "revoked":
        return Decision(show(facts.admin_key, policy))
    revoked = replace(key, state="revoked", revoked_at=moment.now, version=key.version + 1)
    return Decision(show(replace(facts.admin_key, admin_key=revoked), policy), (AdminKeyRevoked(revoked),))


def authenticate(digest: bytes, address: str, facts: AdminKeyFacts | None, policy: Policy, moment: Moment) -> Caller:
    """The caller whose key this is; every cause of failure gets one answer (T045)."""
    matches = policy.pepper.matches(digest, facts.secret if facts else None)
    if facts is None or not matches:
        raise InvalidToken("the admin key is unknown or ended", reason="credential_unknown")
    ended = _ended(facts, address, moment.now)
    if ended is not None:
        record = CredentialRefused("admin_key", facts.admin_key.id, ended)
        raise InvalidToken("the admin key is unknown or ended", reason=ended, events=(record,))
    return Caller(facts.admin_key.id, facts.admin_key.scope, facts.admin_key.networks)


def _ended(facts: AdminKeyFacts, address: str, now: int) -> str | None:
    key = facts.admin_key
    if key.state != "active":
        return "credential_held" if key.state == HELD else "credential_revoked"
    if not facts.secret.is_live(now) or (key.expires_at is not None and now >= key.expires_at):
        return "credential_expired"
    if key.networks and not networks.contain(key.networks, address):
        return "network_not_allowed"
    return None


def ends_at(facts: AdminKeyFacts) -> int:
    """The second at which it ends by itself."""
    ends = (facts.admin_key.expires_at, facts.secret.expires_at)
    return min((at for at in ends if at is not None), default=FOREVER)


def show(facts: AdminKeyFacts, policy: Policy) -> AdminKeyObject:
    return AdminKeyObject(**_fields(facts, policy))


def _fields(facts: AdminKeyFacts, policy: Policy) -> dict[str, Any]:
    key = facts.admin_key
    return {
        "id": key.id,
        "prefix": secrets.prefix(facts.secret, policy.brand),
        "name": key.name,
        "scope": scopes.text(key.scope),
        "owner": key.owner,
        "networks": list(key.networks),
        "state": key.state,
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "version": key.version,
    }
