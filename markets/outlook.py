"""Outlook: what is known and what is expected over a horizon; each value says which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from markets.grid import Grid
from markets.series import Series


class Basis(StrEnum):
    """Where a value of an outlook comes from, best first."""

    PUBLISHED = "published"
    FORECAST = "forecast"
    HELD = "held"


class Rung(StrEnum):
    """The ladder of energy prices: each step down is journalled and shown."""

    REAL_TIME = "real-time"
    DAY_AHEAD = "day-ahead"
    PERSISTENCE = "persistence"
    SAFE_STATE = "safe-state"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Prices and conditions on one grid, as they stood at `at`.

    energy     by settlement point, usd_per_mwh
    basis      by settlement point, one Basis per interval
    hashprice  usd_per_ph_day before the pool's fee
    reserve    by product, usd_per_mw_h (empty until reserve prices are known)
    peak_share by length of the metered interval in minutes: the share of the month's coincident system peak expected in each interval
    rung       the ladder's step that the current interval stands on
    notes      in words: what was missing and what stands in for it
    """

    at: datetime
    grid: Grid
    energy: Mapping[str, Series]
    basis: Mapping[str, tuple[Basis, ...]]
    hashprice: Series
    temperature_c: Series
    rung: Rung = Rung.REAL_TIME
    reserve: Mapping[str, Series] = field(default_factory=dict)
    system_load_mw: Series | None = None
    peak_share: Mapping[int, Series] = field(default_factory=dict)
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def price(self, point: str) -> Series:
        """Energy at a settlement point. Raises KeyError in words when the outlook does not hold it."""
        if point not in self.energy:
            raise KeyError(f"no price for settlement point {point!r}; known: {', '.join(sorted(self.energy)) or 'none'}")
        return self.energy[point]
