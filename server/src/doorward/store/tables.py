"""Every table. Column names are the entities' field names; types here turn rows into values and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    func,
)
from sqlalchemy.engine import Dialect

from doorward_verify.scope import Scope

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class ScopeText(TypeDecorator[Scope]):
    """A set of scope names, kept as RFC 6749 writes it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Scope | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else " ".join(sorted(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Scope | None:  # noqa: ARG002
        return None if value is None else frozenset(value.split())


class Words(TypeDecorator[tuple[str, ...]]):
    """A short tuple of names in their order."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else " ".join(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        return None if value is None else tuple(value.split())


def _id(*more: Any) -> Column[str]:
    return Column("id", String(200), *more, primary_key=True)


def _at(name: str, *, nullable: bool = False, index: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, index=index or None)


def _version() -> Column[int]:
    return Column("version", Integer, nullable=False)


def _text(name: str, *more: Any, nullable: bool = False, **options: Any) -> Column[str]:
    return Column(name, Text, *more, nullable=nullable, **options)


def _json(name: str) -> Column[Any]:
    return Column(name, JSON, nullable=False)


apis = Table(
    "apis", metadata, _id(), _text("identifier", unique=True), _text("name"), _json("scopes"),
    _text("token_format"), Column("token_lifetime", Integer, nullable=False), _text("signing_algorithm"),
    _json("claims"), _at("created_at"), _at("updated_at"), _version(),
)  # fmt: skip

# Apis are named in any case.
Index("uq_apis_name", func.lower(apis.c.name), unique=True)

accounts = Table(
    "accounts", metadata, _id(), _text("name"), _text("state"), _json("metadata"),
    _at("created_at"), _at("updated_at"), _version(),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata, _id(), _text("account_id", ForeignKey("accounts.id"), index=True),
    _text("api_id", ForeignKey("apis.id"), index=True), _text("name"), _text("environment"),
    Column("scope", ScopeText, nullable=False), _text("state"), _at("expires_at", nullable=True),
    _json("metadata"), _at("created_at"), _at("updated_at"), _at("revoked_at", nullable=True), _version(),
)  # fmt: skip

secrets = Table(
    "secrets", metadata, _id(), _text("kind"), _text("environment"), _text("owner_id", index=True),
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", SmallInteger, nullable=False), _at("created_at"),
    _at("expires_at", nullable=True), _at("revoked_at", nullable=True),
)  # fmt: skip

clients = Table(
    "clients", metadata, _id(), _text("account_id", ForeignKey("accounts.id"), index=True), _text("name"),
    Column("grant_types", Words, nullable=False), _text("token_endpoint_auth_method", nullable=True),
    _text("state"), _json("metadata"), _at("created_at"), _at("updated_at"), _version(),
)  # fmt: skip

grants = Table(
    "grants", metadata, _id(), _text("client_id", ForeignKey("clients.id"), index=True),
    _text("api_id", ForeignKey("apis.id"), index=True), Column("scope", ScopeText, nullable=False),
    _at("created_at"), _at("revoked_at", nullable=True), _version(),
)  # fmt: skip

verifiers = Table(
    "verifiers", metadata, _id(), _text("api_id", ForeignKey("apis.id"), index=True), _text("name"),
    _text("state"), _at("created_at"), _at("revoked_at", nullable=True), _version(),
)  # fmt: skip

admin_keys = Table(
    "admin_keys", metadata, _id(), _text("name"), Column("scope", ScopeText, nullable=False), _text("owner"),
    Column("networks", Words, nullable=False, default=()), _text("state"), _at("expires_at", nullable=True),
    _at("created_at"), _at("revoked_at", nullable=True), _version(),
)  # fmt: skip

signing_keys = Table(
    "signing_keys", metadata, _id(), _text("algorithm"), _text("state"), _json("public_jwk"),
    Column("private_key", LargeBinary, nullable=False), _at("created_at"),
    _at("activated_at", nullable=True), _version(), _text("purpose", server_default="token"),
)  # fmt: skip

opaque_tokens = Table(
    "opaque_tokens", metadata, _id(), Column("mac", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", SmallInteger, nullable=False), _text("grant_id"), _text("client_id"),
    _text("account_id"), _text("api_id"), _json("claims"), _at("created_at"), _at("expires_at", index=True),
    _at("revoked_at", nullable=True),
)  # fmt: skip

revoked_tokens = Table(
    "revoked_tokens", metadata, _id(), _at("expires_at", index=True), _at("revoked_at"),
)  # fmt: skip

# What verifiers hear, by the journal row that caused it; an audience is an api's id, or empty for all of them.
revocation_entries = Table(
    "revocation_entries", metadata, Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("audience", String(200), primary_key=True), Column("kind", String(32), primary_key=True),
    Column("value", String(200), primary_key=True), _text("effect"), _at("expires_at", index=True),
)  # fmt: skip

Index("ix_revocation_entries_audience", revocation_entries.c.audience, revocation_entries.c.seq)

setup_links = Table(
    "setup_links", metadata, Column("digest", String(64), primary_key=True), _at("expires_at"),
    _at("created_at"), _at("used_at", nullable=True),
)  # fmt: skip

idempotency = Table(
    "idempotency", metadata, Column("key", String(64), primary_key=True), _text("request"),
    Column("reply", LargeBinary, nullable=False), _at("expires_at", index=True),
)  # fmt: skip

# One row: `fingerprint` tells whether master key and pepper are those that the rows were made with (decision 22).
deployment = Table(
    "deployment", metadata, Column("id", Integer, primary_key=True, autoincrement=False), _text("fingerprint"),
    _at("created_at"),
)  # fmt: skip

# A bounded ring: what the public text of a refusal leaves out, by request id (decision 23).
refusal_details = Table(
    "refusal_details", metadata, _id(), _at("at", index=True), _text("reason"), _text("actor"), _text("method"),
    _text("path"), _text("detail"),
)  # fmt: skip

# One row. `seq` counts journal rows, `change_seq` is the last of them that makes older facts stale.
journal_head = Table(
    "journal_head", metadata, Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False), Column("seq", BigInteger, nullable=False),
    Column("change_seq", BigInteger, nullable=False),
)  # fmt: skip

journal = Table(
    "journal", metadata, Column("seq", BigInteger, primary_key=True, autoincrement=False), _at("at"),
    Column("change", Boolean, nullable=False), _text("type"), _text("entity"), _text("entity_id"),
    _text("actor"), _text("request_id"), _text("data"),
)  # fmt: skip

Index("ix_journal_changes", journal.c.seq, sqlite_where=journal.c.change, postgresql_where=journal.c.change)
