"""Users, their sessions, and how they sign in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _id(name: str = "id", length: int = 200) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _at(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _number(name: str, kind: type[Any] = sa.Integer) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _of(table: str, column: str, parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_{table}_{column}")


def _key(table: str, column: str = "id") -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(column, name=f"pk_{table}")


def upgrade() -> None:
    op.create_index("ix_revocation_entries_value", "revocation_entries", ["value", "kind"])
    op.create_table(
        "users", _id(), _text("username"), _text("canonical"), _text("email", nullable=True),
        _number("email_verified", sa.Boolean), _text("name"), _text("state"), _text("role"),
        sa.Column("profile", sa.JSON, nullable=False), _at("created_at"), _at("updated_at"), _number("version"),
        _key("users"), sa.UniqueConstraint("canonical", name="uq_users_canonical"),
    )  # fmt: skip
    op.create_table(
        "passwords", _id("user_id"), _text("phc"), _at("changed_at"), _key("passwords", "user_id"),
        _of("passwords", "user_id", "users"),
    )  # fmt: skip
    op.create_table(
        "memberships", _id(), _text("user_id"), _text("account_id"), _text("role"), _at("created_at"),
        _number("version"), _key("memberships"), _of("memberships", "user_id", "users"),
        _of("memberships", "account_id", "accounts"),
    )  # fmt: skip
    op.create_table(
        "sessions", _id(), _id("digest", 64), _text("user_id"), _at("auth_time"), _text("amr"), _text("acr"),
        _at("created_at"), _at("expires_at"), _text("user_agent"), _text("address"), _at("ended_at", nullable=True),
        _key("sessions"), sa.UniqueConstraint("digest", name="uq_sessions_digest"), _of("sessions", "user_id", "users"),
    )  # fmt: skip
    op.create_table("session_uses", _id(), _at("last_seen_at"), _at("expires_at"), _key("session_uses"))
    op.create_table(
        "reset_links", _id("digest", 64), _text("user_id"), _at("expires_at"), _at("created_at"),
        _at("used_at", nullable=True), _key("reset_links", "digest"), _of("reset_links", "user_id", "users"),
    )  # fmt: skip
    op.create_table(
        "attempts", _id("key", 64), _number("count"), _at("next_at"), _at("expires_at"), _key("attempts", "key")
    )
    _add_indexes()


def _add_indexes() -> None:
    for table, column in (
        ("users", "email"), ("memberships", "account_id"), ("sessions", "user_id"), ("sessions", "expires_at"),
        ("session_uses", "expires_at"), ("reset_links", "user_id"), ("reset_links", "expires_at"),
        ("attempts", "expires_at"),
    ):  # fmt: skip
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_index("uq_memberships_user_id", "memberships", ["user_id", "account_id"], unique=True)
