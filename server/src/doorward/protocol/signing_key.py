"""Signing keys and their states (RFC 7517 §4): published before they sign, and for as long as what they signed lives.

pending --published long enough, and the active one is old--> active --its successor signs--> retired --> removed

For each use there is one active key, and one pending: its spare. A key is withdrawn at once by its removal; the spare,
which every verifier knows by then, signs from the same moment on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from doorward.protocol.admin import Asked, Strict, current, invalid
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SigningKey
from doorward.protocol.events import Event
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Conflict
from doorward.protocol.revocation_log import LEEWAY
from doorward.protocol.signing_key_events import (
    SigningKeyActivated,
    SigningKeyCreated,
    SigningKeyRemoved,
    SigningKeyRetired,
)

Algorithm = Literal["ES256", "RS256"]
Purpose = Literal["token", "feed", "assertion"]
ALGORITHMS: tuple[Algorithm, ...] = ("ES256", "RS256")
# A key of one purpose never speaks for another: a stolen token-signing key can be withdrawn through the feed.
TOKEN: Purpose = "token"
FEED: Purpose = "feed"
ASSERTION: Purpose = "assertion"


class Use(NamedTuple):
    purpose: Purpose
    algorithm: Algorithm


USES = (*(Use(TOKEN, algorithm) for algorithm in ALGORITHMS), Use(FEED, "ES256"), Use(ASSERTION, "ES256"))


@dataclass(frozen=True, slots=True)
class SigningKeyObject:
    """`next_state` comes at `next_at` at the earliest, unless somebody wants it otherwise."""

    kid: str
    purpose: str
    algorithm: str
    state: str
    created_at: int
    activated_at: int | None
    retired_at: int | None
    removed_at: int | None
    next_state: str | None
    next_at: int | None
    public_jwk: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RotateSigningKeys(Strict):
    """`force` does not wait until every verifier has read the spare: who does not know it reads the keys again."""

    purpose: Purpose = "token"
    algorithm: Algorithm | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class RetireSigningKey(Strict):
    force: bool = False


@dataclass(frozen=True, slots=True)
class RotationObject:
    """The keys that sign from now on."""

    active: list[SigningKeyObject]


def show(key: SigningKey, policy: Policy) -> SigningKeyObject:
    next_state, next_at = _next(key, policy)
    return SigningKeyObject(
        key.id, key.purpose, key.algorithm, key.state, key.created_at, key.activated_at, key.retired_at, key.removed_at,
        next_state, next_at, dict(key.public_jwk),
    )  # fmt: skip


def _next(key: SigningKey, policy: Policy) -> tuple[str | None, int | None]:
    match key.state:
        case "pending":
            return "active", known_at(key, policy)
        case "active":
            return "retired", (key.activated_at or key.created_at) + policy.signing_key_lifetime
        case "retired":
            return "removed", outlived_at(key, policy)
        case _:
            return None, None


def known_at(key: SigningKey, policy: Policy) -> int:
    """From when on every verifier that reads the keys as often as it is told to has read this one (T210)."""
    return key.created_at + policy.jwks_max_age + 2 * LEEWAY


def outlived_at(key: SigningKey, policy: Policy) -> int:
    """From when on no token that a retired key signed can live."""
    return (key.retired_at or key.created_at) + policy.token_lifetime_limit + LEEWAY


def missing(keys: Iterable[SigningKey]) -> tuple[tuple[Use, str], ...]:
    """What fresh keys are wanted for, and in which state; where nothing signs yet, one may sign unannounced."""
    held = {(key.purpose, key.algorithm, key.state) for key in keys}
    return tuple(
        (use, state)
        for use in USES
        for state in ("active", "pending")
        if (*use, state) not in held and (state == "pending" or (*use, "pending") not in held)
    )


def upkeep(fresh: Iterable[SigningKey], keys: tuple[SigningKey, ...], policy: Policy, moment: Moment) -> Decision[None]:
    """What the schedule wants now; `fresh` are keys that were made because they were missing."""
    wanted = {(*use, state) for use, state in missing(keys)}
    made = (SigningKeyCreated(key) for key in fresh if (key.purpose, key.algorithm, key.state) in wanted)
    return Decision(None, (*due(keys, policy, moment.now), *made))


def due(keys: tuple[SigningKey, ...], policy: Policy, now: int) -> tuple[Event, ...]:
    """Successions and removals whose time has come."""
    successions = [event for use in USES for event in _succession(use, keys, policy, now)]
    outlived = [key for key in keys if key.state == "retired" and now >= outlived_at(key, policy)]
    return (*successions, *(SigningKeyRemoved(_removed(key, now), "schedule") for key in outlived))


def _succession(use: Use, keys: tuple[SigningKey, ...], policy: Policy, now: int) -> Iterator[Event]:
    active, spare = _of(use, "active", keys), _of(use, "pending", keys)
    if spare is None:
        return
    if active is None:
        yield _activated(spare, now)
    elif now >= max(_next(active, policy)[1] or 0, known_at(spare, policy)):
        yield from _handed_over(active, spare, now)


def rotate(
    asked: Asked[RotateSigningKeys], keys: tuple[SigningKey, ...], policy: Policy, moment: Moment
) -> Decision[RotationObject]:
    """The spares sign from now on."""
    body = asked.body
    uses = [use for use in USES if use.purpose == body.purpose and body.algorithm in (None, use.algorithm)]
    if not uses:
        raise invalid("algorithm", "must be one that keys of this purpose have")
    pairs = [(_of(use, "active", keys), _spare(use, keys, body.force, policy, moment.now)) for use in uses]
    events = [event for active, spare in pairs for event in _handed_over(active, spare, moment.now)]
    return Decision(_rotation(events, policy), tuple(events))


def retire(
    asked: Asked[RetireSigningKey], keys: tuple[SigningKey, ...], policy: Policy, moment: Moment
) -> Decision[RotationObject]:
    """One key ends to sign, and its spare begins."""
    key = current(next((key for key in keys if key.id == asked.id), None), asked, "signing key")
    if key.state in ("retired", "removed"):
        return Decision(RotationObject([show(one, policy) for one in keys if _use(one) == _use(key) and _signs(one)]))
    if key.state == "pending":
        raise Conflict("a pending key signs nothing that could be ended", reason="signing_key_pending")
    spare = _spare(_use(key), keys, asked.body.force, policy, moment.now)
    events = tuple(_handed_over(key, spare, moment.now))
    return Decision(_rotation(events, policy), events)


def withdraw(key: SigningKey, keys: Iterable[SigningKey], now: int) -> tuple[Event, ...]:
    """An emergency: nothing that the key signed is good from now on."""
    if key.state == "removed":
        return ()
    spare = _of(_use(key), "pending", keys) if key.state == "active" else None
    removed = SigningKeyRemoved(_removed(key, now), "emergency")
    return (removed,) if spare is None else (removed, _activated(spare, now))


def _rotation(events: Iterable[Event], policy: Policy) -> RotationObject:
    begun = (event.signing_key for event in events if isinstance(event, SigningKeyActivated))
    return RotationObject([show(key, policy) for key in begun])


def _spare(use: Use, keys: Iterable[SigningKey], force: bool, policy: Policy, now: int) -> SigningKey:
    """Raises Conflict unless there is one that verifiers know, or need not know."""
    spare = _of(use, "pending", keys)
    if spare is None:
        raise Conflict("the spare key is still to be made", reason="signing_key_spare_missing")
    known = known_at(spare, policy)
    if now < known and not force:
        raise Conflict(
            f"the {use.algorithm} spare can be known to every verifier in {known - now} seconds, and not before",
            reason="signing_key_unknown_yet",
        )
    return spare


def _handed_over(active: SigningKey | None, spare: SigningKey, now: int) -> Iterator[Event]:
    """The old one first: no two keys of one use are ever active."""
    if active is not None:
        yield SigningKeyRetired(_ended(active, "retired", retired_at=now))
    yield _activated(spare, now)


def _activated(spare: SigningKey, now: int) -> SigningKeyActivated:
    return SigningKeyActivated(replace(spare, state="active", activated_at=now, version=spare.version + 1))


def _removed(key: SigningKey, now: int) -> SigningKey:
    return _ended(key, "removed", removed_at=now)


def _ended(key: SigningKey, state: str, **at: int) -> SigningKey:
    """Nothing signs with it any more, so that its private half is forgotten."""
    return replace(key, state=state, private_key=b"", version=key.version + 1, **at)  # type: ignore[arg-type]


def _of(use: Use, state: str, keys: Iterable[SigningKey]) -> SigningKey | None:
    return next((key for key in keys if _use(key) == use and key.state == state), None)


def _use(key: SigningKey) -> Use:
    return Use(key.purpose, key.algorithm)  # type: ignore[arg-type]


def _signs(key: SigningKey) -> bool:
    return key.state == "active"
