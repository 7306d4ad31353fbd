"""Records of tokens apart from the journal, both in parts on PostgreSQL; checkpoints of what was pruned."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

TOKEN_RECORDS = "('AccessTokenIssued', 'AuthorizationRequested', 'RefreshTokenIssued', 'UpstreamSignInBegun')"
COLUMNS = "seq, at, change, type, entity, entity_id, actor, request_id, data"
# As `partitions.py` sizes the first ones.
SIZE = 1_000_000


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("ledger", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("ledger", "seq", name="pk_checkpoints"),
    )
    ended = sa.text("revoked_at IS NOT NULL")
    op.create_index("ix_grants_revoked_at", "grants", ["revoked_at"], sqlite_where=ended, postgresql_where=ended)
    op.create_index("ix_grants_created_at", "grants", ["created_at"])
    if _has_partitions():
        _in_parts()
    else:
        _ledger("token_records")
    op.execute(
        f"INSERT INTO token_records ({COLUMNS}) SELECT {COLUMNS} FROM journal WHERE type IN {TOKEN_RECORDS}"  # noqa: S608
    )
    op.execute(f"DELETE FROM journal WHERE type IN {TOKEN_RECORDS}")  # noqa: S608


def _has_partitions() -> bool:
    """CockroachDB speaks PostgreSQL's protocol, and has parts of another kind: there the rows are deleted."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return False
    return "CockroachDB" not in str(connection.exec_driver_sql("SELECT version()").scalar())


def _in_parts() -> None:
    """What is there becomes the first part as it is: no row is copied."""
    head: int = op.get_bind().exec_driver_sql("SELECT seq FROM journal_head").scalar_one()
    end = (head // SIZE + 2) * SIZE
    op.execute("ALTER TABLE journal RENAME TO journal_from_0")
    op.execute("ALTER TABLE journal_from_0 RENAME CONSTRAINT pk_journal TO journal_from_0_pkey")
    op.execute("ALTER INDEX ix_journal_changes RENAME TO journal_from_0_seq_idx")
    for name in ("journal", "token_records"):
        _ledger(name, postgresql_partition_by="RANGE (seq)")
    change = sa.text("change")
    op.create_index("ix_journal_changes", "journal", ["seq"], postgresql_where=change)
    op.execute(f"ALTER TABLE journal ATTACH PARTITION journal_from_0 FOR VALUES FROM (0) TO ({end})")
    op.execute(f"CREATE TABLE token_records_from_0 PARTITION OF token_records FOR VALUES FROM (0) TO ({end})")
    for name in ("journal", "token_records"):
        op.execute(f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT")


def _ledger(name: str, **options: Any) -> None:
    op.create_table(
        name,
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("change", sa.Boolean, nullable=False),
        *(sa.Column(text, sa.Text, nullable=False) for text in ("type", "entity", "entity_id")),
        *(sa.Column(text, sa.Text, nullable=False) for text in ("actor", "request_id", "data")),
        sa.PrimaryKeyConstraint("seq", name=f"pk_{name}"),
        **options,
    )
