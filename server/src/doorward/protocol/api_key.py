"""An api key: a secret of an account for one api. Shown once; kept as a MAC; revoking it is one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from doorward.protocol import network, rotation
from doorward.protocol import secret as secrets
from doorward.protocol.account import Metadata
from doorward.protocol.admin import Asked, Nothing, Strict, current, found, invalid, limited, metadata, named, touched
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Account, Api, ApiKey, Usage
from doorward.protocol.events import ApiKeyCreated, ApiKeyRevoked, ApiKeyUpdated
from doorward.protocol.limit import Limit
from doorward.protocol.moment import Moment
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.refusal import Conflict
from doorward.protocol.rotation import RotateKey, SecretObject
from doorward.protocol.rotation_events import ApiKeyRotated, ApiKeyRotationCancelled
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
    networks: list[str] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UpdateKey(Strict):
    name: str | None = None
    scope: str | None = None
    metadata: Metadata | None = None
    networks: list[str] | None = None
    limits: list[Limit] | None = None


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
    secrets: list[SecretObject]
    networks: list[str]
    limits: list[Limit]
    user: str | None
    seen_in_url_at: int | None
    seen_in_browser_at: int | None
    last_address: str | None
    last_user_agent: str | None


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
    """An api key with its secrets, its account and api."""

    api_key: ApiKey | None
    secrets: tuple[Secret, ...] = ()
    account: Account | None = None
    api: Api | None = None
    usage: Usage = UNUSED
    by_secret: Mapping[str, Usage] = field(default_factory=dict)


def create(asked: Asked[CreateKey], facts: CreateFacts, policy: Policy, moment: Moment) -> Decision[NewKeyObject]:
    body = asked.body
    account = found(facts.account, "account")
    api = found(facts.api, "api")
    key = ApiKey(
        moment.id("key"), account.id, api.id, named(body.name or account.name), body.environment,
        within(body.scope, api), "decoy" if body.decoy else "active", _expiry(body, api, policy, moment),
        metadata(body.metadata), moment.now, moment.now, networks=network.texts(body.networks),
        limits=limited(body.limits),
    )  # fmt: skip
    text, secret = secrets.mint("", body.environment, key.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    shown = NewKeyObject(**_fields(Facts(key, (secret,), account, api), policy), key=text)
    return Decision(shown, (ApiKeyCreated(key, secret),))


def _expiry(body: CreateKey, api: Api, policy: Policy, moment: Moment) -> int | None:
    """Keys end after 90 days unless their owner says how long, or says out loud that they never do, if the api lets."""
    limit = LIFETIME_LIMIT if api.key_lifetime_limit is None else api.key_lifetime_limit
    if body.no_expiry:
        if body.expires_in is not None:
            raise invalid("expires_in", "must be absent when no_expiry is true")
        if api.key_lifetime_limit is not None:
            raise invalid("no_expiry", f"must be false: keys of this api live for {limit} seconds at most")
        return None
    lifetime = min(policy.api_key_lifetime, limit) if body.expires_in is None else body.expires_in
    if not 1 <= lifetime <= limit:
        raise invalid("expires_in", f"must be 1 to {limit} seconds")
    return moment.now + lifetime


def update(asked: Asked[UpdateKey], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    key, body = current(facts.api_key, asked, "api key"), asked.body
    asked_for = replace(
        key,
        name=key.name if body.name is None else named(body.name),
        scope=key.scope if body.scope is None else within(body.scope, found(facts.api, "api")),
        metadata=key.metadata if body.metadata is None else metadata(body.metadata),
        networks=key.networks if body.networks is None else network.texts(body.networks),
        limits=key.limits if body.limits is None else limited(body.limits),
    )
    changed = touched(asked_for, key, moment.now)
    events = () if changed is key else (ApiKeyUpdated(changed),)
    return Decision(show(replace(facts, api_key=changed), policy), events)


def revoke(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    """Revoking twice is fine and changes nothing the second time."""
    key = current(facts.api_key, asked, "api key")
    if key.state == "revoked":
        return Decision(show(facts, policy))
    revoked = replace(key, state="revoked", revoked_at=moment.now, updated_at=moment.now, version=key.version + 1)
    return Decision(show(replace(facts, api_key=revoked), policy), (ApiKeyRevoked(revoked),))


def rotate(asked: Asked[RotateKey], facts: Facts, policy: Policy, moment: Moment) -> Decision[NewKeyObject]:
    """A new secret of the same key: id, limits, statistics and owner stay, and so does the day on which it ends."""
    key = current(facts.api_key, asked, "api key")
    if key.state == "revoked" or (key.expires_at is not None and moment.now >= key.expires_at):
        raise Conflict("the api key has ended")
    rotated = rotation.rotate(facts.secrets[-1], facts.secrets, asked.body, key.expires_at, policy, moment)
    changed = replace(key, updated_at=moment.now, version=key.version + 1)
    kept = (*rotation.replaced(facts.secrets, *rotated.retired), rotated.secret)
    shown = NewKeyObject(**_fields(replace(facts, api_key=changed, secrets=kept), policy), key=rotated.text)
    return Decision(shown, (ApiKeyRotated(changed, rotated.secret, rotated.retired),))


def cancel_rotation(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    """The new secret ends at once, and the old one goes on as before."""
    key = current(facts.api_key, asked, "api key")
    if key.state == "revoked":
        raise Conflict("the api key was revoked")
    cancelled = rotation.cancel(facts.secrets, moment)
    changed = replace(key, updated_at=moment.now, version=key.version + 1)
    kept = rotation.replaced(facts.secrets, cancelled.withdrawn, cancelled.restored)
    shown = show(replace(facts, api_key=changed, secrets=kept), policy)
    return Decision(shown, (ApiKeyRotationCancelled(changed, cancelled.withdrawn, cancelled.restored),))


def deactivate(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    """Refused from now on, and good again once it is activated: to see who misses it before it is revoked."""
    return _turned("inactive", asked, facts, policy, moment)


def activate(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    return _turned("active", asked, facts, policy, moment)


def _turned(state: str, asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyObject]:
    key = current(facts.api_key, asked, "api key")
    if key.state == "revoked":
        raise Conflict("the api key was revoked")
    if key.state == "decoy":
        raise Conflict("the api key is a decoy, which never works")
    if key.state == state:
        return Decision(show(facts, policy))
    turned = replace(key, state=state, updated_at=moment.now, version=key.version + 1)
    return Decision(show(replace(facts, api_key=turned), policy), (ApiKeyUpdated(turned),))


def show(facts: Facts, policy: Policy) -> KeyObject:
    return KeyObject(**_fields(facts, policy))


def with_text(shown: KeyObject, text: str) -> NewKeyObject:
    return NewKeyObject(**{one.name: getattr(shown, one.name) for one in fields(shown)}, key=text)


def _fields(facts: Facts, policy: Policy) -> dict[str, Any]:
    key, api, usage, kept = found(facts.api_key, "api key"), facts.api, facts.usage, facts.secrets
    secret = rotation.current(kept)
    # What leaked is revoked by itself: until it is rotated, the key is active and has nothing that one should use.
    leaked = key.state == "active" and secret is None and kept
    shown = secret or (kept[-1] if kept else None)
    return {
        "id": key.id,
        "prefix": "" if shown is None else secrets.prefix(shown, policy.brand),
        "account": key.account_id,
        "api": key.api_id if api is None else api.identifier,
        "scope": scopes.text(key.scope),
        "name": key.name,
        "environment": key.environment,
        "state": "leaked" if leaked else key.state,
        "expires_at": key.expires_at,
        "metadata": dict(key.metadata),
        "created_at": key.created_at,
        "updated_at": key.updated_at,
        "revoked_at": key.revoked_at,
        "uses": usage.uses,
        "last_used_at": usage.last_used_at,
        "last_address": usage.address or None,
        "last_user_agent": usage.user_agent or None,
        "version": key.version,
        "secrets": [rotation.show(one, facts.by_secret.get(one.id, UNUSED)) for one in facts.secrets],
        "networks": list(key.networks),
        "limits": list(key.limits),
        "user": key.user_id,
        "seen_in_url_at": key.seen_in_url_at,
        "seen_in_browser_at": key.seen_in_browser_at,
    }
