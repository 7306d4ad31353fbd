"""The secrets of api keys, clients and verifiers: reads, and what their rotation does."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, assert_never

from sqlalchemy import Connection, select, update

from doorward.protocol.entities import ApiKey, Client, Verifier
from doorward.protocol.key_events import ANY
from doorward.protocol.legacy import Known
from doorward.protocol.rotation_events import (
    ApiKeyOverlapBegun,
    ApiKeyRotated,
    ApiKeyRotationCancelled,
    ClientOverlapBegun,
    ClientRotationCancelled,
    ClientSecretRotated,
    OfSecrets,
    VerifierOverlapBegun,
    VerifierRotationCancelled,
    VerifierSecretRotated,
    owner,
)
from doorward.protocol.secret import Secret
from doorward.store import rows
from doorward.store.memory import Reader
from doorward.store.tables import api_keys, apis, clients, secrets, verifiers


def of(connection: Connection, owner_id: str) -> tuple[Secret, ...]:
    """In the order in which they were made: within one second, those that were superseded come first."""
    owned = select(secrets).where(secrets.c.owner_id == owner_id)
    order = secrets.c.created_at, secrets.c.superseded_at.is_(None), secrets.c.superseded_at, secrets.c.id
    return tuple(Secret(**row._mapping) for row in connection.execute(owned.order_by(*order)))


def waiting(connection: Connection, owner_id: str, successor_id: str) -> Secret | None:
    """The one whose overlap begins when its successor is used."""
    waits = (secrets.c.owner_id == owner_id) & secrets.c.overlap.is_not(None) & (secrets.c.id != successor_id)
    return rows.value(Secret, connection.execute(select(secrets).where(waits)).first())


def _imported(connection: Connection, key: str) -> Known:  # noqa: ARG001
    taken = select(apis.c.id).where(apis.c.legacy).limit(1)
    kept = select(secrets.c.id).where(secrets.c.legacy.is_not(None)).limit(1)
    return Known(any(connection.execute(query).first() is not None for query in (taken, kept)))


def are_imported(read: Reader) -> bool:
    """Whether a text without our form may be a key; from memory, so that the database is not asked in vain (T160)."""
    found: Known | None = read(_imported, ANY)
    return found is not None and found.are_there


OWNERS = {ApiKey: api_keys, Client: clients, Verifier: verifiers}


def apply(connection: Connection, event: OfSecrets) -> None:
    match event:
        case ApiKeyRotated() | ClientSecretRotated() | VerifierSecretRotated():
            _replace_owner(connection, event)
            _exchange(connection, event.secret, event.retired)
        case ApiKeyOverlapBegun() | ClientOverlapBegun() | VerifierOverlapBegun():
            # Of many who use the new one at once, one begins the overlap.
            _write(connection, event.waiting, secrets.c.overlap.is_not(None))
        case ApiKeyRotationCancelled() | ClientRotationCancelled() | VerifierRotationCancelled():
            _replace_owner(connection, event)
            for one in (event.withdrawn, event.restored):
                _write(connection, one, secrets.c.revoked_at.is_(None))
        case _:
            assert_never(event)


def _replace_owner(connection: Connection, event: OfSecrets) -> None:
    """Its version guards the secrets, too."""
    owning = owner(event)
    rows.replace(connection, OWNERS[type(owning)], owning)


def _exchange(connection: Connection, secret: Secret, retired: tuple[Secret, ...]) -> None:
    for one in retired:
        _write(connection, one, secrets.c.revoked_at.is_(None))
    rows.add(connection, secrets, secret)


def end(connection: Connection, ids: Collection[str], now: int) -> None:
    """Those that leaked: of several who tell of one, one ends it."""
    live = secrets.c.id.in_(ids) & secrets.c.revoked_at.is_(None)
    if connection.execute(update(secrets).where(live).values(revoked_at=now, overlap=None)).rowcount != len(ids):
        raise rows.Stale


def _write(connection: Connection, secret: Secret, guard: Any) -> None:
    """Only when it lives: its MAC may have been made anew since it was read."""
    lives = {"expires_at": secret.expires_at, "revoked_at": secret.revoked_at}
    lives |= {"superseded_at": secret.superseded_at, "overlap": secret.overlap}
    if connection.execute(update(secrets).where(secrets.c.id == secret.id, guard).values(lives)).rowcount != 1:
        raise rows.Stale


def rehash(connection: Connection, secret: Secret) -> None:
    """Of many who show a key for the first time at once, one does it."""
    known = (secrets.c.id == secret.id) & secrets.c.bcrypt.is_not(None)
    made = {"mac": secret.mac, "pepper_version": secret.pepper_version, "bcrypt": None}
    if connection.execute(update(secrets).where(known).values(made)).rowcount != 1:
        raise rows.Stale
