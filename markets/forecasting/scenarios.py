"""Price scenarios: past days of real-time less day-ahead prices, drawn at random and added to an outlook. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook, day_ahead_point
from markets.facts import Price, PriceMarket, ReservePrice
from markets.grid import Grid, Interval
from markets.outlook import Basis, Outlook

Floats = NDArray[np.float64]
DAY = timedelta(days=1)
DAY_S = 86_400


def scenarios(
    outlook: Outlook, residuals: Mapping[str, Floats], seed: int, n: int, reserve_residuals: Mapping[str, Floats] | None = None
) -> tuple[Outlook, ...]:
    """`n` outlooks whose unpublished energy prices differ from this one's by whole days of `residuals` (by settlement point, usd_per_mwh,
    shape (days, 24), hours UTC), the same day at every point, drawn with replacement. A point without residuals keeps its prices.

    Reserve prices move by the same days of `reserve_residuals` (by product, usd_per_mw_h), where these know as many days, and do not fall
    below nothing."""
    rng = np.random.default_rng(seed)
    start_s = outlook.grid.edges[:-1]
    day, hour = start_s // DAY_S - start_s[0] // DAY_S, start_s % DAY_S // 3600
    known = min((len(r) for r in residuals.values() if len(r)), default=0)
    out = []
    for _ in range(n):
        drawn = rng.integers(0, max(known, 1), int(day[-1]) + 1)
        energy = dict(outlook.energy)
        for point, series in outlook.energy.items():
            if len(residuals.get(point, ())):
                published = np.array([b is Basis.PUBLISHED for b in outlook.basis.get(point, (Basis.FORECAST,) * len(start_s))])
                published[1:] = False  # a published day-ahead price is still a forecast of the real-time one
                moved = series.values + residuals[point][drawn[day], hour]
                energy[point] = series.with_values(np.where(published, series.values, moved))
        reserve = dict(outlook.reserve)
        for product, days in (reserve_residuals or {}).items():
            if len(days) == known and product in reserve:
                series = reserve[product]
                reserve[product] = series.with_values(np.maximum(0.0, series.values + days[drawn[day], hour]))
        out.append(replace(outlook, energy=energy, reserve=reserve))
    return tuple(out)


def residual_days(book: FactBook, point: str, before: datetime, days: int) -> Floats:
    """Real-time less day-ahead prices of the last `days` complete UTC days before an instant, where both prices are known; usd_per_mwh,
    shape (days found, 24)."""
    midnight = datetime.fromtimestamp(before.timestamp() // DAY_S * DAY_S, before.tzinfo)
    found = []
    for back in range(1, days + 1):
        over = Interval(midnight - back * DAY, midnight - (back - 1) * DAY)
        hours = Grid.regular(over.start, over.end, 60)
        actual, ahead = _hourly(book.real_time(point, over), hours), _hourly(book.dam(day_ahead_point(point), over), hours)
        if np.isfinite(actual).all() and np.isfinite(ahead).all():
            found.append(actual - ahead)
    return np.array(found).reshape(-1, 24)


def reserve_residual_days(book: FactBook, product: str, before: datetime, days: int) -> Floats:
    """The same of a reserve product, usd_per_mw_h: real-time less day-ahead clearing prices."""
    midnight = datetime.fromtimestamp(before.timestamp() // DAY_S * DAY_S, before.tzinfo)
    found = []
    for back in range(1, days + 1):
        over = Interval(midnight - back * DAY, midnight - (back - 1) * DAY)
        hours = Grid.regular(over.start, over.end, 60)
        actual = _hourly(book.reserve(product, over, PriceMarket.REAL_TIME_15_MIN), hours)
        ahead = _hourly(book.reserve(product, over), hours)
        if np.isfinite(actual).all() and np.isfinite(ahead).all():
            found.append(actual - ahead)
    return np.array(found).reshape(-1, 24)


def _hourly(prices: tuple[Price, ...] | tuple[ReservePrice, ...], hours: Grid) -> Floats:
    """Time-weighted means by hour; NaN where prices do not cover all of an hour."""
    usd, covered = np.zeros(len(hours)), np.zeros(len(hours))
    for price in prices:
        share = hours.share_within(price.over)
        usd += share * (price.usd_per_mwh if isinstance(price, Price) else price.usd_per_mw_h)
        covered += share
    return np.where(np.abs(covered - 1.0) < 1e-9, usd, np.nan)
