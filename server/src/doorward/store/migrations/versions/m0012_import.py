"""Keys that were imported, and those that users make themselves: what of an api allows either, and whose a key is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("apis", sa.Column("legacy", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("apis", sa.Column("self_service", sa.Text, nullable=False, server_default=""))
    op.add_column("api_keys", sa.Column("user_id", sa.Text, nullable=True))
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.add_column("secrets", sa.Column("legacy", sa.Text, nullable=True))
    op.add_column("secrets", sa.Column("bcrypt", sa.Text, nullable=True))
    imported = sa.text("legacy IS NOT NULL")
    op.create_index("ix_secrets_legacy", "secrets", ["legacy"], sqlite_where=imported, postgresql_where=imported)
