"""Everything that can happen. One event is one journal row; changes make older facts stale, records do not.

`entity` and `entity_id` name what the event touches: whoever relied on it must read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from doorward.protocol import authorization_events as authorization
from doorward.protocol import exposure_events as exposures
from doorward.protocol import gateway_events as gateways
from doorward.protocol import key_events as keys
from doorward.protocol import leak_events as leaks
from doorward.protocol import people_events as people
from doorward.protocol import restore_events as restores
from doorward.protocol import rotation_events as rotation
from doorward.protocol import signing_key_events as signing_keys
from doorward.protocol import upstream_events as upstreams
from doorward.protocol.entities import (
    JSON,
    Account,
    AdminKey,
    Api,
    ApiKey,
    Client,
    Grant,
    ListedToken,
    OpaqueToken,
    SetupLink,
    Verifier,
)
from doorward.protocol.secret import Secret


@dataclass(frozen=True, slots=True)
class ApiCreated:
    entity: ClassVar[str] = "api"
    api: Api


@dataclass(frozen=True, slots=True)
class ApiUpdated:
    entity: ClassVar[str] = "api"
    api: Api


@dataclass(frozen=True, slots=True)
class ApiDeleted:
    entity: ClassVar[str] = "api"
    api: Api


@dataclass(frozen=True, slots=True)
class AccountCreated:
    entity: ClassVar[str] = "account"
    account: Account


@dataclass(frozen=True, slots=True)
class AccountUpdated:
    """Also suspension and resumption: the state is part of the account."""

    entity: ClassVar[str] = "account"
    account: Account


@dataclass(frozen=True, slots=True)
class ApiKeyCreated:
    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    secret: Secret


@dataclass(frozen=True, slots=True)
class ApiKeyUpdated:
    entity: ClassVar[str] = "api_key"
    api_key: ApiKey


@dataclass(frozen=True, slots=True)
class ApiKeyRevoked:
    entity: ClassVar[str] = "api_key"
    api_key: ApiKey


@dataclass(frozen=True, slots=True)
class ApiKeyExpired:
    """It ended by the policy of its api: `reason` is "unused" or "too_old"."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    reason: str


@dataclass(frozen=True, slots=True)
class ClientCreated:
    """A public client has no secret."""

    entity: ClassVar[str] = "client"
    client: Client
    secret: Secret | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class ClientUpdated:
    entity: ClassVar[str] = "client"
    client: Client


@dataclass(frozen=True, slots=True)
class ClientDeleted:
    entity: ClassVar[str] = "client"
    client: Client


@dataclass(frozen=True, slots=True)
class GrantCreated:
    """A grant for an existing client. It touches the client, whose facts list its grants."""

    entity: ClassVar[str] = "client"
    grant: Grant


@dataclass(frozen=True, slots=True)
class GrantChanged:
    entity: ClassVar[str] = "grant"
    grant: Grant


@dataclass(frozen=True, slots=True)
class GrantRevoked:
    entity: ClassVar[str] = "grant"
    grant: Grant


@dataclass(frozen=True, slots=True)
class VerifierCreated:
    entity: ClassVar[str] = "verifier"
    verifier: Verifier
    secret: Secret


@dataclass(frozen=True, slots=True)
class VerifierRevoked:
    entity: ClassVar[str] = "verifier"
    verifier: Verifier


@dataclass(frozen=True, slots=True)
class AdminKeyCreated:
    entity: ClassVar[str] = "admin_key"
    admin_key: AdminKey
    secret: Secret


@dataclass(frozen=True, slots=True)
class AdminKeyRevoked:
    entity: ClassVar[str] = "admin_key"
    admin_key: AdminKey


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """One access token, by its `jti` (a JWT's, or the id of an opaque token); never by its text (T082)."""

    entity: ClassVar[str] = "token"
    jti: str
    expires_at: int
    opaque: bool
    api_id: str


@dataclass(frozen=True, slots=True)
class EverythingRevoked:
    """Every access token that was issued before it; what may ask for new ones stays (T103)."""

    entity: ClassVar[str] = "deployment"


@dataclass(frozen=True, slots=True)
class SetupLinkCreated:
    entity: ClassVar[str] = "setup"
    link: SetupLink


@dataclass(frozen=True, slots=True)
class SetupLinkUsed:
    entity: ClassVar[str] = "setup"
    link: SetupLink


@dataclass(frozen=True, slots=True)
class AccessTokenIssued:
    """A record. `opaque_token` is the row of an opaque token; a JWT leaves one where it has a bit in a status list."""

    entity: ClassVar[str] = "token"
    jti: str
    client_id: str
    grant_id: str
    expires_at: int
    opaque_token: OpaqueToken | None = None
    listed: ListedToken | None = None


@dataclass(frozen=True, slots=True)
class CredentialRefused:
    """A record: a credential that exists was refused, and why."""

    entity: ClassVar[str] = "credential"
    credential: str
    credential_id: str
    reason: str


ApiEvent = ApiCreated | ApiUpdated | ApiDeleted
AccountEvent = AccountCreated | AccountUpdated
ApiKeyEvent = ApiKeyCreated | ApiKeyUpdated | ApiKeyRevoked | ApiKeyExpired
ClientEvent = ClientCreated | ClientUpdated | ClientDeleted
GrantEvent = GrantCreated | GrantChanged | GrantRevoked | authorization.GrantTokensRevoked
VerifierEvent = VerifierCreated | VerifierRevoked
AdminKeyEvent = AdminKeyCreated | AdminKeyRevoked
TokenEvent = TokenRevoked | AccessTokenIssued
SetupEvent = SetupLinkCreated | SetupLinkUsed
Event = (
    ApiEvent
    | AccountEvent
    | ApiKeyEvent
    | ClientEvent
    | GrantEvent
    | authorization.AuthorizationEvent
    | authorization.CodeEvent
    | authorization.RefreshTokenEvent
    | VerifierEvent
    | AdminKeyEvent
    | signing_keys.OfSigningKeys
    | TokenEvent
    | SetupEvent
    | people.UserEvent
    | people.MembershipEvent
    | people.SessionEvent
    | people.LogoutEvent
    | upstreams.UpstreamSignInEvent
    | upstreams.IdentityEvent
    | leaks.OfLeaks
    | rotation.OfSecrets
    | gateways.OfGateways
    | keys.OfKeys
    | exposures.OfExposures
    | restores.OfRestores
    | EverythingRevoked
    | CredentialRefused
)

RECORDS = (
    AccessTokenIssued, CredentialRefused, authorization.AuthorizationRequested, authorization.RefreshTokenIssued,
    upstreams.UpstreamSignInBegun, people.LogoutTokenDelivered, people.LogoutTokenUndelivered,
    leaks.DecoyTried,
)  # fmt: skip


# Of these, what comes with every token that is asked for: kept for a short time, apart from the rest.
TOKEN_RECORDS = (
    AccessTokenIssued, authorization.AuthorizationRequested, authorization.RefreshTokenIssued,
    upstreams.UpstreamSignInBegun,
)  # fmt: skip


def is_change(event: Event) -> bool:
    """Whether facts read before this event may be stale after it."""
    return not isinstance(event, RECORDS)


def is_token_record(event: Event) -> bool:
    return isinstance(event, TOKEN_RECORDS)


def entity_id(event: Event) -> str:
    """The id of what the event touches."""
    match event:
        case AccessTokenIssued() | TokenRevoked():
            return event.jti
        case ApiCreated() | ApiUpdated() | ApiDeleted():
            return event.api.id
        case AccountCreated() | AccountUpdated():
            return event.account.id
        case ApiKeyCreated() | ApiKeyUpdated() | ApiKeyRevoked() | ApiKeyExpired():
            return event.api_key.id
        case ClientCreated() | ClientUpdated() | ClientDeleted():
            return event.client.id
        case GrantCreated():
            return event.grant.client_id
        case GrantChanged() | GrantRevoked():
            return event.grant.id
        case VerifierCreated() | VerifierRevoked():
            return event.verifier.id
        case AdminKeyCreated() | AdminKeyRevoked():
            return event.admin_key.id
        case EverythingRevoked():
            return "all"
        case SetupLinkCreated() | SetupLinkUsed():
            return "first"
        case CredentialRefused():
            return event.credential_id
        case _:
            touched: str = _family(event).touched(event)
            return touched


def particulars(event: Event) -> Mapping[str, JSON]:
    """What the audit log keeps beside the type and the id; never a secret, nor anything made from one."""
    match event:
        case AccessTokenIssued():
            return {"client_id": event.client_id, "grant_id": event.grant_id, "exp": event.expires_at}
        case CredentialRefused():
            return {"credential": event.credential, "reason": event.reason}
        case ApiCreated() | ApiUpdated() | ApiDeleted():
            return {"identifier": event.api.identifier, "name": event.api.name}
        case AccountCreated() | AccountUpdated():
            return {"name": event.account.name, "state": event.account.state}
        case ApiKeyCreated() | ApiKeyUpdated() | ApiKeyRevoked():
            key = event.api_key
            return {"account": key.account_id, "api": key.api_id, "state": key.state}
        case ApiKeyExpired():
            return {"account": event.api_key.account_id, "api": event.api_key.api_id, "reason": event.reason}
        case ClientCreated() | ClientUpdated() | ClientDeleted():
            client = event.client
            return {"account": client.account_id, "name": client.name, "state": client.state}
        case GrantCreated() | GrantChanged() | GrantRevoked():
            return authorization.of_grant(event.grant)
        case AdminKeyCreated() | AdminKeyRevoked():
            return {"name": event.admin_key.name}
        case VerifierCreated() | VerifierRevoked():
            return {"api": event.verifier.api_id, "name": event.verifier.name}
        case TokenRevoked():
            return {"api": event.api_id, "exp": event.expires_at, "opaque": event.opaque}
        case SetupLinkCreated() | SetupLinkUsed():
            return {"expires_at": event.link.expires_at}
        case EverythingRevoked():
            return {}
        case _:
            told: Mapping[str, JSON] = _family(event).told(event)
            return told


# Who tells of the events that are kept in rooms of their own.
FAMILIES: tuple[tuple[Any, ModuleType], ...] = (
    (authorization.Authorizing, authorization),
    (people.OfPeople, people),
    (upstreams.OfUpstreams, upstreams),
    (leaks.OfLeaks, leaks),
    (rotation.OfSecrets, rotation),
    (gateways.OfGateways, gateways),
    (keys.OfKeys, keys),
    (exposures.OfExposures, exposures),
    (restores.OfRestores, restores),
    (signing_keys.OfSigningKeys, signing_keys),
)


def _family(event: Event) -> ModuleType:
    return next(module for events, module in FAMILIES if isinstance(event, events))
