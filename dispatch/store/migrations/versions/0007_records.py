"""The record log of rows outside the journal; those that are there already are recorded as they are, and the
head files name the newest rows."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, String, text

from dispatch.store.dialect import append_only_ddl
from dispatch.store.head_file import note_head
from dispatch.store.record_log import record_all
from dispatch.store.tables import api_keys, inbox, meter_readings, received, rollup_days, statements

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "records",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("at", String(27), nullable=False),
        Column("of", String(32), nullable=False),
        Column("row", String(400), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("prev_hash", String(64), nullable=False),
        Column("hash", String(64), nullable=False),
    )
    op.create_index("records_by_row", "records", ["of", "row", "seq"])
    for statement in append_only_ddl("records", op.get_bind().dialect.name):
        op.execute(statement)
    bind = op.get_bind()
    record_all(bind, (api_keys, inbox, statements, received, meter_readings, rollup_days))
    newest = bind.execute(text("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1")).one_or_none()
    if newest is not None:
        note_head(bind, "journal", newest.seq, newest.hash)


def downgrade() -> None:
    op.drop_table("records")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION records_append_only()")
