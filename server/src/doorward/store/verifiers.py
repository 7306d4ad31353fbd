"""Verifiers: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, select

from doorward.protocol import feed, usage
from doorward.protocol import verifier as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.entities import Api, Verifier
from doorward.protocol.events import VerifierCreated, VerifierEvent, VerifierRevoked
from doorward.protocol.verifier import VerifierFacts
from doorward.store import apis as api_rows
from doorward.store import rows
from doorward.store import secrets as secret_rows
from doorward.store.memory import Reader
from doorward.store.tables import api_keys, apis, grants, secrets, verifiers


def by_id(connection: Connection, id_: str) -> VerifierFacts | None:
    verifier = rows.find(connection, verifiers, Verifier, id_)
    if verifier is None:
        return None
    api = rows.find(connection, apis, Api, verifier.api_id)
    assert api is not None, "an api with verifiers is never deleted"
    return VerifierFacts(verifier, api, secret_rows.of(connection, id_))


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
    made: dict[tuple[str, str], int] = {}
    for kind, table in (("api_key", api_keys), ("grant", grants)):
        named = {one.id for one in request.usage if one.kind == kind}
        ours = table.c.id.in_(named) & (table.c.api_id == verifier.api.id)
        found = read.connection.execute(select(table.c.id, table.c.created_at).where(ours)) if named else ()
        made |= {(kind, row.id): row.created_at for row in found}
    return usage.Facts(verifier, made)


def apply(connection: Connection, event: VerifierEvent) -> None:
    match event:
        case VerifierCreated():
            rows.add(connection, verifiers, event.verifier)
            rows.add(connection, secrets, event.secret)
        case VerifierRevoked():
            rows.replace(connection, verifiers, event.verifier)
        case _:
            assert_never(event)
