"""What to hold of a credential after the server was asked about it, or could not be (decision 14a)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from doorward_verify import allowance, introspected, revocations
from doorward_verify.credential import Presented
from doorward_verify.errors import InvalidToken, Unavailable
from doorward_verify.memory import Known
from doorward_verify.revocations import Position
from doorward_verify.verified import Verified

Revocation = Literal["feed", "introspect", "off"]
OnStale = Literal["introspect", "refuse", "accept"]

# Without a feed that tells of revocations, asking again is how one is noticed. A worker of the server learns of a
# revocation within 0.1 s, so that the sum stays under the promised second.
RECHECK_AFTER = 0.8
# With a feed an answer holds until it is told otherwise, but no longer than the server remembers to tell (decision 4).
HELD_FOR = 900.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the service decided when it made its verifier."""

    issuer: str
    audience: str
    environment: str
    brand: str
    leeway: int
    revocation: Revocation
    on_stale: OnStale
    accepts_in_outage: bool
    outage_grace: float
    takes_foreign: bool = False
    accepts_uncounted: bool = False
    takes_legacy: bool = False


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One question: about what, when (on both clocks), and what was known before. `proof` is of a JWT verified here."""

    presented: Presented
    proof: Known | None
    known: Known | None
    asked_at: float
    now: float
    era: int = 0
    cost: int = 1
    spare: int = 0


def answered(
    claims: Mapping[str, Any] | None, position: Position | None, inquiry: Inquiry, policy: Policy
) -> Known:  # fmt: skip
    """After an answer: `claims` is None for an inactive credential. The server does not say what ended it."""
    proof = inquiry.proof
    if claims is None:
        reason = "credential_unknown" if proof is None else "credential_revoked"
        return _dated(None, reason, inquiry, policy)._replace(position=position)
    if proof is not None:
        dated = _dated(proof.verified, "", inquiry, policy)
        return dated._replace(position=position, held_until=proof.held_until, ties=proof.ties)
    try:
        verified = introspected.read(
            claims, inquiry.presented, issuer=policy.issuer, audience=policy.audience, now=inquiry.now
        )
    except InvalidToken as refused:
        return _dated(None, refused.reason, inquiry, policy)._replace(position=position)
    lent = allowance.read(claims, inquiry.cost, inquiry.asked_at) if verified.credential == "api_key" else None
    return _held(verified, position, inquiry, policy)._replace(allowance=lent)


def _held(verified: Verified, position: Position | None, inquiry: Inquiry, policy: Policy) -> Known:
    """An answer without a position cannot be compared with what the feed says, and holds as if there were none."""
    dated = _dated(verified, "", inquiry, policy)
    if position is None:
        return dated
    held_for = min(HELD_FOR, left(verified, inquiry.now))
    return dated._replace(
        position=position,
        held_until=inquiry.asked_at + held_for,
        useful_until=inquiry.asked_at + held_for + policy.outage_grace,
        ties=revocations.ties_of_answer(verified, inquiry.presented.id, position),
    )


def unanswered(problem: Unavailable, inquiry: Inquiry, policy: Policy) -> Known:
    """Without an answer: what was refused stays refused, what was good may stay so for a while, else `problem`."""
    known = inquiry.known
    if problem.reason != "server_unreachable" or not policy.accepts_in_outage:
        raise problem
    if known is not None and known.verified is None:
        return known._replace(asked_at=inquiry.asked_at, fresh_until=inquiry.asked_at + RECHECK_AFTER)
    if inquiry.proof is not None:
        return _stale(inquiry.proof, math.inf, inquiry, policy)
    if known is None or known.confirmed_at is None:
        raise problem
    if known.allowance is not None and not policy.accepts_uncounted:
        raise Unavailable("the key's limits cannot be counted", reason="limits_uncountable")
    grace_ends_at = known.confirmed_at + policy.outage_grace
    if inquiry.asked_at >= grace_ends_at:
        raise problem
    return _stale(known, grace_ends_at, inquiry, policy)


def left(verified: Verified, now: float) -> float:
    """The seconds until a credential expires."""
    return math.inf if verified.expires_at is None else verified.expires_at - now


def _stale(about: Known, until: float, inquiry: Inquiry, policy: Policy) -> Known:
    """Nothing was confirmed: when it last was, and at which position, stays as it is."""
    assert about.verified is not None
    if inquiry.proof is None and left(about.verified, inquiry.now) <= 0:
        raise InvalidToken("the credential has expired", reason="credential_expired")
    dated = _dated(replace(about.verified, stale=True), "", inquiry, policy)
    fresh_until, before = min(dated.fresh_until, until), inquiry.known
    return dated._replace(
        fresh_until=fresh_until,
        held_until=fresh_until,
        confirmed_at=before.confirmed_at if before else None,
        position=before.position if before else None,
        ties=about.ties,
    )


def _dated(verified: Verified | None, reason: str, inquiry: Inquiry, policy: Policy) -> Known:
    """A JWT's answer is of use until the token expires; a secret's until an outage could no longer be bridged."""
    asked_at, about = inquiry.asked_at, inquiry.proof.verified if inquiry.proof else verified
    seconds_left = math.inf if about is None else left(about, inquiry.now)
    useful_for = policy.outage_grace if inquiry.proof is None else seconds_left + policy.leeway
    fresh_until = asked_at + min(RECHECK_AFTER, seconds_left)
    return Known(
        verified, reason,
        fresh_until=fresh_until,
        held_until=fresh_until,
        useful_until=asked_at + max(RECHECK_AFTER, useful_for),
        asked_at=asked_at,
        confirmed_at=asked_at,
        era=inquiry.era,
    )  # fmt: skip
