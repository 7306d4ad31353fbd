"""`/v1/revocations`: one way to end what an administrator names: token, grant, client, account or api key."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from doorward.protocol import account, api_key, revocation
from doorward.protocol.admin import Asked, Nothing, Strict, found, invalid
from doorward.protocol.client import ClientFacts
from doorward.protocol.credential import Presented, TokenFacts, presented
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, Grant
from doorward.protocol.events import ClientUpdated, Event, GrantRevoked
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
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class RevocationObject:
    """What was ended; `changed` is false when it had ended before."""

    kind: str
    id: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    token: TokenFacts | None = None
    grant: Grant | None = None
    client: ClientFacts | None = None
    account: Account | None = None
    api_key: api_key.Facts | None = None
    keys: jwt.Keys = field(default_factory=dict)


def named(body: Revoke) -> tuple[str, str]:
    """Which member was given, and its value."""
    given = [(f.name, value) for f in fields(body) if (value := getattr(body, f.name)) is not None]
    if len(given) != 1:
        raise invalid("token", "or grant, client, account or api_key is needed, and only one of them")
    return given[0]


def about(body: Revoke, brand: str) -> Presented:
    return presented(body.token or "", brand)


def decide(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Decision[RevocationObject]:
    kind, _ = named(asked.body)
    id_, events = _ENDS[kind](asked, facts, policy, moment)
    return Decision(RevocationObject(kind, id_, bool(events)), events)


Ended = tuple[str, tuple[Event, ...]]


def _token(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    verdict = revocation.check(about(asked.body, policy.brand), facts.token, facts.keys, policy, moment)
    if not verdict.exists:
        found(None, "token")
    return verdict.id, ((revocation.ended(verdict),) if verdict.active else ())


def _grant(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    grant = found(facts.grant, "grant")
    if grant.revoked_at is not None:
        return grant.id, ()
    return grant.id, (GrantRevoked(replace(grant, revoked_at=moment.now, version=grant.version + 1)),)


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


def _api_key(asked: Asked[Revoke], facts: Facts, policy: Policy, moment: Moment) -> Ended:
    nothing = Asked(Nothing(), asked.caller)
    decision = api_key.revoke(nothing, facts.api_key or api_key.Facts(None), policy, moment)
    return decision.reply.id, decision.events


_ENDS = {"token": _token, "grant": _grant, "client": _client, "account": _account, "api_key": _api_key}
