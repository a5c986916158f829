"""Trained price models."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, Integer, LargeBinary, String

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "price_models",
        Column("point", String(128), primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("market", String(32), nullable=False),
        Column("accepted", Boolean, nullable=False),
        Column("trained_at", String(27), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("packed", LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("price_models")
