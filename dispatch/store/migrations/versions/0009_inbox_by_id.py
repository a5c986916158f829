"""An index of the inbox by the id of its documents: a call that comes in again finds its versions without reading every row."""

from __future__ import annotations

from alembic import op
from sqlalchemy import column

from dispatch.store.dialect import document_id

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index("inbox_by_document_id", "inbox", [document_id(column("document"))])


def downgrade() -> None:
    op.drop_index("inbox_by_document_id", "inbox")
