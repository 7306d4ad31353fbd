"""Nodes, and their workers, as they were last seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

TEXTS = ("instance", "version", "schema_revision", "authority", "state")
NUMBERS = ("created_at", "seen_at", "epoch", "seq", "lag_events", "lag_seconds", "verifiers", "clock_skew")


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("worker", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in TEXTS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in NUMBERS),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
    )
