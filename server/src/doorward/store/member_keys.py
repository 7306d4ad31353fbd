"""What users see of the keys of their accounts, and what is known before they make, rotate or end one."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from doorward.protocol import member_keys as protocol
from doorward.protocol import rotation
from doorward.protocol.entities import UNUSED, Account, Api, ApiKey, Usage
from doorward.protocol.member_keys import Held
from doorward.protocol.people import Session
from doorward.protocol.secret import Secret
from doorward.store import accounts, api_keys, apis, rows, users
from doorward.store.memory import Reader
from doorward.store.tables import accounts as account_table
from doorward.store.tables import api_keys as key_table
from doorward.store.tables import apis as api_table
from doorward.store.tables import secrets, sessions
from doorward.store.tables import usage as usage_table

# What a page can show; an account with more of them has /v1.
SHOWN = 200


def accounts_of(connection: Connection, ids: Iterable[str]) -> tuple[Account, ...]:
    """Those that live, by their names."""
    found = rows.find_all(connection, account_table, Account, list(ids)).values()
    return tuple(sorted((one for one in found if one.state == "active"), key=lambda one: (one.name, one.id)))


def keys_of(connection: Connection, account_ids: Iterable[str], key_id: str | None = None) -> tuple[Held, ...]:
    """Those that are not revoked, the newest first; or this one of them. Whoever stole a session finds no decoys."""
    live = key_table.c.account_id.in_(list(account_ids)) & key_table.c.state.not_in(("revoked", "decoy"))
    live = live if key_id is None else live & (key_table.c.id == key_id)
    query = select(key_table).where(live).order_by(key_table.c.created_at.desc(), key_table.c.id).limit(SHOWN)
    found = [ApiKey(**row._mapping) for row in connection.execute(query)]
    ids = [key.id for key in found]
    opened = rows.find_all(connection, api_table, Api, {key.api_id for key in found})
    used, kept = _usage(connection, ids), _secrets(connection, ids)
    return tuple(
        Held(key, opened[key.api_id], rotation.current(kept.get(key.id, ())), used.get(key.id, UNUSED))
        for key in found
        if key.api_id in opened
    )


def _usage(connection: Connection, ids: list[str]) -> dict[str, Usage]:
    of_keys = (usage_table.c.kind == "api_key") & usage_table.c.id.in_(ids)
    found = connection.execute(select(usage_table).where(of_keys))
    return {row.id: Usage(row.uses, row.last_used_at) for row in found}


def _secrets(connection: Connection, ids: list[str]) -> dict[str, list[Secret]]:
    owned = select(secrets).where(secrets.c.owner_id.in_(ids)).order_by(secrets.c.created_at, secrets.c.id)
    kept: dict[str, list[Secret]] = {}
    for row in connection.execute(owned):
        kept.setdefault(row.owner_id, []).append(Secret(**row._mapping))
    return kept


def opened(connection: Connection) -> tuple[Api, ...]:
    """The apis that are open to users."""
    query = select(api_table).where(api_table.c.self_service != "").order_by(api_table.c.name)
    return tuple(Api(**row._mapping) for row in connection.execute(query.limit(SHOWN)))


def make_facts(read: Reader, request: protocol.Make) -> protocol.MakeFacts:
    connection, proof = read.connection, request.proof
    user, session = users.by_id(connection, proof.user_id), _session(read, proof)
    account, api = accounts.by_id(connection, request.account_id), apis.by_id(connection, request.api_id)
    if user is None or account is None or api is None:
        return protocol.MakeFacts()
    # Of many who make one at once each has to count those of the others.
    read.rely(*user.refs, f"account/{account.id}", f"api/{api.id}", f"keys_of/{account.id}")
    return protocol.MakeFacts(user, session, account, api, _ends(connection, account.id))


def _ends(connection: Connection, account_id: str) -> tuple[int | None, ...]:
    made = (key_table.c.account_id == account_id) & key_table.c.user_id.is_not(None) & (key_table.c.state != "revoked")
    query = select(key_table.c.expires_at).where(made).order_by(key_table.c.expires_at.desc().nulls_first())
    return tuple(connection.execute(query.limit(protocol.LIVE_LIMIT)).scalars())


def key_facts(read: Reader, request: protocol.EndKey) -> protocol.KeyFacts:
    return _key_facts(read, request.user_id, request.key_id)


def rotate_facts(read: Reader, request: protocol.Rotate) -> protocol.KeyFacts:
    return _key_facts(read, request.proof.user_id, request.key_id, _session(read, request.proof))


def _key_facts(read: Reader, user_id: str, key_id: str, session: Session | None = None) -> protocol.KeyFacts:
    user, known = users.by_id(read.connection, user_id), api_keys.by_id(read.connection, key_id)
    key = known.api_key
    if user is None or key is None:
        return protocol.KeyFacts()
    read.rely(*user.refs, f"api_key/{key.id}", f"account/{key.account_id}", f"api/{key.api_id}")
    return protocol.KeyFacts(known, user, session)


def _session(read: Reader, proof: protocol.Proof) -> Session | None:
    read.rely(f"session/{proof.session_id}")
    return rows.find(read.connection, sessions, Session, proof.session_id)
