"""Databases that must not be served, since they moved or are being filled; and which versions may work on one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("deployment", sa.Column("closed", sa.Text, nullable=True))
    op.add_column("deployment", sa.Column("compatible_from", sa.Text, nullable=True))
