"""Ways in which an api takes its keys, and keys that were seen where they do not belong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("apis", sa.Column("transports", sa.Text, nullable=False, server_default="bearer header"))
    op.add_column("apis", sa.Column("browsers", sa.Text, nullable=False, server_default="flag"))
    op.add_column("api_keys", sa.Column("seen_in_url_at", sa.BigInteger, nullable=True))
    op.add_column("api_keys", sa.Column("seen_in_browser_at", sa.BigInteger, nullable=True))
    op.create_index("ix_leaks_updated_at", "leaks", ["updated_at"])
