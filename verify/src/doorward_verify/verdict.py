"""What to hold of a credential after the server was asked about it, or could not be (decision 14a)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from doorward_verify import introspected
from doorward_verify.credential import Presented
from doorward_verify.errors import InvalidToken, Unavailable
from doorward_verify.memory import Known
from doorward_verify.verified import Verified

# Until a feed tells of revocations, asking again is how one is noticed. A worker of the server learns of a revocation
# within 0.1 s, so that the sum stays under the promised second.
RECHECK_AFTER = 0.8


@dataclass(frozen=True, slots=True)
class Policy:
    """What the service decided when it made its verifier."""

    issuer: str
    audience: str
    environment: str
    brand: str
    leeway: int
    asks_about_jwts: bool
    accepts_in_outage: bool
    outage_grace: float


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One question: about what, when (on both clocks), and what was known before. `proved` is a JWT verified here."""

    presented: Presented
    proved: Verified | None
    known: Known | None
    asked_at: float
    now: float


def answered(claims: Mapping[str, Any] | None, inquiry: Inquiry, policy: Policy) -> Known:
    """After an answer: `claims` is None for an inactive credential. The server does not say what ended it."""
    proved = inquiry.proved
    if claims is None:
        return _dated(None, "credential_unknown" if proved is None else "credential_revoked", inquiry, policy)
    if proved is not None:
        return _dated(proved, "", inquiry, policy)
    try:
        verified = introspected.read(
            claims, inquiry.presented, issuer=policy.issuer, audience=policy.audience, now=inquiry.now
        )
    except InvalidToken as refused:
        return _dated(None, refused.reason, inquiry, policy)
    return _dated(verified, "", inquiry, policy)


def unanswered(problem: Unavailable, inquiry: Inquiry, policy: Policy) -> Known:
    """Without an answer: what was refused stays refused, what was good may stay so for a while, else `problem`."""
    known = inquiry.known
    if problem.reason != "server_unreachable" or not policy.accepts_in_outage:
        raise problem
    if known is not None and known.verified is None:
        return replace(known, asked_at=inquiry.asked_at, fresh_until=inquiry.asked_at + RECHECK_AFTER)
    if inquiry.proved is not None:
        return _stale(inquiry.proved, math.inf, inquiry, policy)
    if known is None or known.verified is None or known.confirmed_at is None:
        raise problem
    grace_ends_at = known.confirmed_at + policy.outage_grace
    if inquiry.asked_at >= grace_ends_at:
        raise problem
    if left(known.verified, inquiry.now) <= 0:
        raise InvalidToken("the credential has expired", reason="credential_expired")
    return _stale(known.verified, grace_ends_at, inquiry, policy)


def left(verified: Verified, now: float) -> float:
    """The seconds until a credential expires."""
    return math.inf if verified.expires_at is None else verified.expires_at - now


def _stale(verified: Verified, until: float, inquiry: Inquiry, policy: Policy) -> Known:
    """Nothing was confirmed: when it last was, and at which position, stays as it is."""
    dated = _dated(replace(verified, stale=True), "", inquiry, policy)
    before = inquiry.known
    return replace(
        dated,
        fresh_until=min(dated.fresh_until, until),
        confirmed_at=before.confirmed_at if before else None,
        position=before.position if before else None,
    )


def _dated(verified: Verified | None, reason: str, inquiry: Inquiry, policy: Policy) -> Known:
    """A JWT's answer is of use until the token expires; a secret's until an outage could no longer be bridged."""
    asked_at, about = inquiry.asked_at, inquiry.proved or verified
    seconds_left = math.inf if about is None else left(about, inquiry.now)
    useful_for = policy.outage_grace if inquiry.proved is None else seconds_left + policy.leeway
    return Known(
        verified, reason,
        fresh_until=asked_at + min(RECHECK_AFTER, seconds_left),
        useful_until=asked_at + max(RECHECK_AFTER, useful_for),
        asked_at=asked_at,
        confirmed_at=asked_at,
    )  # fmt: skip
