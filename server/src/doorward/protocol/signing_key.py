"""A signing key as the admin API shows it: never its private half (RFC 7517 §4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from doorward.protocol.entities import SigningKey
from doorward.protocol.events import SigningKeyCreated

ALGORITHMS = ("ES256", "RS256")
# A key of one purpose never speaks for the other: a stolen token-signing key can be withdrawn through the feed.
TOKEN, FEED = "token", "feed"
WANTED = (*((TOKEN, algorithm) for algorithm in ALGORITHMS), (FEED, "ES256"))


@dataclass(frozen=True, slots=True)
class SigningKeyObject:
    kid: str
    purpose: str
    algorithm: str
    state: str
    created_at: int
    activated_at: int | None
    public_jwk: dict[str, Any]


def show(key: SigningKey) -> SigningKeyObject:
    return SigningKeyObject(
        key.id, key.purpose, key.algorithm, key.state, key.created_at, key.activated_at, dict(key.public_jwk)
    )


def missing(keys: Iterable[SigningKey]) -> tuple[tuple[str, str], ...]:
    """Purpose and algorithm of what no key is active for: an api may ask for any algorithm, the feed has its own."""
    active = {(key.purpose, key.algorithm) for key in keys if key.state == "active"}
    return tuple(wanted for wanted in WANTED if wanted not in active)


def created(keys: Iterable[SigningKey]) -> tuple[SigningKeyCreated, ...]:
    return tuple(SigningKeyCreated(key) for key in keys)
