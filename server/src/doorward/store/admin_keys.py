"""Admin keys: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, select

from doorward.protocol import admin_key as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.entities import AdminKey
from doorward.protocol.events import AdminKeyCreated, AdminKeyEvent, AdminKeyRevoked
from doorward.protocol.secret import Secret
from doorward.store import rows
from doorward.store import secrets as secret_rows
from doorward.store.memory import Reader
from doorward.store.tables import admin_keys, secrets


def by_secret_id(connection: Connection, secret_id: str) -> AdminKeyFacts | None:
    secret = rows.find(connection, secrets, Secret, secret_id)
    if secret is None or secret.kind != "a":
        return None
    return by_id(connection, secret.owner_id)


def by_id(connection: Connection, id_: str) -> AdminKeyFacts | None:
    key = rows.find(connection, admin_keys, AdminKey, id_)
    return None if key is None else AdminKeyFacts(key, secret_rows.of(connection, id_)[0])


def exist(connection: Connection) -> bool:
    """Whether any admin key was ever made."""
    return connection.execute(select(admin_keys.c.id).limit(1)).first() is not None


def create_facts(read: Reader, asked: Asked[protocol.CreateAdminKey]) -> protocol.CreateFacts:  # noqa: ARG001
    return protocol.CreateFacts()


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    read.rely(f"admin_key/{asked.id}")
    return protocol.Facts(by_id(read.connection, asked.id))


def apply(connection: Connection, event: AdminKeyEvent) -> None:
    match event:
        case AdminKeyCreated():
            rows.add(connection, admin_keys, event.admin_key)
            rows.add(connection, secrets, event.secret)
        case AdminKeyRevoked():
            rows.replace(connection, admin_keys, event.admin_key)
        case _:
            assert_never(event)
