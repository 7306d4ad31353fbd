"""An api key: a secret of an account for one api. Shown once; kept as a MAC; revoking it is one row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from doorward.protocol import secret as secrets
from doorward.protocol.account import Metadata
from doorward.protocol.admin import Asked, Nothing, Strict, current, found, invalid, metadata, named
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Account, Api, ApiKey, Usage
from doorward.protocol.events import ApiKeyCreated, ApiKeyRevoked, ApiKeyUpdated
from doorward.protocol.moment import Moment
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.scope import within
from doorward.protocol.secret import Secret
from doorward_verify import scope as scopes

LIFETIME_LIMIT = 10 * 365 * DAY


@dataclass(frozen=True, slots=True)
class CreateKey(Strict):
    account: str
    api: str
    scope: str
    name: str | None = None
    environment: Literal["live", "test"] = "live"
    expires_in: int | None = None
    no_expiry: bool = False
    metadata: Metadata = field(default_factory=dict)
    decoy: bool = False


@dataclass(frozen=True, slots=True)
class UpdateKey(Strict):
    name: str | None = None
    scope: str | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class KeyObject:
    id: str
    prefix: str
    account: str
    api: str
    scope: str
    name: str
    environment: str
    state: str
    expires_at: int | None
    metadata: Metadata
    created_at: int
    updated_at: int
    revoked_at: int | None
    uses: int
    last_used_at: int | None
    version: int


@dataclass(frozen=True, slots=True)
class NewKeyObject(KeyObject):
    """The only answer that carries the key."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateFacts:
    account: Account | None
    api: Api | None


@dataclass(frozen=True, slots=True)
class Facts:
    """An api key with its newest secret, its account and api."""

    api_key: ApiKey | None
    secret: Secret | None = None
    account: Account | None = None
    api: Api | None = None
    usage: Usage = UNUSED


def create(asked: Asked[CreateKey], facts: CreateFacts, policy: Policy, moment: Moment) -> Decision[NewKeyObject]:
    body = asked.body
    account = found(facts.account, "account")
    api = found(facts.api, "api")
    key = ApiKey(
        moment.id("key"), account.id, api.id, named(body.name or account.name), body.environment,
        within(body.scope, api), "decoy" if body.decoy else "active", _expiry(body, policy, moment),
        metadata(body.metadata), moment.now, moment.now,
    )  # fmt: skip
    text, secret = secrets.mint("", body.environment, key.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    shown = NewKeyObject(**_fields(key, secret, api, policy, UNUSED), key=text)
    return Decision(shown, (ApiKeyCreated(key, secret),))


def _expiry(body: CreateKey, policy: Policy, moment: Moment) -> int | None:
    """Keys end after 90 days unless their owner says how long, or says out loud that they never do."""
    if body.no_expiry:
        if body.expires_in is not None:
            raise invalid("expires_in", "must be absent when no_expiry is true")
        return None
    lifetime = policy.api_key_lifetime if body.expires_in is None else body.expires_in
    if not 1 <= lifetime <= LIFETIME_LIMIT:
        raise invalid("expires_in", f"must be 1 to {LIFETIME_LIMIT} seconds")
    return moment.now + lifetime


def update(asked: Asked[UpdateKey], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    key, body = current(facts.api_key, asked, "api key"), asked.body
    changed = replace(
        key,
        name=key.name if body.name is None else named(body.name),
        scope=key.scope if body.scope is None else within(body.scope, found(facts.api, "api")),
        metadata=key.metadata if body.metadata is None else metadata(body.metadata),
        updated_at=moment.now,
        version=key.version + 1,
    )
    return Decision(show(replace(facts, api_key=changed), policy), (ApiKeyUpdated(changed),))


def revoke(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    """Revoking twice is fine and changes nothing the second time."""
    key = current(facts.api_key, asked, "api key")
    if key.state == "revoked":
        return Decision(show(facts, policy))
    revoked = replace(key, state="revoked", revoked_at=moment.now, updated_at=moment.now, version=key.version + 1)
    return Decision(show(replace(facts, api_key=revoked), policy), (ApiKeyRevoked(revoked),))


def show(facts: Facts, policy: Policy) -> KeyObject:
    key = found(facts.api_key, "api key")
    return KeyObject(**_fields(key, facts.secret, facts.api, policy, facts.usage))


def _fields(
    key: ApiKey, secret: Secret | None, api: Api | None, policy: Policy, usage: Usage
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": key.id,
        "prefix": "" if secret is None else secrets.prefix(secret, policy.brand),
        "account": key.account_id,
        "api": key.api_id if api is None else api.identifier,
        "scope": scopes.text(key.scope),
        "name": key.name,
        "environment": key.environment,
        "state": key.state,
        "expires_at": key.expires_at,
        "metadata": dict(key.metadata),
        "created_at": key.created_at,
        "updated_at": key.updated_at,
        "revoked_at": key.revoked_at,
        "uses": usage.uses,
        "last_used_at": usage.last_used_at,
        "version": key.version,
    }
