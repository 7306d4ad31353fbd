"""Secrets that rotate: when each was superseded, how long it outlives the first use of its successor; and networks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("secrets", sa.Column("superseded_at", sa.BigInteger, nullable=True))
    op.add_column("secrets", sa.Column("overlap", sa.BigInteger, nullable=True))
    op.add_column("api_keys", sa.Column("networks", sa.Text, nullable=False, server_default=""))
