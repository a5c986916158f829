"""Price models are in the record log; those that are there already are recorded as they are."""

from __future__ import annotations

from alembic import op

from dispatch.store.price_model_table import price_models
from dispatch.store.record_log import record_all

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    record_all(op.get_bind(), (price_models,))


def downgrade() -> None:
    """The log is append-only: its records of price models stay."""
