"""Leaks: what was found where, and whom to tell."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "leaks", sa.Column("id", sa.String(200), nullable=False), _text("credential"), _text("credential_id"),
        _text("owner_id"), _text("account_id", nullable=True), _text("outcome"), _text("origin"), _text("locations"),
        _at("created_at"), _at("updated_at"), sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leaks"),
    )  # fmt: skip
    op.create_table(
        "notices", sa.Column("id", sa.String(200), nullable=False), _text("kind"), _at("due_at", nullable=True),
        sa.Column("tries", sa.Integer, nullable=False), _at("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )  # fmt: skip
    for table, column in (
        ("leaks", "owner_id"), ("leaks", "account_id"), ("notices", "due_at"), ("notices", "expires_at"),
    ):  # fmt: skip
        op.create_index(f"ix_{table}_{column}", table, [column])


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _at(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)
