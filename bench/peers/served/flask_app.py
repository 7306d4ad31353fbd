"""Authlib on Flask, as its documentation builds an authorization server; for gunicorn.

AUTHLIB_BENCH says how: {"store": "memory" or a database's URL, "wal": ..., "keys": "parsed" or "text", "client": ...,
"secret": ...}. Each format has a token endpoint: /ES256/token, /RS256/token, /opaque/token; /introspect is about
opaque tokens.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import Integer, create_engine, event
from sqlalchemy.orm import DeclarativeBase, mapped_column, scoped_session, sessionmaker

TOLD = json.loads(os.environ["AUTHLIB_BENCH"])
ISSUER = "https://auth.example.com"
KEYS: dict[str, ECKey | RSAKey] = {"ES256": ECKey.generate_key("P-256"), "RS256": RSAKey.generate_key(2048)}
METADATA = {
    "grant_types": ["client_credentials"], "scope": "invoices:read invoices:write",
    "token_endpoint_auth_method": "client_secret_basic",
}  # fmt: skip


class Table(DeclarativeBase):
    pass


class Client(Table, OAuth2ClientMixin):  # type: ignore[misc]
    __tablename__ = "oauth2_client"
    id = mapped_column(Integer, primary_key=True)


class Token(Table, OAuth2TokenMixin):  # type: ignore[misc]
    __tablename__ = "oauth2_token"
    id = mapped_column(Integer, primary_key=True)
    user_id = mapped_column(Integer)


class InMemory:
    """What the documentation's functions do to a session, done to a dictionary."""

    def __init__(self) -> None:
        client = _client()
        self._clients = {client.client_id: client}
        self._tokens: dict[str, Token] = {}

    def client(self, client_id: str) -> Client | None:
        return self._clients.get(client_id)

    def save(self, token: dict[str, Any], request: Any) -> None:
        client_id = request.client.client_id
        self._tokens[token["access_token"]] = Token(client_id=client_id, issued_at=int(time.time()), **token)

    def token(self, text: str) -> Token | None:
        return self._tokens.get(text)


class InDatabase:
    def __init__(self, url: str, wal: bool) -> None:
        engine = create_engine(url)
        if wal:
            event.listen(engine, "connect", _write_ahead)
        self.session = scoped_session(sessionmaker(engine))
        Table.metadata.create_all(engine)
        self.session.add(_client())
        self.session.commit()
        self.client = create_query_client_func(self.session, Client)
        self.save = create_save_token_func(self.session, Token)

    def token(self, text: str) -> Any:
        return self.session.query(Token).filter_by(access_token=text).first()


def _write_ahead(connection: Any, _record: object) -> None:
    """As durable as Doorward's."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _client() -> Client:
    client = Client(client_id=TOLD["client"], client_secret=TOLD["secret"], client_id_issued_at=int(time.time()))
    client.set_client_metadata(METADATA)
    return client


class Written(JWTBearerTokenGenerator):  # type: ignore[misc]
    """`load_jwks` in the documentation's place reads the key for every token; parsed once is the other way."""

    def get_jwks(self) -> Any:
        return KEYS[self.alg] if TOLD["keys"] == "parsed" else TEXTS[self.alg]


TEXTS = {name: key.as_dict(private=True) for name, key in KEYS.items()}


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    def query_token(self, token_string: str, _hint: str | None) -> Any:
        return STORE.token(token_string)

    def check_permission(self, token: Any, client: Any, _request: object) -> bool:
        return bool(token.client_id == client.client_id)

    def introspect_token(self, token: Any) -> dict[str, Any]:
        return {
            "active": True, "client_id": token.client_id, "token_type": token.token_type, "scope": token.get_scope(),
            "sub": token.client_id, "iss": ISSUER, "exp": token.issued_at + token.expires_in, "iat": token.issued_at,
        }  # fmt: skip


def _server(app: Flask, alg: str | None = None) -> AuthorizationServer:
    server = AuthorizationServer(app, query_client=STORE.client, save_token=STORE.save)
    server.register_grant(ClientCredentialsGrant)
    if alg:
        server.register_token_generator("default", Written(issuer=ISSUER, alg=alg))
    return server


def _application() -> Flask:
    app = Flask(__name__)
    opaque = _server(app)
    opaque.register_endpoint(Introspection)
    for name, server in {"opaque": opaque, "ES256": _server(app, "ES256"), "RS256": _server(app, "RS256")}.items():
        app.add_url_rule(f"/{name}/token", name, server.create_token_response, methods=["POST"])
    app.add_url_rule(
        "/introspect", "introspect", lambda: opaque.create_endpoint_response("introspection"), methods=["POST"]
    )
    if isinstance(STORE, InDatabase):
        session = STORE.session
        app.teardown_appcontext(lambda _error: session.remove())
    return app


STORE = InMemory() if TOLD["store"] == "memory" else InDatabase(TOLD["store"], TOLD["wal"])
application = _application()
