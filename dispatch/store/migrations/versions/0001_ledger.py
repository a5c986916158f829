"""The first ledger: journal, blobs, inbox, keys, lease, roll-ups, price projections, statements."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Float, Integer, LargeBinary, String, Text, UniqueConstraint

from dispatch.store.dialect import append_only_ddl

revision = "0001"
down_revision = None

AT = String(27)


def upgrade() -> None:
    _journal()
    _inbox()
    _money()
    for table in ("journal", "blobs", "prices", "reserve_prices", "hashprices", "statements"):
        for statement in append_only_ddl(table, op.get_bind().dialect.name):
            op.execute(statement)


def _journal() -> None:
    op.create_table(
        "journal",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("at", AT, nullable=False),
        Column("kind", String(32), nullable=False),
        Column("token", Integer, nullable=False),
        Column("document", Text, nullable=False),
        Column("prev_hash", String(64), nullable=False),
        Column("hash", String(64), nullable=False),
    )
    op.create_index("journal_by_kind", "journal", ["kind", "seq"])
    op.create_table("blobs", Column("hash", String(64), primary_key=True), Column("bytes", LargeBinary, nullable=False))
    op.create_table(
        "lease",
        Column("name", String(32), primary_key=True),
        Column("token", Integer, nullable=False),
        Column("owner", String(255), nullable=False),
        Column("until_s", Float, nullable=False),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("at", AT, nullable=False),
        Column("kind", String(16), nullable=False),
        Column("document", Text, nullable=False),
        Column("key_name", String(64), nullable=False),
        Column("idempotency_key", String(255)),
        UniqueConstraint("key_name", "idempotency_key", name="inbox_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_keys",
        Column("name", String(64), primary_key=True),
        Column("sha256", String(64), nullable=False),
        Column("scopes", Text, nullable=False),
        Column("created_at", AT, nullable=False),
        Column("revoked_at", AT),
    )


def _money() -> None:
    op.create_table(
        "rollups",
        Column("group", String(128), primary_key=True),
        Column("start", AT, primary_key=True),
        Column("end", AT, primary_key=True),
        Column("energy_mwh", Text, nullable=False),
        Column("hash_ph_days", Text, nullable=False),
        Column("samples", Integer, nullable=False),
        Column("estimated", Float, nullable=False),
    )
    op.create_index("rollups_by_start", "rollups", ["start"])
    _vintages("prices", "usd_per_mwh", Column("point", String(128), nullable=False), Column("market", String(32), nullable=False))
    _vintages("reserve_prices", "usd_per_mw_h", Column("product", String(32), nullable=False), Column("market", String(32), nullable=False))
    _vintages("hashprices", "usd_per_ph_day", Column("basis", Text, nullable=False))
    op.create_table(
        "statements",
        Column("date", String(10), primary_key=True),
        Column("market", String(32), primary_key=True),
        Column("version", Integer, primary_key=True),
        Column("document", Text, nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("known_at", AT, nullable=False),
        Column("journal_head", String(128), nullable=False),
    )


def _vintages(name: str, figure: str, *keys: Column[str]) -> None:
    op.create_table(
        name,
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("nth", Integer, primary_key=True, autoincrement=False),
        *keys,
        Column("start", AT, nullable=False),
        Column("end", AT, nullable=False),
        Column(figure, Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("known_at", AT, nullable=False),
    )
    op.create_index(f"{name}_by_start", name, [*(k.name for k in keys if k.name != "basis"), "start"])


def downgrade() -> None:
    bind = op.get_bind()
    for table in ("statements", "hashprices", "reserve_prices", "prices", "rollups", "api_keys", "inbox", "lease", "blobs", "journal"):
        op.drop_table(table)
        if bind.dialect.name != "sqlite" and table in ("journal", "blobs", "prices", "reserve_prices", "hashprices", "statements"):
            op.execute(f"DROP FUNCTION {table}_append_only()")
