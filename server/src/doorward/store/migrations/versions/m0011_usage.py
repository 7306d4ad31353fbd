"""Usage by hour, result and secret, and from where; keys that end when they are old or unused; notices of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("usage", sa.Column("address", sa.Text, nullable=False, server_default=""))
    op.add_column("usage", sa.Column("user_agent", sa.Text, nullable=False, server_default=""))
    op.add_column("usage", sa.Column("late_uses", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "usage_hours",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("result", sa.String(64), nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "at", "result", name="pk_usage_hours"),
    )
    op.create_index("ix_usage_hours_at", "usage_hours", ["at"])
    for column in ("unused_key_lifetime", "key_lifetime_limit", "key_policy_at"):
        op.add_column("apis", sa.Column(column, sa.BigInteger, nullable=True))
    op.create_index("ix_api_keys_expires_at", "api_keys", ["expires_at"])
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("reached", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )
