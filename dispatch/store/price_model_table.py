"""The table of trained price models by settlement point; each training is a new version."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, LargeBinary, String, Table

from dispatch.store.instant_column import Instant
from dispatch.store.tables import ledger

price_models = Table(
    "price_models",
    ledger,
    Column("point", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("market", String(32), nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("trained_at", Instant, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("packed", LargeBinary, nullable=False),
)
