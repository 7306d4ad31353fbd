"""The revocation feed: its entries, and signing keys with a purpose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TABLE = "revocation_entries"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("audience", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("value", sa.String(200), nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("seq", "audience", "kind", "value", name="pk_revocation_entries"),
    )
    op.create_index("ix_revocation_entries_expires_at", TABLE, ["expires_at"])
    op.create_index("ix_revocation_entries_audience", TABLE, ["audience", "seq"])
    op.add_column("signing_keys", sa.Column("purpose", sa.Text, nullable=False, server_default="token"))
