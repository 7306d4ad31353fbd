"""Credentials that arrived in the clear: anybody on the way may have read them, so they end as leaked ones do.

POST /leaks/plaintext                               what arrived at the plaintext port of a verifier's api
authorization: Basic base64(client_id ":" client_secret)

{"reports": [{"token_sha256": "..."}, {"token": "eyJ..."}]}

Decision 16: only what a plaintext socket of our own received, the server's or a verifier's, burns. What a proxy says
of a hop is flagged. So many at once that something else must be wrong are flagged too, and so is the last admin key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from doorward.protocol import client_authentication, leak
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.credential import ApiKeyFacts, Presented, TokenFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import AdminKey
from doorward.protocol.form import Form
from doorward.protocol.leak import BatchFacts, Facts, Outcome, Report
from doorward.protocol.leak_report import by_digest
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.verifier import VerifierFacts

ORIGIN, PROXY = "plaintext", "proxy"
# Of the whole deployment, in a minute.
BURNS_LIMIT = 30
WINDOW = 60
REPORTS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Arrived:
    """`credentials` are those of a verifier that reports; it may burn what is of its own api alone."""

    reports: tuple[Report, ...]
    credentials: ClientCredentials | None = None


@dataclass(frozen=True, slots=True)
class ArrivedFacts:
    """`burnt_at`: when the last of those that ended in this way did; `admins`: the admin keys that are active."""

    batch: BatchFacts
    burnt_at: tuple[int, ...] = ()
    admins: tuple[AdminKey, ...] = ()
    verifier: VerifierFacts | None = None


@dataclass(frozen=True, slots=True)
class Burnt:
    """`is_broken`: more than could be an accident arrived, so that what would have ended was flagged."""

    outcomes: tuple[Outcome, ...]
    is_broken: bool = False


def arrived(texts: Iterable[str], address: str, origin: str, brand: str) -> Arrived:
    """What a listener of ours received, or what a proxy says that it did."""
    place = leak.location(f"plain http from {address}")
    spared = origin == PROXY
    return Arrived(tuple(Report(leak.classify(text, brand), origin, place, spare=spared) for text in texts))


def parse(authorization: Sequence[bytes], query: Form, document: Mapping[str, Any], brand: str) -> Arrived:
    credentials = client_authentication.parse(authorization, client_authentication.NO_FORM, query)
    given = document.get("reports")
    if document.keys() != {"reports"} or not isinstance(given, list) or not 1 <= len(given) <= REPORTS_LIMIT:
        raise InvalidRequest(f"the body is not an object with a list reports of 1 to {REPORTS_LIMIT}")
    place = f"plain http at {credentials.client_id}"
    return Arrived(tuple(Report(_reported(one, brand), ORIGIN, leak.location(place)) for one in given), credentials)


def _reported(given: object, brand: str) -> Presented:
    """By digest; of a JWT the text, which is kept nowhere and could not be found by one."""
    match given:
        case {"token_sha256": str(text), **rest} if not rest:
            return by_digest(text)
        case {"token": str(text), **rest} if not rest:
            about = leak.classify(text, brand)
            return about if about.kind == "jwt" else Presented("unknown")
    raise InvalidRequest("each report is an object with token_sha256, or with the token that is a jwt")


def decide(request: Arrived, facts: ArrivedFacts, policy: Policy, moment: Moment) -> Decision[Burnt]:
    batch = facts.batch
    if request.credentials is not None:
        known = client_authentication.authenticate_verifier(request.credentials, facts.verifier, policy, moment)
        batch = replace(batch, each=tuple(_of(known.api.id, one) for one in batch.each))
    recent = sum(moment.now - at < WINDOW for at in facts.burnt_at)
    left = max(BURNS_LIMIT - recent, 0)
    spared = _spared(request.reports, batch, _administering(facts.admins, moment.now), left)
    decision = leak.decide(spared, batch, policy, moment)
    # An outcome that was spared for its number alone, where there was something to end.
    is_broken = any(one.known is not None and one.known.ends for one in decision.reply[left:])
    burnt = Decision(Burnt(decision.reply, is_broken), decision.events)
    if request.credentials is None:
        return burnt
    return client_authentication.noticed(burnt, request.credentials, facts.verifier, policy, moment)


def _spared(
    reports: tuple[Report, ...], batch: BatchFacts, admins: frozenset[str], left: int
) -> tuple[Report, ...]:  # fmt: skip
    named = {one.about.admin_key.id for one in batch.each if isinstance(one.about, AdminKeyFacts)}
    keeps_admins = bool(named) and not admins - named
    return tuple(
        replace(report, spare=report.spare or number >= left or (keeps_admins and _is_admin(one)))
        for number, (report, one) in enumerate(zip(reports, batch.each, strict=True))
    )


def _administering(keys: Iterable[AdminKey], now: int) -> frozenset[str]:
    """Those with which everything could still be done."""
    live = (key for key in keys if key.expires_at is None or now < key.expires_at)
    return frozenset(key.id for key in live if "admin" in key.scope)


def _is_admin(one: Facts) -> bool:
    return isinstance(one.about, AdminKeyFacts)


def _of(api_id: str, one: Facts) -> Facts:
    """What a verifier knows of: the keys and tokens of its own api."""
    about = one.about
    api = about.api if isinstance(about, ApiKeyFacts | TokenFacts) else None
    return one if api is not None and api.id == api_id else Facts()
