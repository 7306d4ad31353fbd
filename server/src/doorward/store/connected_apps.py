"""What a user's own page shows of apps, and what is known before he ends one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, select

from doorward.protocol import connected_apps as protocol
from doorward.protocol.connected_apps import Allowed
from doorward.protocol.entities import Client, Grant
from doorward.store import apis
from doorward.store.clients import DELETED
from doorward.store.memory import Reader
from doorward.store.tables import clients, grants
from doorward.store.tables import usage as usage_table

# What a page can show; an account with more of them has /v1.
SHOWN = 200


def allowed_by(connection: Connection, user_id: str) -> tuple[Allowed, ...]:
    """Grants that allow the same are one: every silent authorization makes another, and none may hide an app."""
    live = (grants.c.user_id == user_id) & grants.c.revoked_at.is_(None)
    since, used = func.min(grants.c.created_at), func.max(usage_table.c.last_used_at)
    alike = (grants.c.client_id, grants.c.api_id, grants.c.scope)
    of_grant = (usage_table.c.kind == "grant") & (usage_table.c.id == grants.c.id)
    query = select(*alike, since, used).outerjoin_from(grants, usage_table, of_grant).where(live).group_by(*alike)
    known = {client.id: client for client in _clients(connection, live)}
    found = connection.execute(query.where(grants.c.client_id.in_(list(known))).order_by(since, *alike)).all()
    of_api = {api_id: apis.by_id(connection, api_id) for _, api_id, *_ in found if api_id is not None}
    return tuple(Allowed(known[client_id], of_api.get(api_id), *rest) for client_id, api_id, *rest in found)


def _clients(connection: Connection, live: ColumnElement[bool]) -> tuple[Client, ...]:
    """As many as a page can show, whom he allowed something last; how much he allowed each takes no other's place."""
    allowed = select(grants.c.client_id, func.max(grants.c.created_at).label("last")).where(live)
    latest = allowed.group_by(grants.c.client_id).subquery()
    query = select(clients).join(latest, latest.c.client_id == clients.c.id).where(clients.c.state != DELETED)
    found = connection.execute(query.order_by(latest.c.last.desc(), clients.c.id).limit(SHOWN))
    return tuple(Client(**row._mapping) for row in found)


def grants_facts(read: Reader, request: protocol.Disconnect) -> tuple[Grant, ...]:
    """The newest that live, which have tokens most likely; as many as end at once.

    Whoever allows something meanwhile touches neither user nor client: the store's order says which was first.
    """
    live = (grants.c.user_id == request.user_id) & (grants.c.client_id == request.client_id)
    query = select(grants).where(live, grants.c.revoked_at.is_(None)).limit(protocol.AT_ONCE)
    rows = read.connection.execute(query.order_by(grants.c.created_at.desc(), grants.c.id))
    found = tuple(Grant(**row._mapping) for row in rows)
    read.rely(f"user/{request.user_id}", *(f"grant/{one.id}" for one in found))
    return found
