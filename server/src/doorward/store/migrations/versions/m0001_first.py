"""The first schema: every table, and the journal's one head row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Column = sa.Column[Any]


def _id() -> Column:
    return sa.Column("id", sa.String(200), nullable=False)


def _text(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, sa.Text, nullable=nullable)


def _at(name: str, nullable: bool = False) -> Column:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _json(name: str) -> Column:
    return sa.Column(name, sa.JSON, nullable=False)


def _bytes(name: str) -> Column:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _small(name: str) -> Column:
    return sa.Column(name, sa.SmallInteger, nullable=False)


def _number(name: str, kind: type[Any]) -> Column:
    """A primary key whose values are ours, not a sequence's."""
    return sa.Column(name, kind, nullable=False, autoincrement=False)


def _integer(name: str) -> Column:
    return sa.Column(name, sa.Integer, nullable=False)


def _primary(table: str, column: str = "id") -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(column, name=f"pk_{table}")


def _unique(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=f"uq_{table}_{column}")


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _index(table: str, column: str) -> None:
    op.create_index(f"ix_{table}_{column}", table, [column])


# fmt: off
def upgrade() -> None:
    op.create_table(
        "apis", _id(), _text("identifier"), _text("name"), _json("scopes"), _text("token_format"),
        _integer("token_lifetime"), _text("signing_algorithm"), _json("claims"),
        _at("created_at"), _at("updated_at"), _integer("version"),
        _primary("apis"), _unique("apis", "identifier"),
    )
    op.create_table(
        "accounts", _id(), _text("name"), _text("state"), _json("metadata"),
        _at("created_at"), _at("updated_at"), _integer("version"),
        _primary("accounts"),
    )
    op.create_table(
        "api_keys", _id(), _text("account_id"), _text("api_id"), _text("name"), _text("environment"),
        _text("scope"), _text("state"), _at("expires_at", nullable=True), _json("metadata"),
        _at("created_at"), _at("updated_at"), _at("revoked_at", nullable=True), _integer("version"),
        _primary("api_keys"), _foreign("api_keys", "account_id", "accounts.id"),
        _foreign("api_keys", "api_id", "apis.id"),
    )
    op.create_table(
        "secrets", _id(), _text("kind"), _text("environment"), _text("owner_id"), _bytes("mac"),
        _small("pepper_version"), _at("created_at"), _at("expires_at", nullable=True),
        _at("revoked_at", nullable=True),
        _primary("secrets"), _unique("secrets", "mac"),
    )
    op.create_table(
        "clients", _id(), _text("account_id"), _text("name"), _text("grant_types"),
        _text("token_endpoint_auth_method", nullable=True), _text("state"), _json("metadata"),
        _at("created_at"), _at("updated_at"), _integer("version"),
        _primary("clients"), _foreign("clients", "account_id", "accounts.id"),
    )
    op.create_table(
        "grants", _id(), _text("client_id"), _text("api_id"), _text("scope"), _at("created_at"),
        _at("revoked_at", nullable=True), _integer("version"),
        _primary("grants"), _foreign("grants", "client_id", "clients.id"), _foreign("grants", "api_id", "apis.id"),
    )
    op.create_table(
        "verifiers", _id(), _text("api_id"), _text("name"), _text("state"), _at("created_at"),
        _at("revoked_at", nullable=True), _integer("version"),
        _primary("verifiers"), _foreign("verifiers", "api_id", "apis.id"),
    )
    op.create_table(
        "admin_keys", _id(), _text("name"), _text("scope"), _text("owner"), _text("networks"), _text("state"),
        _at("expires_at", nullable=True), _at("created_at"), _at("revoked_at", nullable=True),
        _integer("version"),
        _primary("admin_keys"),
    )
    op.create_table(
        "signing_keys", _id(), _text("algorithm"), _text("state"), _json("public_jwk"), _bytes("private_key"),
        _at("created_at"), _at("activated_at", nullable=True), _integer("version"),
        _primary("signing_keys"),
    )
    op.create_table(
        "opaque_tokens", _id(), _bytes("mac"), _small("pepper_version"), _text("grant_id"),
        _text("client_id"), _text("account_id"), _text("api_id"), _json("claims"), _at("created_at"),
        _at("expires_at"), _at("revoked_at", nullable=True),
        _primary("opaque_tokens"), _unique("opaque_tokens", "mac"),
    )
    op.create_table("revoked_tokens", _id(), _at("expires_at"), _at("revoked_at"), _primary("revoked_tokens"))
    op.create_table(
        "setup_links", sa.Column("digest", sa.String(64), nullable=False), _at("expires_at"), _at("created_at"),
        _at("used_at", nullable=True),
        _primary("setup_links", "digest"),
    )
    op.create_table(
        "idempotency", sa.Column("key", sa.String(64), nullable=False), _text("request"), _bytes("reply"),
        _at("expires_at"),
        _primary("idempotency", "key"),
    )
    op.create_table(
        "deployment", _number("id", sa.Integer), _text("fingerprint"), _at("created_at"),
        _primary("deployment"),
    )
    op.create_table(
        "refusal_details", _id(), _at("at"), _text("reason"), _text("actor"), _text("method"), _text("path"),
        _text("detail"),
        _primary("refusal_details"),
    )
    op.create_table(
        "journal", _number("seq", sa.BigInteger), _at("at"), sa.Column("change", sa.Boolean, nullable=False),
        _text("type"), _text("entity"), _text("entity_id"), _text("actor"), _text("request_id"), _text("data"),
        _primary("journal", "seq"),
    )
    head = op.create_table(
        "journal_head", _number("id", sa.Integer), _integer("epoch"), _at("seq"), _at("change_seq"),
        _primary("journal_head"),
    )
    for table, column in INDEXES:
        _index(table, column)
    op.create_index("uq_apis_name", "apis", [sa.text("lower(name)")], unique=True)
    change = sa.text("change")
    op.create_index("ix_journal_changes", "journal", ["seq"], sqlite_where=change, postgresql_where=change)
    op.bulk_insert(head, [{"id": 1, "epoch": 1, "seq": 0, "change_seq": 0}])
# fmt: on


INDEXES = (
    ("api_keys", "account_id"),
    ("api_keys", "api_id"),
    ("secrets", "owner_id"),
    ("clients", "account_id"),
    ("grants", "client_id"),
    ("grants", "api_id"),
    ("verifiers", "api_id"),
    ("opaque_tokens", "expires_at"),
    ("revoked_tokens", "expires_at"),
    ("idempotency", "expires_at"),
    ("refusal_details", "at"),
)
