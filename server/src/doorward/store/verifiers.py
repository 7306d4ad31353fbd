"""Verifiers: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, func, select

from doorward.protocol import feed, usage
from doorward.protocol import verifier as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.entities import Api, Verifier
from doorward.protocol.events import VerifierCreated, VerifierEvent, VerifierRevoked
from doorward.protocol.verifier import VerifierFacts
from doorward.store import apis as api_rows
from doorward.store import rows
from doorward.store import secrets as secret_rows
from doorward.store import usage as usage_rows
from doorward.store.memory import Reader
from doorward.store.tables import api_keys, apis, clients, grants, secrets, verifiers


def by_id(connection: Connection, id_: str) -> VerifierFacts | None:
    verifier = rows.find(connection, verifiers, Verifier, id_)
    if verifier is None:
        return None
    api = rows.find(connection, apis, Api, verifier.api_id)
    assert api is not None, "an api with verifiers is never deleted"
    kept = secret_rows.of(connection, id_)
    return VerifierFacts(verifier, api, kept, usage_rows.of_kept(connection, kept))


def create_facts(read: Reader, asked: Asked[protocol.CreateVerifier]) -> protocol.CreateFacts:
    api = api_rows.by_reference(read.connection, asked.body.api)
    read.rely(f"api/{api.id}" if api else "")
    return protocol.CreateFacts(api)


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    known = by_id(read.connection, asked.id)
    read.rely(f"verifier/{asked.id}")
    return protocol.Facts(known)


def feed_facts(read: Reader, request: feed.Request) -> VerifierFacts | None:
    """Hot: answered from memory when the verifier is known there."""
    return read(by_id, request.credentials.client_id)


def usage_facts(read: Reader, request: usage.Request) -> usage.Facts:
    """Of what is said to have been used, that which is of the verifier's api."""
    verifier = read(by_id, request.credentials.client_id)
    if verifier is None:
        return usage.Facts(None, {})
    known: dict[tuple[str, str], usage.Known] = {}
    for kind, query in _NAMED.items():
        named = {one.id for one in request.usage if one.kind == kind}
        ours = query.where(query.selected_columns.id.in_(named), query.selected_columns.api_id == verifier.api.id)
        found = read.connection.execute(ours) if named else ()
        known |= {(kind, row.id): usage.Known(row.created_at, row.account_id) for row in found}
    return usage.Facts(verifier, known, _superseded_at(read.connection, {id_ for kind, id_ in known}, request))


# Whom a token of a client's own acts for is its account.
_NAMED = {
    "api_key": select(api_keys.c.id, api_keys.c.api_id, api_keys.c.created_at, api_keys.c.account_id),
    "grant": select(
        grants.c.id, grants.c.api_id, grants.c.created_at,
        func.coalesce(grants.c.account_id, clients.c.account_id).label("account_id"),
    ).join(clients, clients.c.id == grants.c.client_id),
}  # fmt: skip


def _superseded_at(
    connection: Connection, owners: set[str], request: usage.Request
) -> dict[tuple[str, str], int | None]:
    """Of the secrets that were named, those of the keys that were."""
    named = {one.secret_id for one in request.usage if one.secret_id}
    ours = secrets.c.id.in_(named) & secrets.c.owner_id.in_(owners)
    query = select(secrets.c.owner_id, secrets.c.id, secrets.c.superseded_at).where(ours)
    return {(row.owner_id, row.id): row.superseded_at for row in connection.execute(query)} if named else {}


def apply(connection: Connection, event: VerifierEvent) -> None:
    match event:
        case VerifierCreated():
            rows.add(connection, verifiers, event.verifier)
            rows.add(connection, secrets, event.secret)
        case VerifierRevoked():
            rows.replace(connection, verifiers, event.verifier)
        case _:
            assert_never(event)
