"""`/v1/keys/verify`: is this api key good now, for this api and scope, and if not, for what reason?

POST /v1/keys/verify           {"key": "dw_live_...", "api": "Invoices", "scope": "invoices:read"}
POST /v1/keys/verify/batch     {"keys": [{"key": "dw_live_..."}, ...]}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from doorward.protocol import credential, exposure, use
from doorward.protocol.admin import Asked, Strict, invalid
from doorward.protocol.credential import ApiKeyFacts, Presented
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Api, ApiKey
from doorward.protocol.events import CredentialRefused, Event, entity_id
from doorward.protocol.exposure_events import ApiKeySeen
from doorward.protocol.leak_events import DecoyTried
from doorward.protocol.limit import COST_LIMIT, Admission, Charge, LimitState
from doorward.protocol.moment import FOREVER, Moment
from doorward.protocol.policy import Policy
from doorward.protocol.use import Used
from doorward_verify import networks
from doorward_verify.arrival import BROWSER, URL
from doorward_verify.scope import MalformedScope, Scope, parse, text


@dataclass(frozen=True, slots=True)
class CheckKey(Strict):
    key: str = field(repr=False)
    api: str | None = None
    scope: str | None = None
    address: str | None = None  # where the request came from: without it a bound key is refused
    cost: int = 1  # how much of its limits the request takes; 0 only asks
    transport: Literal["bearer", "header", "basic", "query", "body"] | None = None  # how the key came, if it is known
    from_browser: bool = False  # with Origin or Sec-Fetch-*
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
    limits: list[LimitState] | None = None  # of a good key, and of one that was used too often
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class KeyChecksObject:
    results: list[KeyCheckObject]


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer that its limits have yet to agree to: what it costs of them, and what is counted once they did."""

    shown: KeyCheckObject
    charges: tuple[Charge, ...] = ()
    used: Used | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text is, and the key that it may be."""

    about: Presented
    api_key: ApiKeyFacts | None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """In the order of the request."""

    checks: tuple[Facts, ...]


BATCH_LIMIT = 100


def decide(asked: Asked[CheckKey], facts: Facts, policy: Policy, moment: Moment) -> Decision[Checked]:
    return _checked(asked.body, facts, policy, moment)


def decide_batch(
    asked: Asked[CheckKeys], facts: BatchFacts, policy: Policy, moment: Moment
) -> Decision[tuple[Checked, ...]]:
    bounded(asked.body)
    pairs = zip(asked.body.keys, facts.checks, strict=True)
    checks = [_checked(body, found, policy, moment) for body, found in pairs]
    events = {_named(event): event for one in checks for event in one.events}
    # A key that is named twice is used twice; of what changes by it once is enough.
    return Decision(tuple(one.reply for one in checks), tuple(events.values()))


def ends_at(checked: Checked, facts: Facts, now: int) -> int:
    """Until when the same is answered of the same key, if it is good and not counted in windows of time; else `now`."""
    if not checked.shown.active or any(charge.limit.type == "quota" for charge in checked.charges):
        return now
    ends = credential.ends_at(facts.api_key) if facts.api_key else now
    return FOREVER if ends is None else ends


def settled(checked: Checked, admission: Admission) -> KeyCheckObject:
    """The answer, now that its limits were asked: a good key that was used too often is not good at the moment."""
    if not checked.charges:
        return checked.shown
    shown, reason = checked.shown, admission.reason
    return KeyCheckObject(
        reason is None, reason, shown.key_id, shown.account, shown.api, shown.scope, shown.environment,
        shown.expires_at, list(admission.states),
        admission.retry_after if admission.refused and admission.is_possible else None,
    )  # fmt: skip


def _named(event: Event) -> tuple[object, ...]:
    return type(event), entity_id(event), getattr(event, "where", "")


def counted(checked: Checked, reason: str | None, now: int) -> tuple[Used, ...]:
    """The use of a key that exists, as it ended; the answer may have been decided a while ago."""
    used = checked.used
    if used is None:
        return ()
    return (use.counted(used, use.ACTIVE if reason is None else use.result(reason), now),)


def bounded(body: CheckKeys) -> None:
    if not 1 <= len(body.keys) <= BATCH_LIMIT:
        raise invalid("keys", f"must be 1 to {BATCH_LIMIT} keys")


def _checked(body: CheckKey, facts: Facts, policy: Policy, moment: Moment) -> Decision[Checked]:
    if not 0 <= body.cost <= COST_LIMIT:
        raise invalid("cost", f"must be 0 to {COST_LIMIT}")
    about, known = facts.about, facts.api_key
    if about.kind != "api_key" and (about.kind != "legacy" or known is None):
        return Decision(Checked(KeyCheckObject(False, "credential_malformed")))
    verdict = credential.check_api_key(about.digest, known, policy, moment)
    if known is None or not verdict.exists:
        return Decision(Checked(KeyCheckObject(False, verdict.reason)))
    key = known.api_key
    seen, scope = _seen(known, body, moment) if verdict.active else (), credential.scope(known)
    reason = verdict.reason or _misplaced(key, body.address) or _missent(known, body) or _unfit(known.api, scope, body)
    shown = KeyCheckObject(
        reason is None, reason, key.id, key.account_id, known.api.identifier, text(scope), key.environment,
        credential.ends_at(known), [] if reason is None else None,
    )  # fmt: skip
    used = credential.used(known, reason, moment.now, body.address, body.user_agent)
    if reason == "decoy":
        return Decision(Checked(shown, (), used), (DecoyTried(key),))
    if reason is not None:
        return Decision(Checked(shown, (), used), (CredentialRefused("api_key", key.id, reason), *seen))
    charges = credential.charges(known, body.cost, moment.now)
    if not body.cost:
        # Who only asks uses nothing.
        return Decision(Checked(shown, charges), seen)
    return Decision(Checked(shown, charges, used), (*credential.first_use(known, moment.now), *seen))


def _seen(known: ApiKeyFacts, body: CheckKey, moment: Moment) -> tuple[ApiKeySeen, ...]:
    """Where a good key was seen that it does not belong."""
    places = ((URL, body.transport == "query"), (BROWSER, _in_browser(known, body)))
    return exposure.flagged(known.api_key, (place for place, is_there in places if is_there), moment.now)


def _in_browser(known: ApiKeyFacts, body: CheckKey) -> bool:
    return body.from_browser and known.api_key.environment == "live" and known.api.browsers != "allow"


def _missent(known: ApiKeyFacts, body: CheckKey) -> str | None:
    if body.transport is not None and body.transport not in known.api.transports:
        return "transport_not_allowed"
    return "key_in_browser" if _in_browser(known, body) and known.api.browsers == "refuse" else None


def _misplaced(key: ApiKey, address: str | None) -> str | None:
    return "network_not_allowed" if key.networks and not networks.contain(key.networks, address) else None


def _unfit(api: Api, scope: Scope, body: CheckKey) -> str | None:
    """A good key that is not good for this."""
    if body.api is not None and body.api not in (api.identifier, api.id, api.name):
        return "wrong_audience"
    if body.scope:
        try:
            wanted = parse(body.scope)
        except MalformedScope:
            raise invalid("scope", "must be scope names separated by single spaces") from None
        if not wanted <= scope:
            return "insufficient_scope"
    return None
