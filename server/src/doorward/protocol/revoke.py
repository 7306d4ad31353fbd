"""`/v1/revocations`: one way to end what an administrator names: a credential, what it hangs on, or what signed it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from doorward.protocol import account, api_key, grant, revocation, signing_key, user
from doorward.protocol.admin import Asked, Nothing, Strict, found, invalid
from doorward.protocol.client import ClientFacts
from doorward.protocol.credential import Presented, RefreshTokenFacts, TokenFacts, presented
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, Grant, SigningKey
from doorward.protocol.events import ClientUpdated, Event, EverythingRevoked
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify import jwt


@dataclass(frozen=True, slots=True)
class Revoke(Strict):
    """Exactly one member."""

    token: str | None = field(default=None, repr=False)
    grant: str | None = None
    client: str | None = None
    account: str | None = None
    user: str | None = None
    api_key: str | None = None
    signing_key: str | None = None
    everything: Literal["access_tokens"] | None = None


@dataclass(frozen=True, slots=True)
class RevocationObject:
    """What was ended; `changed` is false when it had ended before."""

    kind: str
    id: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    token: TokenFacts | RefreshTokenFacts | None = None
    grant: Grant | None = None
    client: ClientFacts | None = None
    account: Account | None = None
    user: user.Facts = field(default_factory=user.Facts)
    api_key: api_key.Facts | None = None
    signing_keys: tuple[SigningKey, ...] = ()
    keys: jwt.Keys = field(default_factory=dict)


def named(body: Revoke) -> tuple[str, str]:
    """Which member was given, and its value."""
    given = [(f.name, value) for f in fields(body) if (value := getattr(body, f.name)) is not None]
    if len(given) != 1:
        others = "or grant, client, account, user, api_key, signing_key or everything"
        raise invalid("token", f"{others} is needed, and only one of them")
    return given[0]


def about(body: Revoke, brand: str) -> Presented:
    return presented(body.token or "", brand)


def decide(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Decision[RevocationObject]:
    kind, _ = named(asked.body)
    id_, events = _ENDS[kind](asked, facts, policy, moment)
    return Decision(RevocationObject(kind, id_, bool(events)), events)


Ended = tuple[str, tuple[Event, ...]]


def _token(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    shown = about(asked.body, policy.brand)
    if facts.api_key is not None:
        # As a whole: who names a key by its text means all that it can do.
        matches = [policy.pepper.matches(shown.digest, secret) for secret in facts.api_key.secrets]
        return _api_key(asked, facts, policy, moment) if any(matches) else found(None, "token")
    verdict = revocation.check(shown, facts.token, facts.keys, policy, moment)
    if not verdict.exists:
        found(None, "token")
    return verdict.id, revocation.ended(verdict, facts.token, moment)


def _grant(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    known = found(facts.grant, "grant")
    return known.id, grant.end(known, moment)


def _client(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    client = found(facts.client.client if facts.client else None, "client")
    if client.state != "active":
        return client.id, ()
    disabled = replace(client, state="disabled", updated_at=moment.now, version=client.version + 1)
    return client.id, (ClientUpdated(disabled),)


def _account(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    nothing = Asked(Nothing(), asked.caller)
    decision = account.suspend(nothing, account.Facts(facts.account), policy, moment)
    return decision.reply.id, decision.events


def _user(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    decision = user.disable(Asked(Nothing(), asked.caller), facts.user, policy, moment)
    return decision.reply.id, decision.events


def _api_key(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    nothing = Asked(Nothing(), asked.caller)
    decision = api_key.revoke(nothing, facts.api_key or api_key.Facts(None), policy, moment)
    return decision.reply.id, decision.events


def _signing_key(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    named = next((key for key in facts.signing_keys if key.id == asked.body.signing_key), None)
    key = found(named, "signing key")
    return key.id, signing_key.withdraw(key, facts.signing_keys, moment.now)


def _everything(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    return "access_tokens", (EverythingRevoked(),)


_ENDS = {
    "token": _token, "grant": _grant, "client": _client, "account": _account, "user": _user, "api_key": _api_key,
    "signing_key": _signing_key, "everything": _everything,
}  # fmt: skip
