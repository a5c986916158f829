"""Documents that came in, and what meters said in them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer, LargeBinary, String, Text

from dispatch.store.dialect import append_only_ddl

revision = "0002"
down_revision = "0001"

AT = String(27)
TABLES = ("received", "meter_readings")


def upgrade() -> None:
    op.create_table(
        "received",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("sha256", String(64), nullable=False, unique=True),
        Column("kind", String(16), nullable=False),
        Column("name", Text, nullable=False),
        Column("map", Text, nullable=False),
        Column("packed", LargeBinary, nullable=False),
        Column("first", String(10)),
        Column("last", String(10)),
        Column("known_at", AT, nullable=False),
    )
    op.create_table(
        "meter_readings",
        Column("received", Integer, primary_key=True, autoincrement=False),
        Column("meter", String(128), primary_key=True),
        Column("start", AT, primary_key=True),
        Column("end", AT, nullable=False),
        Column("mwh", Text, nullable=False),
        Column("quality", String(16), nullable=False),
        Column("row", Integer, nullable=False),
    )
    op.create_index("meter_readings_by_start", "meter_readings", ["start"])
    for table in TABLES:
        for statement in append_only_ddl(table, op.get_bind().dialect.name):
            op.execute(statement)


def downgrade() -> None:
    bind = op.get_bind()
    for table in reversed(TABLES):
        op.drop_table(table)
        if bind.dialect.name != "sqlite":
            op.execute(f"DROP FUNCTION {table}_append_only()")
