"""Signing keys: reads and what their events do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import Connection, select

from doorward.protocol.entities import SigningKey
from doorward.protocol.signing_key import ASSERTION, FEED, TOKEN
from doorward.protocol.signing_key_events import (
    SigningKeyActivated,
    SigningKeyCreated,
    SigningKeyEvent,
    SigningKeyRemoved,
    SigningKeyResealed,
    SigningKeyRetired,
)
from doorward.store import rows
from doorward.store.memory import Reader
from doorward.store.tables import signing_keys
from doorward_verify import jwt


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The published keys of a purpose, oldest first, and the same as verification keys."""

    keys: tuple[SigningKey, ...]
    public: jwt.Keys
    refs: tuple[str, ...] = ("signing_key/all",)


def published(connection: Connection, _: str = "all") -> SigningKeys:
    """Those that sign tokens."""
    return _of(connection, TOKEN)


def of_feed(connection: Connection, _: str = "all") -> SigningKeys:
    """Those that sign heartbeats; they are published apart, and verify nothing else."""
    return _of(connection, FEED)


def of_assertions(connection: Connection, _: str = "all") -> SigningKeys:
    """Those that sign what gateways assert."""
    return _of(connection, ASSERTION)


def _of(connection: Connection, purpose: str) -> SigningKeys:
    keys = tuple(key for key in _all(connection) if key.purpose == purpose and key.state != "removed")
    return SigningKeys(keys, jwt.keys_from_jwks({"keys": [dict(key.public_jwk) for key in keys]}))


def _all(connection: Connection) -> tuple[SigningKey, ...]:
    found = connection.execute(select(signing_keys).order_by(signing_keys.c.created_at, signing_keys.c.id))
    return tuple(SigningKey(**row._mapping) for row in found)


def by_id(connection: Connection, kid: str) -> SigningKey | None:
    return rows.find(connection, signing_keys, SigningKey, kid)


def standing(read: Reader, request: None) -> tuple[SigningKey, ...]:  # noqa: ARG001  the runner's signature
    """The published keys of every purpose, for whoever looks what is due; from memory as a rule."""
    found = (read(published, "all"), read(of_feed, "all"), read(of_assertions, "all"))
    return tuple(key for keys in found if keys for key in keys.keys)


def that_sign(read: Reader) -> tuple[SigningKey, ...]:
    """The published keys for tokens, the active ones among them; from memory as a rule."""
    found = read(published, "all")
    return () if found is None else found.keys


def facts(read: Reader, asked: object) -> tuple[SigningKey, ...]:  # noqa: ARG001  the runner's signature
    """All keys there ever were."""
    read.rely("signing_key/all")
    return _all(read.connection)


def known(read: Reader) -> jwt.Keys:
    """The published keys as verification keys."""
    found = read(published, "all")
    return {} if found is None else found.public


def apply(connection: Connection, event: SigningKeyEvent) -> None:
    match event:
        case SigningKeyCreated():
            rows.add(connection, signing_keys, event.signing_key)
        case SigningKeyActivated() | SigningKeyRetired() | SigningKeyRemoved() | SigningKeyResealed():
            rows.replace(connection, signing_keys, event.signing_key)
        case _:
            assert_never(event)
