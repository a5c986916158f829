"""How the ledger stores an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.types import TypeDecorator

from dispatch.store import LedgerUnavailable
from markets.grid import utc


class Instant(TypeDecorator[datetime]):
    """An instant in UTC, written 2026-08-20T16:00:00.000000Z: of one width, so text order is time order."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        return None if value is None else instant_text(value)

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (TypeError, ValueError) as fault:
            raise LedgerUnavailable(f"the ledger holds {value!r} where an instant belongs") from fault


def instant_text(at: datetime) -> str:
    """The ledger's text of an instant. Raises ValueError without an offset."""
    return f"{utc(at).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
