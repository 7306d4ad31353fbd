"""Notices go out by more than one channel: each is tried by itself. What waits goes on as a letter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

BEFORE = "SELECT id, kind, due_at, tries, expires_at FROM notices"
KEEP = (
    "INSERT INTO notices (id, channel, kind, at, due_at, tries, expires_at)"
    " VALUES (:id, 'letter', :kind, :at, :due_at, :tries, :expires_at)"
)
LIFETIME = 7 * 86_400


def upgrade() -> None:
    waiting = [dict(found._mapping) for found in op.get_bind().execute(sa.text(BEFORE))]
    op.drop_table("notices")
    op.create_table(
        "notices", sa.Column("id", sa.String(200), nullable=False), sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("kind", sa.Text, nullable=False), _at("at"), _at("due_at", nullable=True),
        sa.Column("tries", sa.Integer, nullable=False), _at("expires_at"),
        sa.PrimaryKeyConstraint("id", "channel", name="pk_notices"),
    )  # fmt: skip
    for column in ("due_at", "expires_at"):
        op.create_index(f"ix_notices_{column}", "notices", [column])
    for one in waiting:
        op.execute(sa.text(KEEP).bindparams(**one, at=one["expires_at"] - LIFETIME))


def _at(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)
