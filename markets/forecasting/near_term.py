"""The price of the interval under way and of the next hour, from the market's dispatch runs and its look-ahead run. Pure.

ERCOT settles a quarter hour on the time-weighted mean of its dispatch (SCED) runs, each published within seconds (Protocols 6.6.1.1); its
look-ahead (RTD) run gives indicative prices of the next 55 minutes with each of them (NP6-970-CD). Until 2025-12-04 a run's price lacks
the reserve adders that the settled price has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.facts import IndicativePrices, IndicativeReservePrices, Price, ReservePrice
from markets.forecasting.outlook_values import means_on
from markets.grid import Grid, Interval, Market
from markets.outlook import Basis
from markets.series import Series

Floats = NDArray[np.float64]
STEP_S = 300
STALE_RUN = timedelta(minutes=12)  # two runs missed: what an older one expected of now is no longer used


@dataclass(frozen=True, slots=True)
class NearTerm:
    """Prices on the grid of an outlook, NaN where neither dispatch nor look-ahead runs give one, and what each is, shape (n,).

    runs       how many dispatch runs the interval under way has had
    estimate   of the interval under way; NaN where it cannot be estimated
    """

    values: Floats
    basis: tuple[Basis, ...]
    runs: int
    estimate: float

    def over(self, values: Floats, basis: Sequence[Basis]) -> tuple[Floats, list[Basis]]:
        """Other values on the same grid and their basis, with these in their place where there are any."""
        none = np.isnan(self.values)
        kept = [old if gap else new for gap, new, old in zip(none, self.basis, basis, strict=True)]
        return np.where(none, values, self.values), kept


def interval_under_way(at: datetime, minutes: int) -> Interval:
    """The settlement interval of so many minutes that holds an instant."""
    start = datetime.fromtimestamp(at.timestamp() // (minutes * 60) * minutes * 60, UTC)
    return Interval(start, start + timedelta(minutes=minutes))


def near_term(
    runs: Sequence[Price] | Sequence[ReservePrice],
    look_ahead: Sequence[IndicativePrices] | Sequence[IndicativeReservePrices],
    at: datetime,
    grid: Grid,
    market: Market,
) -> NearTerm:
    """The settlement interval under way, later ones, and the rest of the next hour.

    The one under way is the time-weighted mean of its dispatch `runs` so far and of the newest of `look_ahead` for the rest, or without
    that of its newest dispatch run. Later ones are means of indicative prices where these cover all of them. What is left of the hour
    has the last of these means.
    """
    if not runs and not look_ahead:
        return NearTerm(np.full(len(grid), np.nan), (Basis.HELD,) * len(grid), 0, float("nan"))
    now = interval_under_way(at, market.settlement_min)
    indicative = look_ahead[-1] if look_ahead and at - look_ahead[-1].known_at <= STALE_RUN else None
    whole = market.settlement_min * 60
    last_s = max(indicative.over.end.timestamp(), now.end.timestamp()) if indicative is not None else now.end.timestamp()
    fine = Grid(np.arange(int(now.start.timestamp()), int(last_s) // whole * whole + 1, STEP_S, dtype=np.int64))
    values = np.full(len(fine), np.nan) if indicative is None else _steps(indicative).onto(fine).values
    so_far = [run for run in runs if run.over.overlaps(now) and run.over.start <= at]
    if so_far:
        ran = means_on(so_far, fine)
        values = np.where(np.isnan(ran), values, ran)
    under_way = fine.edges[:-1] < now.end.timestamp()
    if so_far:  # the newest run holds until the next one
        seen = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
        values = np.where(under_way & np.isnan(values) & (seen >= 0), values[np.maximum(seen, 0)], values)
    settled = Series(fine, values, "").onto(Grid(np.arange(fine.edges[0], fine.edges[-1] + 1, whole, dtype=np.int64)))
    return _on(grid, settled, at, len(so_far))


def _on(grid: Grid, settled: Series, at: datetime, runs: int) -> NearTerm:
    values = settled.onto(grid).values
    first = grid.edges[:-1] < settled.grid.edges[1]
    basis = [Basis.HELD if np.isnan(usd) else Basis.ESTIMATED if now else Basis.INDICATIVE for usd, now in zip(values, first, strict=True)]
    known = np.flatnonzero(np.isfinite(values))
    holes = np.isnan(values) & (grid.edges[:-1] < (at + timedelta(hours=1)).timestamp())
    if len(known) and known[0] == 0:
        values = np.where(holes, values[known[-1]], values)
        basis = [Basis.HELD if hole else old for hole, old in zip(holes, basis, strict=True)]
    return NearTerm(values, tuple(basis), runs, float(settled.values[0]))


def _steps(indicative: IndicativePrices | IndicativeReservePrices) -> Series:
    """The prices of a look-ahead run on its own steps."""
    usd = indicative.usd_per_mwh if isinstance(indicative, IndicativePrices) else indicative.usd_per_mw_h
    start_s, end_s = (int(at.timestamp()) for at in (indicative.over.start, indicative.over.end))
    return Series(Grid(np.linspace(start_s, end_s, len(usd) + 1).astype(np.int64)), np.array(usd), "")
