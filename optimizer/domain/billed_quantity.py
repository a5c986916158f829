"""Billed quantities that a contract's lines do not show by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class BilledQuantity:
    """A quantity behind a contract's bill over a span, so that spans add up. `unit` is "mwh", "usd"...; `how` says what it counts."""

    name: str
    quantity: Decimal
    unit: str
    how: str
