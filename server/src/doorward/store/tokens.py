"""Access tokens: what introspection and revocation need to know of them, and what their events do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sqlalchemy import Connection, update
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol import introspection, revocation, userinfo
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.client import ClientFacts
from doorward.protocol.credential import ApiKeyFacts, Presented, RefreshTokenFacts, TokenFacts
from doorward.protocol.entities import Account, Api, Client, Grant, OpaqueToken
from doorward.protocol.events import AccessTokenIssued, TokenEvent, TokenRevoked
from doorward.protocol.people import User
from doorward.protocol.policy import Policy
from doorward.protocol.verifier import VerifierFacts
from doorward.store import (
    admin_keys,
    api_keys,
    clients,
    quick,
    refresh_tokens,
    revocation_log,
    rows,
    signing_keys,
    verifiers,
)
from doorward.store.memory import Reader
from doorward.store.tables import accounts, apis, grants, listed_tokens, opaque_tokens, revoked_tokens, users
from doorward.store.tables import clients as client_table
from doorward_verify import jwt
from doorward_verify.errors import DoorwardError


def by_jti(connection: Connection, key: tuple[str, str]) -> TokenFacts | None:
    """A JWT by its `jti` and `grant_id`: whether it was ended, and what it hangs on."""
    jti, grant_id = key
    ended = connection.execute(revoked_tokens.select().where(revoked_tokens.c.id == jti)).first()
    return _complete(connection, jti, grant_id, ended is not None)


def opaque_by_id(connection: Connection, id_: str) -> TokenFacts | None:
    return _opaque(connection, rows.find(connection, opaque_tokens, OpaqueToken, id_))


def opaque_by_mac(connection: Connection, mac: bytes) -> TokenFacts | None:
    return _opaque(connection, rows.find(connection, opaque_tokens, OpaqueToken, mac, by="mac"))


def _opaque(connection: Connection, token: OpaqueToken | None) -> TokenFacts | None:
    if token is None:
        return None
    return _complete(connection, token.id, token.grant_id, token.revoked_at is not None, token)


def _complete(
    connection: Connection, jti: str, grant_id: str, revoked: bool, opaque: OpaqueToken | None = None
) -> TokenFacts | None:
    grant = rows.find(connection, grants, Grant, grant_id)
    client = rows.find(connection, client_table, Client, grant.client_id) if grant else None
    if grant is None or client is None:
        return None
    account = rows.find(connection, accounts, Account, client.account_id)
    api = rows.find(connection, apis, Api, grant.api_id) if grant.api_id else None
    if account is None or (api is None) != (grant.api_id is None):
        return None
    cut_off = revocation_log.cut_off(connection, _hung_on(grant, client))
    user = rows.find(connection, users, User, grant.user_id) if grant.user_id else None
    acts_for = rows.find(connection, accounts, Account, grant.account_id) if grant.account_id else None
    return TokenFacts(jti, revoked, grant, client, account, api, opaque, cut_off, user, acts_for)


def _hung_on(grant: Grant, client: Client) -> list[tuple[str, str]]:
    """What a token of this grant ends with. Who may act while the user is away outlives his session."""
    session_id = None if "offline_access" in grant.scope else grant.session_id
    named = (
        ("client", client.id), ("account", client.account_id), ("account", grant.account_id), ("user", grant.user_id),
        ("session", session_id),
    )  # fmt: skip
    return [("everything", ""), *((kind, value) for kind, value in named if value is not None)]


def introspection_facts(read: Reader, request: introspection.Request) -> introspection.Facts:
    """Hot: caller and credential are answered from memory when they are known there."""
    keys = signing_keys.known(read)
    return introspection.Facts(_caller(read, request), _about(read, request.about, keys), keys)


def _caller(read: Reader, request: introspection.Request) -> ClientFacts | VerifierFacts | AdminKeyFacts | None:
    caller = request.caller
    if isinstance(caller, Presented):
        return read(admin_keys.by_secret_id, caller.id)
    if caller.client_id.startswith("verifier_"):
        return read(verifiers.by_id, caller.client_id)
    return read(clients.by_id, caller.client_id)


def _about(read: Reader, about: Presented, keys: jwt.Keys) -> ApiKeyFacts | TokenFacts | RefreshTokenFacts | None:
    match about.kind:
        case "api_key":
            return read(api_keys.by_secret_id, about.id)
        case "digest":
            return _by_digest(read, about.digest, read.policy)
        case "legacy":
            return api_keys.legacy(read, about.digest)
        case _:
            return token(read, about, keys)


def _by_digest(read: Reader, digest: bytes, policy: Policy) -> ApiKeyFacts | TokenFacts | None:
    for mac in policy.pepper.macs(digest):
        known = read(api_keys.by_mac, mac) or read(opaque_by_mac, mac)
        if known is not None:
            return known
    return None


def token(read: Reader, about: Presented, keys: jwt.Keys) -> TokenFacts | RefreshTokenFacts | None:
    """What a token hangs on, by what it says of itself; nothing is believed before its check."""
    if about.kind == "refresh_token":
        return read(refresh_tokens.complete, about.id)
    if about.kind == "opaque":
        return read(opaque_by_id, about.id)
    return _by_claims(read, about.jwt, keys) if about.kind == "jwt" else None


def _by_claims(read: Reader, text: str, keys: jwt.Keys) -> TokenFacts | None:
    """Whoever makes tokens up costs the database nothing, and pushes nobody out of memory: first the signature."""
    try:
        header, payload, signature, signing_input = jwt.unpack(text)
        claims = jwt.read_claims(payload)
        jti, grant_id = claims.get("jti"), claims.get("grant_id")
        if not isinstance(jti, str) or not isinstance(grant_id, str) or "\x00" in jti + grant_id:
            return None
        if not read.knows(by_jti, (jti, grant_id)):
            jwt.authenticate(header, signature, signing_input, keys)
    except DoorwardError:
        return None
    return read(by_jti, (jti, grant_id))


def revocation_facts(read: Reader, request: revocation.Request) -> revocation.Facts:
    keys = signing_keys.known(read)
    client = read(clients.by_id, request.credentials.client_id)
    return revocation.Facts(client, token(read, request.about, keys), keys)


def userinfo_facts(read: Reader, request: userinfo.Request) -> userinfo.Facts:
    keys = signing_keys.known(read)
    # Of the kinds that have more facts than these none opens anything here.
    known = token(read, request.about, keys) if request.about.kind in ("jwt", "opaque") else None
    return userinfo.Facts(known if isinstance(known, TokenFacts) else None, keys)


def apply(connection: Connection, event: TokenEvent, now: int) -> None:
    match event:
        case AccessTokenIssued():
            issue_all(connection, [event], now)
        case TokenRevoked() if event.opaque:
            live = (opaque_tokens.c.id == event.jti) & opaque_tokens.c.revoked_at.is_(None)
            connection.execute(update(opaque_tokens).where(live).values(revoked_at=now))
        case TokenRevoked():
            _revoke(connection, event, now)
        case _:
            assert_never(event)


def issue_all(connection: Connection, events: Sequence[AccessTokenIssued], now: int) -> None:  # noqa: ARG001
    """Of most tokens nothing is kept but their record."""
    opaque = [event.opaque_token for event in events if event.opaque_token is not None]
    listed = [event.listed for event in events if event.listed is not None]
    quick.add(connection, opaque_tokens, opaque)
    quick.add(connection, listed_tokens, listed)


def _revoke(connection: Connection, event: TokenRevoked, now: int) -> None:
    """Ending a token twice is no error, so that the second of two racers is answered too."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"id": event.jti, "expires_at": event.expires_at, "revoked_at": now}
    connection.execute(dialect.insert(revoked_tokens).values(row).on_conflict_do_nothing())
