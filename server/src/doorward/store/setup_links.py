"""Setup links: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, update

from doorward.protocol import setup as protocol
from doorward.protocol.entities import SetupLink
from doorward.protocol.events import SetupEvent, SetupLinkCreated, SetupLinkUsed
from doorward.store import admin_keys, rows, users
from doorward.store.memory import Reader
from doorward.store.tables import setup_links


def facts(read: Reader, request: protocol.UseLink) -> protocol.Facts:
    read.rely("setup/first")
    link = rows.find(read.connection, setup_links, SetupLink, protocol.digest(request.token), by="digest")
    name = request.username
    namesake = None if name is None else users.by_username(read.connection, name)
    return protocol.Facts(link, _administrator_exists(read.connection), namesake)


def _administrator_exists(connection: Connection) -> bool:
    return admin_keys.exist(connection) or users.administrators_exist(connection)


def offer_facts(read: Reader, request: None) -> bool:  # noqa: ARG001  the runner's signature
    """Whether an administrator exists."""
    read.rely("setup/first")
    return _administrator_exists(read.connection)


def apply(connection: Connection, event: SetupEvent) -> None:
    match event:
        case SetupLinkCreated():
            rows.add(connection, setup_links, event.link)
        case SetupLinkUsed():
            unused = (setup_links.c.digest == event.link.digest) & setup_links.c.used_at.is_(None)
            used = update(setup_links).where(unused).values(used_at=event.link.used_at)
            if connection.execute(used).rowcount != 1:
                raise rows.Stale
        case _:
            assert_never(event)
