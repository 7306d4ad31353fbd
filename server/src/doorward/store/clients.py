"""Clients with their secrets, account and grants: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, select, update

from doorward.protocol import client as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.entities import Account, Api, Client, Grant
from doorward.protocol.events import ClientCreated, ClientDeleted, ClientEvent, ClientUpdated
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.grant_types import client_credentials
from doorward.protocol.status_list import Place
from doorward.protocol.token import Terms
from doorward.store import accounts as account_rows
from doorward.store import apis as api_rows
from doorward.store import rows, signing_keys, usage
from doorward.store import secrets as secret_rows
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
    kept = secret_rows.of(connection, client_id)
    return ClientFacts(client, account, kept, _grants(connection, client_id), usage.of_kept(connection, kept))


def shown(connection: Connection, id_: str) -> Client | None:
    """The client alone, as its users see it; a deleted one is gone."""
    client = rows.find(connection, clients, Client, id_)
    return None if client is None or client.state == DELETED else client


def _grants(connection: Connection, client_id: str) -> tuple[GrantFacts, ...]:
    """The live grants of administrators, each with its api."""
    granted = (grants.c.client_id == client_id) & grants.c.user_id.is_(None)
    live = select(grants).where(granted, grants.c.revoked_at.is_(None))
    found = [Grant(**row._mapping) for row in connection.execute(live.order_by(grants.c.id))]
    known = ((grant, rows.find(connection, apis, Api, grant.api_id)) for grant in found)
    return tuple(
        GrantFacts(grant, api, usage.of(connection, "grant", grant.id)) for grant, api in known if api is not None
    )


def create_facts(read: Reader, asked: Asked[protocol.CreateClient]) -> protocol.CreateFacts:
    account = account_rows.by_id(read.connection, asked.body.account)
    api = api_rows.by_reference(read.connection, asked.body.api) if asked.body.api else None
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
    return client_credentials.Facts(client, signing_keys.that_sign(read), _place(read, client, request))


def terms_facts(read: Reader, terms: Terms) -> client_credentials.Facts:
    """The same for whoever asks again; it has no place in a status list."""
    return client_credentials.Facts(read(by_id, terms.client.client.id), signing_keys.that_sign(read))


def _place(read: Reader, client: ClientFacts | None, request: client_credentials.Request) -> Place | None:
    """Where the api wants status lists: an index for the token that may come of it; if none does, it is wasted."""
    if client is not None:
        for granted in client.grants:
            if granted.api.status_list and (not request.resources or granted.api.identifier in request.resources):
                # The only one, or the only one that is named: else no token comes of it.
                return read.place(min(granted.api.token_lifetime, read.policy.token_lifetime_limit))
    return None


def place_at(read: Reader, granted: UserGrantFacts | None) -> Place | None:
    """The same for a user's grant, which is for one api."""
    api = granted.api if granted else None
    wanted = api is not None and api.status_list
    return read.place(min(api.token_lifetime, read.policy.token_lifetime_limit)) if api and wanted else None


def apply(connection: Connection, event: ClientEvent, now: int) -> None:
    match event:
        case ClientCreated():
            rows.add(connection, clients, event.client)
            if event.secret is not None:
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
