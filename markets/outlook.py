"""The outlook: what is known and what is expected over a horizon; each value states which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from markets.grid import Grid
from markets.series import Series

# How a coincident peak is metered: minutes of the interval, of each month's peak; or (minutes, months), 3 for that of a season.
PeakWindow = int | tuple[int, int]


class Basis(StrEnum):
    """Where a value of an outlook comes from, best first."""

    PUBLISHED = "published"
    ESTIMATED = "estimated"  # of the interval under way: its dispatch runs so far, and the market's indicative prices for the rest
    INDICATIVE = "indicative"  # what the market's own look-ahead run expects
    FORECAST = "forecast"
    HELD = "held"


class PriceBasis(StrEnum):
    """Which energy price the current interval is planned on, best first; each change is journalled and shown."""

    REAL_TIME = "real-time"
    DAY_AHEAD = "day-ahead"
    PERSISTENCE = "persistence"
    SAFE_STATE = "safe-state"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Prices and conditions on one grid, as known at `at`.

    energy     by settlement point, usd_per_mwh
    basis      by settlement point, one Basis per interval
    quantiles  by settlement point and level (probability) the price that the outcome stays under; NaN where no model says
    spike_probability  by settlement point, of a price above what the model counts as a spike; NaN where no model says
    hashprice  usd_per_ph_day before the pool's fee
    reserve    by product, usd_per_mw_h, what carrying it in real time is expected to earn (empty until reserve prices are known)
    reserve_basis  by product, one Basis per interval
    peak_share by the way it is metered (PeakWindow): the share of the coincident system peak expected in each interval
    available_mw  by wind or solar plant behind a meter: what it can make, MW; NaN where nothing is known of it
    price_basis  which price the current interval is planned on
    notes      in words: what was missing and what is used instead
    """

    at: datetime
    grid: Grid
    energy: Mapping[str, Series]
    basis: Mapping[str, tuple[Basis, ...]]
    hashprice: Series
    temperature_c: Series
    price_basis: PriceBasis = PriceBasis.REAL_TIME
    reserve: Mapping[str, Series] = field(default_factory=dict)
    reserve_basis: Mapping[str, tuple[Basis, ...]] = field(default_factory=dict)
    system_load_mw: Series | None = None
    peak_share: Mapping[PeakWindow, Series] = field(default_factory=dict)
    available_mw: Mapping[str, Series] = field(default_factory=dict)
    quantiles: Mapping[str, Mapping[float, Series]] = field(default_factory=dict)
    spike_probability: Mapping[str, Series] = field(default_factory=dict)
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def price(self, point: str) -> Series:
        """Energy at a settlement point. Raises KeyError that names the points it has."""
        if point not in self.energy:
            raise KeyError(f"no price for settlement point {point!r}; known: {', '.join(sorted(self.energy)) or 'none'}")
        return self.energy[point]
