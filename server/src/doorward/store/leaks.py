"""Leaks: what is known of reported secrets, reads, and what their events do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from sqlalchemy import Connection, insert

from doorward.protocol import leak as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.credential import ApiKeyFacts, Presented, RefreshTokenFacts, TokenFacts
from doorward.protocol.entities import Leak, RefreshToken
from doorward.protocol.leak_events import (
    ApiKeySecretRevoked,
    ClientSecretRevoked,
    DecoyTried,
    LeakReported,
    LeakUpdated,
    OfLeaks,
    SecretRevoked,
    VerifierSecretRevoked,
)
from doorward.protocol.leak_report import ReportLeaks, reports
from doorward.protocol.secret import Secret
from doorward.store import (
    admin_keys,
    api_keys,
    clients,
    notices,
    refresh_tokens,
    rows,
    signing_keys,
    tokens,
    verifiers,
)
from doorward.store import secrets as secret_rows
from doorward.store.memory import Reader
from doorward.store.tables import leaks, secrets
from doorward.store.tables import refresh_tokens as refresh_token_table
from doorward_verify import jwt


def by_id(connection: Connection, id_: str) -> Leak | None:
    return rows.find(connection, leaks, Leak, id_)


def facts(read: Reader, given: tuple[protocol.Report, ...]) -> protocol.BatchFacts:
    """Of api keys there may be a thousand in one call: all of them are read at once."""
    keys = signing_keys.known(read)
    ids = {report.about.id for report in given if report.about.kind == "api_key"}
    known = api_keys.by_secret_ids(read.connection, ids)
    told = rows.find_all(read.connection, leaks, Leak, map(protocol.id_of, ids))
    return protocol.BatchFacts(tuple(_facts(read, report.about, keys, known, told) for report in given), keys)


def report_facts(read: Reader, asked: Asked[ReportLeaks]) -> protocol.BatchFacts:
    return facts(read, reports(asked.body, read.policy.brand))


def _facts(
    read: Reader, about: Presented, keys: jwt.Keys, known: Mapping[str, ApiKeyFacts], told: Mapping[str, Leak]
) -> protocol.Facts:
    if about.kind == "api_key":
        key, id_ = known.get(about.id), protocol.id_of(about.id)
        read.rely(f"leak/{id_}", *(key.refs if key else ()))
        return protocol.Facts(key, told.get(id_))
    found, secret_id = _about(read, about, keys)
    if found is None or not secret_id:
        return protocol.Facts(None)
    id_ = protocol.id_of(secret_id)
    read.rely(f"leak/{id_}")
    return protocol.Facts(found, by_id(read.connection, id_))


def _about(read: Reader, about: Presented, keys: jwt.Keys) -> tuple[protocol.About | None, str]:
    """What a text names, and the id under which its leak is kept; nothing is believed before its check."""
    match about.kind:
        case "admin_key":
            return read(admin_keys.by_secret_id, about.id), about.id
        case "secret":
            return _owner(read, rows.find(read.connection, secrets, Secret, about.id)), about.id
        case "digest":
            return _by_digest(read, about.digest)
        case "legacy":
            imported = api_keys.legacy(read, about.digest)
            return imported, "" if imported is None else imported.secret.id
        case _:
            found = tokens.token(read, about, keys)
            return found, _token_id(found)


def _token_id(found: TokenFacts | RefreshTokenFacts | None) -> str:
    if found is None:
        return ""
    return found.jti if isinstance(found, TokenFacts) else found.token.id


def _by_digest(read: Reader, digest: bytes) -> tuple[protocol.About | None, str]:
    """Reports that carry no text (decision 16a). A JWT is kept nowhere, and cannot be found like this."""
    for mac in read.policy.pepper.macs(digest):
        secret = rows.find(read.connection, secrets, Secret, mac, by="mac")
        if secret is not None:
            return _owner(read, secret), secret.id
        found = read(tokens.opaque_by_mac, mac) or _refresh_token(read, mac)
        if found is not None:
            return found, _token_id(found)
    return None, ""


def _refresh_token(read: Reader, mac: bytes) -> RefreshTokenFacts | None:
    token = rows.find(read.connection, refresh_token_table, RefreshToken, mac, by="mac")
    return read(refresh_tokens.complete, token.id) if token else None


def _owner(read: Reader, secret: Secret | None) -> protocol.About | None:
    if secret is None:
        return None
    if secret.kind == "":
        known: ApiKeyFacts | None = read(api_keys.by_secret_id, secret.id)
        return known
    if secret.kind == "a":
        admin: AdminKeyFacts | None = read(admin_keys.by_secret_id, secret.id)
        return admin
    if secret.owner_id.startswith("verifier_"):
        return read(verifiers.by_id, secret.owner_id)
    return read(clients.by_id, secret.owner_id)


_ADD = insert(leaks)


def end_all(connection: Connection, events: Sequence[SecretRevoked], now: int) -> None:
    secret_rows.end(connection, [event.secret.id for event in events], now)


def report_all(connection: Connection, events: Sequence[LeakReported], now: int) -> None:
    connection.execute(_ADD, [rows.row(event.leak) for event in events])
    notices.add(connection, [event.leak.id for event in events], notices.LEAK, now)


def apply(connection: Connection, event: OfLeaks, now: int) -> None:
    match event:
        case LeakReported():
            report_all(connection, [event], now)
        case LeakUpdated():
            rows.replace(connection, leaks, event.leak)
        case ApiKeySecretRevoked() | ClientSecretRevoked() | VerifierSecretRevoked():
            end_all(connection, [event], now)
        case DecoyTried():
            notices.forget(connection, event.api_key.id, now)
            notices.add(connection, [event.api_key.id], notices.DECOY, now)
        case _:
            assert_never(event)
