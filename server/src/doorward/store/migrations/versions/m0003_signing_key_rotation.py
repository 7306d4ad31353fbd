"""Signing keys that rotate: when each was retired and removed, and at most one active and one pending for each use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("signing_keys", sa.Column("retired_at", sa.BigInteger, nullable=True))
    op.add_column("signing_keys", sa.Column("removed_at", sa.BigInteger, nullable=True))
    stands = sa.text("state IN ('active', 'pending')")
    op.create_index(
        "uq_signing_keys_standing", "signing_keys", ["purpose", "algorithm", "state"], unique=True,
        sqlite_where=stands, postgresql_where=stands,
    )  # fmt: skip
