"""Rotation of a secret without downtime: a new one beside the old one, which ends by itself when its overlap is over.

{"starts": "first_use", "overlap": 86400, "deadline": 2592000}

The overlap begins now, or when the new secret is first used, or at the deadline if it never is. A secret lives no
longer than its owner, and no owner has more than two that live. Until the old one has ended, all of it can be
cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from doorward.protocol import secret as secrets
from doorward.protocol.admin import Strict, invalid
from doorward.protocol.entities import Usage
from doorward.protocol.moment import Moment
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.refusal import Conflict
from doorward.protocol.secret import Secret

OVERLAP = DAY
OVERLAP_LIMIT = 90 * DAY
DEADLINE = 30 * DAY
DEADLINE_LIMIT = 365 * DAY


@dataclass(frozen=True, slots=True)
class RotateKey(Strict):
    """`overlap` and `deadline` are seconds; a deadline belongs to a start at the first use."""

    overlap: int | None = None
    starts: Literal["now", "first_use"] = "first_use"
    deadline: int | None = None


@dataclass(frozen=True, slots=True)
class RotateSecret(Strict):
    """The same of the secret of a client or verifier, which is used whenever it authenticates."""

    overlap: int | None = None
    starts: Literal["now", "first_use"] = "first_use"
    deadline: int | None = None


Overlap = RotateKey | RotateSecret


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The new secret, which ends, and the old one, which is the only one again."""

    withdrawn: Secret
    restored: Secret


@dataclass(frozen=True, slots=True)
class Rotated:
    """The new secret, its text, and the older ones as they are from now on."""

    text: str = field(repr=False)
    secret: Secret
    retired: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class SecretObject:
    """What can be told of a secret: `id` is the one inside its text."""

    id: str
    state: str
    created_at: int
    superseded_at: int | None
    expires_at: int | None
    uses: int
    uses_since_superseded: int
    last_used_at: int | None
    last_address: str | None
    last_user_agent: str | None


def show(secret: Secret, usage: Usage) -> SecretObject:
    return SecretObject(
        secret.id, _state(secret), secret.created_at, secret.superseded_at, secret.expires_at, usage.uses,
        usage.late_uses, usage.last_used_at, usage.address or None, usage.user_agent or None,
    )  # fmt: skip


def _state(secret: Secret) -> str:
    if secret.revoked_at is not None:
        return "revoked"
    if secret.superseded_at is None:
        return "current"
    return "waiting" if secret.overlap is not None else "superseded"


def current(kept: Iterable[Secret]) -> Secret | None:
    """The newest that was not taken back: its text is what the owner should use."""
    found = None
    for secret in kept:
        if secret.superseded_at is None and secret.revoked_at is None:
            found = secret
    return found


def rotate(
    last: Secret, kept: Iterable[Secret], body: Overlap, ends_at: int | None, policy: Policy, moment: Moment
) -> Rotated:
    """`last` tells the kind and the owner; `ends_at` is when the owner ends, whatever its secrets do."""
    checked = _checked(body, ends_at, moment.now)
    text, secret = secrets.mint(
        last.kind, last.environment, last.owner_id, brand=policy.brand, pepper=policy.pepper, moment=moment
    )
    live = [one for one in kept if one.is_live(moment.now)]
    return Rotated(text, secret, tuple(_retired(one, stays, checked, moment.now) for one, stays in _turns(live)))


def _checked(body: Overlap, ends_at: int | None, now: int) -> Overlap:
    if body.overlap is not None and not 0 <= body.overlap <= OVERLAP_LIMIT:
        raise invalid("overlap", f"must be 0 to {OVERLAP_LIMIT} seconds")
    if body.overlap is not None and ends_at is not None and now + body.overlap > ends_at:
        raise invalid("overlap", "must not be longer than the key still lives")
    if body.deadline is not None and body.starts == "now":
        raise invalid("deadline", "must be absent when the overlap starts now")
    if body.deadline is not None and not 0 <= body.deadline <= DEADLINE_LIMIT:
        raise invalid("deadline", f"must be 0 to {DEADLINE_LIMIT} seconds")
    return replace(
        body,
        overlap=OVERLAP if body.overlap is None else body.overlap,
        deadline=DEADLINE if body.deadline is None else body.deadline,
    )


def _turns(live: list[Secret]) -> list[tuple[Secret, bool]]:
    """Which of them stay for an overlap: the one in use, which may still wait for a successor that is cancelled."""
    waiting = any(one.overlap is not None for one in live)
    return [(one, (one.overlap is not None) if waiting else one.superseded_at is None) for one in live]


def _retired(secret: Secret, stays: bool, body: Overlap, now: int) -> Secret:
    if not stays:
        return replace(secret, superseded_at=secret.superseded_at or now, overlap=None, revoked_at=now)
    overlap, deadline = body.overlap or 0, body.deadline or 0
    ends_at = now + overlap + (deadline if body.starts == "first_use" else 0)
    return replace(
        secret,
        superseded_at=now,
        overlap=overlap if body.starts == "first_use" else None,
        expires_at=_sooner(ends_at, secret.expires_at),
    )


def cancel(kept: Iterable[Secret], moment: Moment) -> Cancelled:
    """As if it had not been rotated, while the old secret still lives: what has ended never works again."""
    every = tuple(kept)
    old = [one for one in every if one.superseded_at is not None and one.is_live(moment.now)]
    new = current(every)
    if new is None or not old:
        raise Conflict("there is no older secret that is still good")
    restored = replace(old[-1], superseded_at=None, overlap=None, expires_at=None)
    return Cancelled(replace(new, superseded_at=moment.now, revoked_at=moment.now), restored)


def replaced(kept: Iterable[Secret], *changed: Secret) -> tuple[Secret, ...]:
    """The secrets with those that were changed in their places."""
    by_id = {one.id: one for one in changed}
    return tuple(by_id.get(one.id, one) for one in kept)


def begun(waiting: Secret, now: int) -> Secret:
    """The old secret once its successor was used."""
    return replace(waiting, overlap=None, expires_at=_sooner(now + (waiting.overlap or 0), waiting.expires_at))


def _sooner(ends_at: int, before: int | None) -> int:
    return ends_at if before is None else min(ends_at, before)
