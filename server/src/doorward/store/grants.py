"""Grants: what their events do. A token lives exactly as long as its grant: a join, never a cascade."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection

from doorward.protocol.events import GrantChanged, GrantCreated, GrantEvent, GrantRevoked
from doorward.store import rows
from doorward.store.tables import grants


def apply(connection: Connection, event: GrantEvent) -> None:
    match event:
        case GrantCreated():
            rows.add(connection, grants, event.grant)
        case GrantChanged() | GrantRevoked():
            rows.replace(connection, grants, event.grant)
        case _:
            assert_never(event)
