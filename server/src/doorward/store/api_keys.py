"""Api keys: reads and what their events do."""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from sqlalchemy import Connection, update

from doorward.protocol import api_key as protocol
from doorward.protocol import credential, exposure, key_check, own_key
from doorward.protocol.admin import Asked
from doorward.protocol.credential import ApiKeyFacts, Presented
from doorward.protocol.entities import Account, Api, ApiKey
from doorward.protocol.events import ApiKeyCreated, ApiKeyEvent, ApiKeyExpired, ApiKeyRevoked, ApiKeyUpdated
from doorward.protocol.exposure_events import ApiKeySeen
from doorward.protocol.key_events import ApiKeyRehashed, ApiKeySelfMade
from doorward.protocol.secret import Secret
from doorward.store import accounts as account_rows
from doorward.store import apis as api_rows
from doorward.store import rows, usage, verifiers
from doorward.store import secrets as secret_rows
from doorward.store.memory import Reader
from doorward.store.tables import accounts, api_keys, apis, secrets
from doorward_verify.arrival import BROWSER, URL


def by_secret_id(connection: Connection, secret_id: str) -> ApiKeyFacts | None:
    """The key, account and api behind a secret's public id."""
    return _complete(connection, rows.find(connection, secrets, Secret, secret_id))


def by_secret_ids(connection: Connection, ids: Collection[str]) -> dict[str, ApiKeyFacts]:
    """Many at once, by the public ids of their secrets; what is no key's is left out."""
    if not ids:
        return {}
    found = {
        id_: secret for id_, secret in rows.find_all(connection, secrets, Secret, ids).items() if secret.kind == ""
    }
    keys = rows.find_all(connection, api_keys, ApiKey, {secret.owner_id for secret in found.values()})
    owners = rows.find_all(connection, accounts, Account, {key.account_id for key in keys.values()})
    opened = rows.find_all(connection, apis, Api, {key.api_id for key in keys.values()})
    named = ((secret, keys[secret.owner_id]) for secret in found.values() if secret.owner_id in keys)
    return {secret.id: ApiKeyFacts(key, secret, owners[key.account_id], opened[key.api_id]) for secret, key in named}


def by_mac(connection: Connection, mac: bytes) -> ApiKeyFacts | None:
    return _complete(connection, rows.find(connection, secrets, Secret, mac, by="mac"))


def _complete(connection: Connection, secret: Secret | None) -> ApiKeyFacts | None:
    if secret is None or secret.kind != "":
        return None
    key = rows.find(connection, api_keys, ApiKey, secret.owner_id)
    if key is None:
        return None
    account = rows.find(connection, accounts, Account, key.account_id)
    api = rows.find(connection, apis, Api, key.api_id)
    if account is None or api is None:
        return None
    return ApiKeyFacts(key, secret, account, api, secret_rows.waiting(connection, key.id, secret.id))


def by_id(connection: Connection, id_: str) -> protocol.Facts:
    """A key by its own id or by the public id of one of its secrets (decision 12)."""
    key = rows.find(connection, api_keys, ApiKey, id_)
    if key is None:
        named = rows.find(connection, secrets, Secret, id_)
        key = None if named is None or named.kind else rows.find(connection, api_keys, ApiKey, named.owner_id)
    if key is None:
        return protocol.Facts(None)
    account = rows.find(connection, accounts, Account, key.account_id)
    api = rows.find(connection, apis, Api, key.api_id)
    kept, used = secret_rows.of(connection, key.id), usage.of(connection, "api_key", key.id)
    return protocol.Facts(key, kept, account, api, used, usage.of_kept(connection, kept))


def create_facts(read: Reader, asked: Asked[protocol.CreateKey]) -> protocol.CreateFacts:
    account = account_rows.by_id(read.connection, asked.body.account)
    api = api_rows.by_reference(read.connection, asked.body.api)
    read.rely(f"account/{asked.body.account}", f"api/{api.id}" if api else "")
    return protocol.CreateFacts(account, api)


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    known = by_id(read.connection, asked.id)
    if known.api_key is not None:
        read.rely(f"api_key/{known.api_key.id}", f"api/{known.api_key.api_id}")
    return known


def check_facts(read: Reader, asked: Asked[key_check.CheckKey]) -> key_check.Facts:
    """Hot: answered from memory when the key is known there."""
    return _presented(read, asked.body.key)


def batch_facts(read: Reader, asked: Asked[key_check.CheckKeys]) -> key_check.BatchFacts:
    key_check.bounded(asked.body)
    return key_check.BatchFacts(tuple(_presented(read, one.key) for one in asked.body.keys))


def _presented(read: Reader, text: str) -> key_check.Facts:
    about = credential.presented(text, read.policy.brand)
    return key_check.Facts(about, of_text(read, about) if about.kind in ("api_key", "legacy") else None)


def legacy(read: Reader, digest: bytes) -> ApiKeyFacts | None:
    """An imported key, whose text says nothing: it is found by its MAC."""
    if not secret_rows.are_imported(read):
        return None
    known = (read(by_mac, mac) for mac in read.policy.pepper.macs(digest))
    return next((found for found in known if found is not None), None)


def own_facts(read: Reader, request: own_key.Request) -> ApiKeyFacts | None:
    return of_text(read, request.about)


def of_text(read: Reader, about: Presented) -> ApiKeyFacts | None:
    """Of what was shown; nothing is believed before its check."""
    return read(by_secret_id, about.id) if about.kind == "api_key" else legacy(read, about.digest)


def exposure_facts(read: Reader, request: exposure.Request) -> exposure.Facts:
    """Of the keys that were seen, those of the verifier's api."""
    verifier = read(verifiers.by_id, request.credentials.client_id)
    if verifier is None:
        return exposure.Facts(None, {})
    found = rows.find_all(read.connection, api_keys, ApiKey, {one.id for one in request.seen})
    ours = {id_: key for id_, key in found.items() if key.api_id == verifier.api.id}
    read.rely(*(f"api_key/{id_}" for id_ in ours))
    return exposure.Facts(verifier, ours)


def _mark(connection: Connection, event: ApiKeySeen) -> None:
    """It is no new version: who changes the key meanwhile reads it again, since this is a change as well."""
    column = {URL: api_keys.c.seen_in_url_at, BROWSER: api_keys.c.seen_in_browser_at}[event.where]
    first = update(api_keys).where(api_keys.c.id == event.api_key.id, column.is_(None))
    if connection.execute(first.values({column: event.seen_at})).rowcount != 1:
        raise rows.Stale


def apply(connection: Connection, event: ApiKeyEvent | ApiKeyRehashed | ApiKeySelfMade | ApiKeySeen) -> None:
    match event:
        case ApiKeyCreated() | ApiKeySelfMade():
            rows.add(connection, api_keys, event.api_key)
            rows.add(connection, secrets, event.secret)
        case ApiKeyUpdated() | ApiKeyRevoked() | ApiKeyExpired():
            rows.replace(connection, api_keys, event.api_key)
        case ApiKeyRehashed():
            secret_rows.rehash(connection, event.secret)
        case ApiKeySeen():
            _mark(connection, event)
        case _:
            assert_never(event)
