"""What users allow clients: more about clients and grants, and authorization requests, codes and refresh tokens."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

REQUESTS, CODES, TOKENS = "authorization_requests", "codes", "refresh_tokens"


def _text(name: str, nullable: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, server_default=default)


def _at(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _json(name: str, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, nullable=False, server_default=default)


def _key(table: str, column: str = "id") -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(column, name=f"pk_{table}")


def upgrade() -> None:
    for column in (
        _text("redirect_uris", default=""), _text("post_logout_redirect_uris", default=""), _flag("first_party"),
        _flag("localhost_any_port"), _text("client_uri", nullable=True), _text("logo_uri", nullable=True),
        _text("id_token_signed_response_alg", default="RS256"), _text("backchannel_logout_uri", nullable=True),
        _flag("backchannel_logout_session_required"),
    ):  # fmt: skip
        op.add_column("clients", column)
    _widen_grants()
    op.create_table(
        REQUESTS, sa.Column("id", sa.String(200), nullable=False), _text("digest"), _text("client_id"),
        _text("address"), _json("asked"), _text("session_id", nullable=True), _at("created_at"), _at("expires_at"),
        _at("ended_at", nullable=True), _key(REQUESTS),
    )  # fmt: skip
    op.create_table(
        CODES, sa.Column("digest", sa.String(64), nullable=False), _text("client_id"), _text("user_id"),
        _text("session_id"), _text("grant_id"), _text("redirect_uri"), _text("code_challenge"), _text("scope"),
        _text("api_id", nullable=True), _text("nonce", nullable=True), _json("claims"), _at("auth_time"), _text("acr"),
        _at("created_at"), _at("expires_at"), _at("redeemed_at", nullable=True), _key(CODES, "digest"),
    )  # fmt: skip
    op.create_table(
        TOKENS, sa.Column("id", sa.String(200), nullable=False), sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.Column("pepper_version", sa.SmallInteger, nullable=False), _text("grant_id"), _text("client_id"),
        _text("scope"), _at("created_at"), _at("expires_at"), _at("ends_at"), _at("rotated_at", nullable=True),
        _text("successor_id", nullable=True), sa.Column("successor", sa.LargeBinary, nullable=True),
        _key(TOKENS), sa.UniqueConstraint("mac", name=f"uq_{TOKENS}_mac"),
    )  # fmt: skip
    for table, name in (
        (REQUESTS, "address"), (REQUESTS, "expires_at"), (CODES, "expires_at"), (TOKENS, "grant_id"),
        (TOKENS, "expires_at"), ("grants", "user_id"), ("grants", "account_id"), ("grants", "session_id"),
    ):  # fmt: skip
        op.create_index(f"ix_{table}_{name}", table, [name])


def _grants_before() -> sa.Table:
    """As it was: to read it back would mean to read the tables that it points to."""
    made = sa.MetaData()
    for name in ("clients", "apis"):
        sa.Table(name, made, sa.Column("id", sa.String(200), primary_key=True))
    table = sa.Table(
        "grants", made, sa.Column("id", sa.String(200), nullable=False), _text("client_id"), _text("api_id"),
        _text("scope"), _at("created_at"), _at("revoked_at", nullable=True),
        sa.Column("version", sa.Integer, nullable=False), _key("grants"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_grants_client_id"),
        sa.ForeignKeyConstraint(["api_id"], ["apis.id"], name="fk_grants_api_id"),
    )  # fmt: skip
    for column in ("client_id", "api_id"):
        sa.Index(f"ix_grants_{column}", table.c[column])
    return table


def _widen_grants() -> None:
    """SQLite can let a column be empty only by writing the table anew."""
    more = (
        _text("user_id", nullable=True), _text("account_id", nullable=True), _text("session_id", nullable=True),
        _at("auth_time", nullable=True), _text("acr", nullable=True), _json("claims", default="{}"),
        _at("tokens_revoked_at", nullable=True),
    )  # fmt: skip
    with op.batch_alter_table("grants", copy_from=_grants_before()) as grants:
        grants.alter_column("api_id", existing_type=sa.Text, nullable=True)
        for column in more:
            grants.add_column(column)
