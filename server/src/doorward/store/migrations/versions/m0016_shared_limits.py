"""How much of a rate is lent to workers, so that any number of them keep within one share of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for name in ("turn", "lent", "lent_before"):
        op.add_column("limit_cells", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
