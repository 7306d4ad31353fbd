"""OpenID Connect on both sides: users' logins elsewhere, sign-ins there, and who has yet to hear of a logout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

IDENTITIES, SIGN_INS = "identities", "upstream_sign_ins"
DELIVERIES = "logout_deliveries"


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(200), nullable=False)


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _at(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def upgrade() -> None:
    _add_logins_elsewhere()
    _add_logout_deliveries()


def _add_logins_elsewhere() -> None:
    op.create_table(
        IDENTITIES, _id(), _text("user_id"), _text("issuer"), _text("subject", nullable=True),
        _text("email", nullable=True), _at("created_at"), _at("expires_at", nullable=True), _key(IDENTITIES),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{IDENTITIES}_user_id"),
    )  # fmt: skip
    op.create_table(
        SIGN_INS, _id(), _text("upstream"), _text("digest"), _text("request_id"), _text("address"),
        _at("max_age", nullable=True), _at("created_at"), _at("expires_at"), _at("ended_at", nullable=True),
        _text("proof", nullable=True), _key(SIGN_INS), sa.UniqueConstraint("proof", name=f"uq_{SIGN_INS}_proof"),
    )  # fmt: skip
    for table, column in ((IDENTITIES, "user_id"), (SIGN_INS, "address"), (SIGN_INS, "expires_at")):
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.create_index("uq_identities_subject", IDENTITIES, ["issuer", "subject"], unique=True)
    for name, table in (("ix_identities_email", IDENTITIES), ("ix_users_email_lower", "users")):
        op.create_index(name, table, [sa.func.lower(sa.column("email"))])


def _add_logout_deliveries() -> None:
    op.create_table(
        DELIVERIES, sa.Column("session_id", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False), _text("user_id"), _at("created_at"), _at("next_at"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "client_id", name=f"pk_{DELIVERIES}"),
    )  # fmt: skip
    op.create_index(f"ix_{DELIVERIES}_next_at", DELIVERIES, ["next_at"])
