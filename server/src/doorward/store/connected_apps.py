"""What a user's own page shows of apps and keys, and what is known before he ends one."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from doorward.protocol import connected_apps as protocol
from doorward.protocol.connected_apps import Allowed
from doorward.protocol.entities import Api, ApiKey, Client, Grant, Usage
from doorward.store import api_keys, apis, rows, usage, users
from doorward.store.clients import DELETED
from doorward.store.memory import Reader
from doorward.store.tables import api_keys as key_table
from doorward.store.tables import clients, grants

# What a page can show; an account with more of them has /v1.
SHOWN = 200


def allowed_by(connection: Connection, user_id: str) -> tuple[Allowed, ...]:
    live = select(grants).where(grants.c.user_id == user_id, grants.c.revoked_at.is_(None)).limit(SHOWN)
    found = [Grant(**row._mapping) for row in connection.execute(live.order_by(grants.c.created_at, grants.c.id))]
    complete = (_allowed(connection, grant) for grant in found)
    return tuple(one for one in complete if one is not None)


def _allowed(connection: Connection, grant: Grant) -> Allowed | None:
    client = rows.find(connection, clients, Client, grant.client_id)
    if client is None or client.state == DELETED:
        return None
    api = None if grant.api_id is None else apis.by_id(connection, grant.api_id)
    return Allowed(grant, client, api, usage.of(connection, "grant", grant.id))


def grants_facts(read: Reader, request: protocol.Disconnect) -> tuple[Grant, ...]:
    """Whoever allows something meanwhile touches neither user nor client: the store's order says which was first."""
    return tuple(one for one in users.live_grants(read, request.user_id) if one.client_id == request.client_id)


def keys_of(connection: Connection, account_ids: Iterable[str]) -> tuple[tuple[ApiKey, Api, Usage], ...]:
    """Those that are not revoked, the newest first."""
    live = key_table.c.account_id.in_(list(account_ids)) & (key_table.c.state != "revoked")
    query = select(key_table).where(live).order_by(key_table.c.created_at.desc(), key_table.c.id).limit(SHOWN)
    found = [ApiKey(**row._mapping) for row in connection.execute(query)]
    known = ((key, apis.by_id(connection, key.api_id), usage.of(connection, "api_key", key.id)) for key in found)
    return tuple((key, api, used) for key, api, used in known if api is not None)


def key_facts(read: Reader, request: protocol.EndKey) -> protocol.KeyFacts:
    user = users.by_id(read.connection, request.user_id)
    key = api_keys.by_id(read.connection, request.key_id).api_key
    if user is None or key is None:
        return protocol.KeyFacts()
    read.rely(*user.refs, f"api_key/{key.id}")
    return protocol.KeyFacts(key, user.memberships)
