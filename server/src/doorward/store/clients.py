"""Clients with their secrets, account and grants: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, select, update

from doorward.protocol import client as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.entities import Account, Api, Client, Grant
from doorward.protocol.events import ClientCreated, ClientDeleted, ClientEvent, ClientUpdated
from doorward.protocol.grant_types import client_credentials
from doorward.protocol.secret import Secret
from doorward.store import accounts as account_rows
from doorward.store import apis as api_rows
from doorward.store import rows, signing_keys
from doorward.store.memory import Reader
from doorward.store.tables import accounts, apis, clients, grants, secrets

DELETED = "deleted"


def by_id(connection: Connection, client_id: str) -> ClientFacts | None:
    """Everything that decides what a client may do; a deleted one is gone."""
    client = rows.find(connection, clients, Client, client_id)
    if client is None or client.state == DELETED:
        return None
    account = rows.find(connection, accounts, Account, client.account_id)
    assert account is not None, "accounts are never deleted"
    return ClientFacts(client, account, secrets_of(connection, client_id), _grants(connection, client_id))


def secrets_of(connection: Connection, owner_id: str) -> tuple[Secret, ...]:
    owned = select(secrets).where(secrets.c.owner_id == owner_id)
    found = connection.execute(owned.order_by(secrets.c.created_at))
    return tuple(Secret(**row._mapping) for row in found)


def _grants(connection: Connection, client_id: str) -> tuple[GrantFacts, ...]:
    """The live grants, each with its api."""
    live = select(grants).where(grants.c.client_id == client_id, grants.c.revoked_at.is_(None))
    found = [Grant(**row._mapping) for row in connection.execute(live.order_by(grants.c.id))]
    known = ((grant, rows.find(connection, apis, Api, grant.api_id)) for grant in found)
    return tuple(GrantFacts(grant, api) for grant, api in known if api is not None)


def create_facts(read: Reader, asked: Asked[protocol.CreateClient]) -> protocol.CreateFacts:
    account = account_rows.by_id(read.connection, asked.body.account)
    api = api_rows.by_reference(read.connection, asked.body.api)
    read.rely(f"account/{asked.body.account}", f"api/{api.id}" if api else "")
    return protocol.CreateFacts(account, api)


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    known = by_id(read.connection, asked.id)
    if known is not None:
        read.rely(*known.refs)
    named = getattr(asked.body, "api", None)
    api = None if named is None else api_rows.by_reference(read.connection, named)
    if api is not None:
        read.rely(f"api/{api.id}")
    return protocol.Facts(known, api)


def token_facts(read: Reader, request: client_credentials.Request) -> client_credentials.Facts:
    """Hot: answered from memory when the client is known there."""
    client = read(by_id, request.credentials.client_id)
    published = read(signing_keys.published, "all")
    return client_credentials.Facts(client, () if published is None else published.keys)


def apply(connection: Connection, event: ClientEvent, now: int) -> None:
    match event:
        case ClientCreated():
            rows.add(connection, clients, event.client)
            rows.add(connection, secrets, event.secret)
            for grant in event.grants:
                rows.add(connection, grants, grant)
        case ClientUpdated():
            rows.replace(connection, clients, event.client)
        case ClientDeleted():
            rows.replace(connection, clients, event.client)
            ended = update(grants).where(grants.c.client_id == event.client.id, grants.c.revoked_at.is_(None))
            connection.execute(ended.values(revoked_at=now))
        case _:
            assert_never(event)
