"""Limits of apis, accounts and api keys, and what was used of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for table in ("apis", "accounts", "api_keys"):
        op.add_column(table, sa.Column("limits", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "limit_cells",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_limit_cells"),
    )
    op.create_index("ix_limit_cells_expires_at", "limit_cells", ["expires_at"])
