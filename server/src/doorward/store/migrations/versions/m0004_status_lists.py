"""Status lists, the tokens that have a bit in them, and how often and when credentials were last used."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

LISTS, TOKENS, USAGE = "status_lists", "listed_tokens", "usage"


def _number(name: str, kind: type[Any] = sa.BigInteger) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.add_column("apis", sa.Column("status_list", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        LISTS,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        _number("expires_at"),
        _number("epoch", sa.Integer),
        sa.Column("key", sa.LargeBinary, nullable=False),
        _number("leased", sa.Integer),
        _number("created_at"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{LISTS}"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        TOKENS,
        sa.Column("id", sa.String(200), nullable=False),
        _number("list_id"),
        _number("idx", sa.Integer),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("grant_id", "client_id", "account_id")),
        sa.Column("signing_key_id", sa.Text, nullable=False),
        _number("position"),
        _number("expires_at"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{TOKENS}"),
    )
    op.create_table(
        USAGE,
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        _number("uses"),
        _number("last_used_at"),
        sa.PrimaryKeyConstraint("kind", "id", name=f"pk_{USAGE}"),
    )
    op.create_index(f"ix_{LISTS}_expires_at", LISTS, ["expires_at"])
    for column in ("grant_id", "client_id", "account_id", "expires_at"):
        op.create_index(f"ix_{TOKENS}_{column}", TOKENS, [column])
    op.create_index(f"uq_{TOKENS}_idx", TOKENS, ["list_id", "idx"], unique=True)
