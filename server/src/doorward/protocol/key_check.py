"""`/v1/keys/verify`: is this api key good now, for this api and scope, and if not, for what reason?"""

from __future__ import annotations

from dataclasses import dataclass, field

from doorward.protocol import credential
from doorward.protocol.admin import Asked, Strict, invalid
from doorward.protocol.credential import ApiKeyFacts, Verdict
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.leak_events import DecoyTried
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify.scope import MalformedScope, parse


@dataclass(frozen=True, slots=True)
class CheckKey(Strict):
    key: str = field(repr=False)
    api: str | None = None
    scope: str | None = None


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
class Facts:
    api_key: ApiKeyFacts | None


def decide(asked: Asked[CheckKey], facts: Facts, policy: Policy, moment: Moment) -> Decision[KeyCheckObject]:
    body = asked.body
    about = credential.presented(body.key, policy.brand)
    if about.kind != "api_key":
        return Decision(KeyCheckObject(False, "credential_malformed"))
    verdict = credential.check_api_key(about.digest, facts.api_key, policy, moment)
    if facts.api_key is None or not verdict.exists:
        return Decision(KeyCheckObject(False, verdict.reason))
    reason = verdict.reason or _unfit(verdict, body)
    key = facts.api_key.api_key
    shown = KeyCheckObject(
        reason is None, reason, key.id, key.account_id, facts.api_key.api.identifier,
        str((verdict.claims or {})["scope"]), key.environment, key.expires_at,
    )  # fmt: skip
    if reason is None:
        return Decision(shown)
    return Decision(shown, (DecoyTried(key) if reason == "decoy" else CredentialRefused("api_key", key.id, reason),))


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
