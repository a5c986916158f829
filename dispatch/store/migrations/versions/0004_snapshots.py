"""Snapshots of what was folded from the journal, and an index of the journal by time."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, LargeBinary, String

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "snapshots",
        Column("kind", String(16), primary_key=True),
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("hash", String(64), nullable=False),
        Column("schema", String(64), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("packed", LargeBinary, nullable=False),
    )
    op.create_index("journal_by_time", "journal", ["kind", "at"])


def downgrade() -> None:
    op.drop_index("journal_by_time", "journal")
    op.drop_table("snapshots")
