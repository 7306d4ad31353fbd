"""`/v1/keys/verify`: is this api key good now, for this api and scope, and if not, for what reason?

POST /v1/keys/verify           {"key": "dw_live_...", "api": "Invoices", "scope": "invoices:read"}
POST /v1/keys/verify/batch     {"keys": [{"key": "dw_live_..."}, ...]}
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doorward.protocol import credential
from doorward.protocol.admin import Asked, Strict, invalid
from doorward.protocol.credential import ApiKeyFacts, Verdict
from doorward.protocol.decision import Decision
from doorward.protocol.entities import ApiKey
from doorward.protocol.events import CredentialRefused, entity_id
from doorward.protocol.leak_events import DecoyTried
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify import networks
from doorward_verify.scope import MalformedScope, parse


@dataclass(frozen=True, slots=True)
class CheckKey(Strict):
    key: str = field(repr=False)
    api: str | None = None
    scope: str | None = None
    address: str | None = None  # where the request came from: without it a bound key is refused
    user_agent: str | None = None  # what sent it, to be shown as what last used the key


@dataclass(frozen=True, slots=True)
class CheckKeys(Strict):
    """Each is checked as it would be alone; they are answered in their order."""

    keys: list[CheckKey]


@dataclass(frozen=True, slots=True)
class KeyCheckObject:
    active: bool
    reason: str | None
    key_id: str | None = None
    account: str | None = None
    api: str | None = None
    scope: str | None = None
    environment: str | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class KeyChecksObject:
    results: list[KeyCheckObject]


@dataclass(frozen=True, slots=True)
class Facts:
    api_key: ApiKeyFacts | None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """In the order of the request."""

    api_keys: tuple[ApiKeyFacts | None, ...]


BATCH_LIMIT = 100


def decide(asked: Asked[CheckKey], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyCheckObject]:
    return _checked(asked.body, facts.api_key, policy, moment)


def decide_batch(
    asked: Asked[CheckKeys], facts: BatchFacts, policy: Policy, moment: Moment
) -> Decision[KeyChecksObject]:
    bounded(asked.body)
    pairs = zip(asked.body.keys, facts.api_keys, strict=True)
    checks = [_checked(body, found, policy, moment) for body, found in pairs]
    events = {event.entity + entity_id(event): event for one in checks for event in one.events}
    # A key that is named twice is used once, and refused once.
    uses = tuple(use for one in checks for use in one.uses)
    return Decision(KeyChecksObject([one.reply for one in checks]), tuple(events.values()), uses)


def bounded(body: CheckKeys) -> None:
    if not 1 <= len(body.keys) <= BATCH_LIMIT:
        raise invalid("keys", f"must be 1 to {BATCH_LIMIT} keys")


def _checked(body: CheckKey, known: ApiKeyFacts | None, policy: Policy, moment: Moment) -> Decision[KeyCheckObject]:
    about = credential.presented(body.key, policy.brand)
    if about.kind != "api_key":
        return Decision(KeyCheckObject(False, "credential_malformed"))
    verdict = credential.check_api_key(about.digest, known, policy, moment)
    if known is None or not verdict.exists:
        return Decision(KeyCheckObject(False, verdict.reason))
    key = known.api_key
    reason = verdict.reason or _misplaced(key, body.address) or _unfit(verdict, body)
    shown = KeyCheckObject(
        reason is None, reason, key.id, key.account_id, known.api.identifier,
        str((verdict.claims or {})["scope"]), key.environment, credential.ends_at(known),
    )  # fmt: skip
    uses = (credential.used(known, reason, moment.now, body.address, body.user_agent),)
    if reason == "decoy":
        return Decision(shown, (DecoyTried(key),), uses)
    if reason is not None:
        return Decision(shown, (CredentialRefused("api_key", key.id, reason),), uses)
    return Decision(shown, credential.first_use(known, moment.now), uses)


def _misplaced(key: ApiKey, address: str | None) -> str | None:
    return "network_not_allowed" if key.networks and not networks.contain(key.networks, address) else None


def _unfit(verdict: Verdict, body: CheckKey) -> str | None:
    """A good key that is not good for this."""
    assert verdict.api is not None
    if body.api is not None and body.api not in (verdict.api.identifier, verdict.api.id, verdict.api.name):
        return "wrong_audience"
    if body.scope:
        try:
            wanted = parse(body.scope)
        except MalformedScope:
            raise invalid("scope", "must be scope names separated by single spaces") from None
        if not wanted <= frozenset(str((verdict.claims or {})["scope"]).split()):
            return "insufficient_scope"
    return None
