"""Routes that gateways let through, with each api."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("apis", sa.Column("routes", sa.JSON, nullable=False, server_default="[]"))
