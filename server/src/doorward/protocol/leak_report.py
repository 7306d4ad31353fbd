"""`/v1/leaks`: reports by an administrator, by text or by digest, and the list of what was reported.

POST /v1/leaks   {"reports": [{"token": "dw_live_...", "location": "https://git.example.com/a/b#L3"}], "revoke": true}
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

from doorward.protocol import leak
from doorward.protocol.admin import Asked, Strict, invalid
from doorward.protocol.credential import Presented
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Leak
from doorward.protocol.leak import BatchFacts, Outcome, Report
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify import jwt

LIMIT = 100


@dataclass(frozen=True, slots=True)
class ReportedSecret(Strict):
    """Either the text, or its SHA-256 in hexadecimal or base64url."""

    token: str | None = field(default=None, repr=False)
    token_sha256: str | None = None
    location: str = ""


@dataclass(frozen=True, slots=True)
class ReportLeaks(Strict):
    """`revoke`: all that is found ends, whatever the policy says of its kind."""

    reports: Sequence[ReportedSecret]
    revoke: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeObject:
    """In the order of the reports. `outcome` is revoked, flagged, ignored, decoy, ended (before) or unknown."""

    outcome: str
    credential: str | None
    id: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class ReportedObject:
    items: list[OutcomeObject]


@dataclass(frozen=True, slots=True)
class LeakObject:
    id: str
    credential: str
    credential_id: str
    owner: str
    account: str | None
    outcome: str
    origin: str
    locations: list[str]
    created_at: int
    updated_at: int
    version: int


def reports(body: ReportLeaks, brand: str) -> tuple[Report, ...]:
    """Raises Unprocessable, also where text and digest of one are given: which of them counts is nobody's guess."""
    if not 1 <= len(body.reports) <= LIMIT:
        raise invalid("reports", f"must be 1 to {LIMIT}")
    return tuple(
        Report(_about(one, brand), "administrator", leak.location(one.location), body.revoke) for one in body.reports
    )


def _about(one: ReportedSecret, brand: str) -> Presented:
    if (one.token is None) == (one.token_sha256 is None):
        raise invalid("token", "or token_sha256 is needed in each report, and only one of them")
    return leak.classify(one.token, brand) if one.token is not None else by_digest(one.token_sha256 or "")


def by_digest(text: str) -> Presented:
    try:
        raw = binascii.unhexlify(text) if len(text) == 64 else jwt.b64url_decode(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise invalid("token_sha256", "must be 64 hexadecimal digits or 43 characters of base64url")
    return Presented("digest", digest=raw)


def decide(
    asked: Asked[ReportLeaks], facts: BatchFacts, policy: Policy, moment: Moment
) -> Decision[ReportedObject]:  # fmt: skip
    decision = leak.decide(reports(asked.body, policy.brand), facts, policy, moment)
    return Decision(ReportedObject([_shown(outcome) for outcome in decision.reply]), decision.events)


def _shown(outcome: Outcome) -> OutcomeObject:
    known = outcome.known
    if known is None:
        return OutcomeObject(outcome.word, None, None, None)
    return OutcomeObject(outcome.word, known.kind, known.id, known.owner_id)


def show(known: Leak) -> LeakObject:
    return LeakObject(
        known.id, known.credential, known.credential_id, known.owner_id, known.account_id, known.outcome, known.origin,
        [*known.locations], known.created_at, known.updated_at, known.version,
    )  # fmt: skip
