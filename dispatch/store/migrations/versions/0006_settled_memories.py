"""What contracts remember at the end of each settled day."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, LargeBinary, String

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "settled_memories",
        Column("outside", String(64), primary_key=True),
        Column("until", String(27), primary_key=True),
        Column("seq", Integer, nullable=False),
        Column("received", Integer, nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("packed", LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("settled_memories")
