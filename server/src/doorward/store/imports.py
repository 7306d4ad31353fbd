"""Imported keys: what is known before some are added, and which slow hashes a text may be the key of."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from doorward.protocol import key_import, rehash
from doorward.protocol.admin import Asked
from doorward.protocol.credential import ApiKeyFacts
from doorward.protocol.entities import Account, Api
from doorward.protocol.secret import Secret
from doorward.store import api_keys, apis, rows
from doorward.store import secrets as secret_rows
from doorward.store.memory import Reader
from doorward.store.tables import accounts, secrets

# Public beginnings of several lengths may fit one text.
CANDIDATES = 3 * key_import.SLOW_LIMIT


def facts(read: Reader, asked: Asked[key_import.ImportKeys]) -> key_import.Facts:
    body, connection = key_import.bounded(asked.body), read.connection
    named = _sayable(name for row in body.rows for name in (row.account, key_import.account_id(row.account)))
    owners = rows.find_all(connection, accounts, Account, named)
    referred = {reference: apis.by_reference(connection, reference) for reference in _sayable(r.api for r in body.rows)}
    opened: dict[str, Api] = {reference: api for reference, api in referred.items() if api is not None}
    macs = {mac for row in body.rows for mac in key_import.macs(row, body, read.policy)}
    found = rows.find_all(connection, secrets, Secret, macs, by="mac")
    found |= rows.find_all(connection, secrets, Secret, key_import.secret_ids(body))
    read.rely(*(f"account/{id_}" for id_ in named), *(f"api/{api.id}" for api in opened.values()))
    slow = _slow(connection, {row.prefix for row in body.rows if row.bcrypt is not None})
    return key_import.Facts(owners, opened, {name: secret.owner_id for name, secret in found.items()}, slow)


def _sayable(words: Iterable[str]) -> set[str]:
    """What a database could hold at all."""
    return {word for word in words if word.isprintable()}


def _slow(connection: Connection, prefixes: set[str]) -> dict[str, int]:
    waiting = secrets.c.legacy.in_(_sayable(prefixes)) & secrets.c.bcrypt.is_not(None)
    query = select(secrets.c.legacy, func.count().label("number")).where(waiting).group_by(secrets.c.legacy)
    return {row.legacy: row.number for row in connection.execute(query)}


def candidates(read: Reader, shown: rehash.Shown) -> tuple[Secret, ...]:
    """Those of the public beginning of a text; none where the text is known already, or nothing was imported."""
    if not secret_rows.are_imported(read) or api_keys.legacy(read, shown.digest) is not None:
        return ()
    fits = secrets.c.legacy.in_(shown.prefixes) & secrets.c.bcrypt.is_not(None)
    query = select(secrets).where(fits).order_by(secrets.c.legacy.desc(), secrets.c.id).limit(CANDIDATES)
    return tuple(Secret(**row._mapping) for row in read.connection.execute(query))


def rehash_facts(read: Reader, request: rehash.Rehash) -> ApiKeyFacts | None:
    found = api_keys.by_secret_id(read.connection, request.secret_id)
    if found is not None:
        read.rely(f"api_key/{found.api_key.id}")
    return found
