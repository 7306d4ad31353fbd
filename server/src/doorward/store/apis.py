"""Apis: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, delete, func, or_, select

from doorward.protocol import api as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.entities import Api
from doorward.protocol.events import ApiCreated, ApiDeleted, ApiEvent, ApiUpdated
from doorward.protocol.key_events import LegacyTurned
from doorward.store import routes, rows
from doorward.store.memory import Reader
from doorward.store.tables import api_keys, apis, grants, verifiers


def by_reference(connection: Connection, reference: str) -> Api | None:
    """An api by its identifier, id or name (in any case)."""
    same = or_(apis.c.identifier == reference, apis.c.id == reference, func.lower(apis.c.name) == reference.lower())
    exact = (apis.c.identifier != reference, apis.c.id != reference)
    return rows.value(Api, connection.execute(select(apis).where(same).order_by(*exact)).first())


def by_id(connection: Connection, id_: str) -> Api | None:
    return rows.find(connection, apis, Api, id_)


def _by_name(connection: Connection, name: str) -> Api | None:
    same = select(apis).where(func.lower(apis.c.name) == name.lower())
    return rows.value(Api, connection.execute(same).first())


def create_facts(read: Reader, asked: Asked[protocol.CreateApi]) -> protocol.CreateFacts:
    body, connection = asked.body, read.connection
    read.rely("api/new")
    same = rows.find(connection, apis, Api, body.identifier, by="identifier")
    return protocol.CreateFacts(same, _by_name(connection, body.name), routes.of_apis(read))


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    connection = read.connection
    api = by_reference(connection, asked.id)
    if api is not None:
        read.rely(f"api/{api.id}")
    name = getattr(asked.body, "name", None)
    same_name = None if name is None else _by_name(connection, name)
    return protocol.Facts(api, same_name, api is not None and _in_use(connection, api.id), routes.of_apis(read))


def _in_use(connection: Connection, api_id: str) -> bool:
    return any(
        connection.execute(select(table.c.id).where(table.c.api_id == api_id).limit(1)).first() is not None
        for table in (api_keys, grants, verifiers)
    )


def apply(connection: Connection, event: ApiEvent | LegacyTurned) -> None:
    match event:
        case ApiCreated():
            rows.add(connection, apis, event.api)
        case LegacyTurned():
            pass  # the api's own event wrote it; this one is for whoever remembers which apis there are
        case ApiUpdated():
            rows.replace(connection, apis, event.api)
        case ApiDeleted():
            guard = (apis.c.id == event.api.id) & (apis.c.version == event.api.version)
            if connection.execute(delete(apis).where(guard)).rowcount != 1:
                raise rows.Stale
        case _:
            assert_never(event)
