"""Price scenarios: past days of real-time less day-ahead prices, drawn at random and added to an outlook. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook, day_ahead_point
from markets.facts import Price, PriceMarket, ReservePrice
from markets.grid import Grid, Interval
from markets.outlook import Basis, Outlook

Floats = NDArray[np.float64]
Days = Mapping[date, Floats]  # by UTC date, one number for each hour, shape (24,)
Prices = tuple[Price, ...] | tuple[ReservePrice, ...]
DAY = timedelta(days=1)
DAY_S = 86_400
NO_RESERVE: Mapping[str, Days] = {}


def scenarios(
    outlook: Outlook, residuals: Mapping[str, Days], seed: int, n: int, reserve_residuals: Mapping[str, Days] = NO_RESERVE
) -> tuple[Outlook, ...]:
    """`n` outlooks whose unpublished energy prices differ from this one's by whole days of `residuals` (by settlement point, usd_per_mwh,
    hours UTC), drawn with replacement from `shared_dates`: the same date at every point. Reserve prices move by the same dates of
    `reserve_residuals` (by product, usd_per_mw_h) and do not fall below nothing.

    A point or product that does not know these dates keeps its prices; `held_note` says so."""
    rng = np.random.default_rng(seed)
    start_s = outlook.grid.edges[:-1]
    day, hour = start_s // DAY_S - start_s[0] // DAY_S, start_s % DAY_S // 3600
    dates = shared_dates(residuals, reserve_residuals)
    by_point, by_product = _on_dates(residuals, dates), _on_dates(reserve_residuals, dates)
    out = []
    for _ in range(n):
        drawn = rng.integers(0, max(len(dates), 1), int(day[-1]) + 1)
        energy = dict(outlook.energy)
        for point, series in outlook.energy.items():
            if point in by_point:
                published = np.array([b is Basis.PUBLISHED for b in outlook.basis.get(point, (Basis.FORECAST,) * len(start_s))])
                published[1:] = False  # a published day-ahead price is still a forecast of the real-time one
                moved = series.values + by_point[point][drawn[day], hour]
                energy[point] = series.with_values(np.where(published, series.values, moved))
        reserve = dict(outlook.reserve)
        for product, series in outlook.reserve.items():
            if product in by_product:
                reserve[product] = series.with_values(np.maximum(0.0, series.values + by_product[product][drawn[day], hour]))
        out.append(replace(outlook, energy=energy, reserve=reserve))
    return tuple(out)


def shared_dates(energy: Mapping[str, Days], reserve: Mapping[str, Days] = NO_RESERVE) -> tuple[date, ...]:
    """The dates that every point and every product knows, newest first, without those that know less than half as many dates as the point
    that knows most: a feed that has just begun does not narrow the choice to its first day.

    Where no date is known of all, the date known of most points, then of most products, then the newest, says which of them move: the
    dates are those that these share. Empty where no point knows a date."""
    most = max(map(len, energy.values()), default=0)
    energy, reserve = ({name: days for name, days in by_name.items() if 2 * len(days) >= most} for by_name in (energy, reserve))
    dates = {on for days in energy.values() for on in days}
    if not dates:
        return ()
    widest = max(dates, key=lambda on: (sum(on in days for days in energy.values()), sum(on in days for days in reserve.values()), on))
    moving = [days for days in (*energy.values(), *reserve.values()) if widest in days]
    return tuple(sorted((on for on in dates if all(on in days for days in moving)), reverse=True))


def held_note(energy: Mapping[str, Days], reserve: Mapping[str, Days] = NO_RESERVE) -> str:
    """Which points and products have the same prices in every scenario and why, in words; empty where all move."""
    dates = shared_dates(energy, reserve)
    held = [name for days in (energy, reserve) for name in days if name not in _on_dates(days, dates)]
    if not held:
        return ""
    return (
        f"price scenarios do not move the prices of {', '.join(held)}: too few complete days of real-time and day-ahead prices are known "
        f"both there and at the points and products that move"
    )


def _on_dates(by_name: Mapping[str, Days], dates: tuple[date, ...]) -> dict[str, Floats]:
    """Of the points or products that know all the dates, their days in this order, shape (dates, 24)."""
    return {name: np.array([days[on] for on in dates]) for name, days in by_name.items() if dates and all(on in days for on in dates)}


def residual_days(book: FactBook, point: str, before: datetime, days: int) -> dict[date, Floats]:
    """Real-time less day-ahead prices of the last `days` UTC days before an instant, by the date of each day on which both prices are known
    of every hour, newest first; usd_per_mwh."""
    return _complete_days(before, days, lambda over: (book.real_time(point, over), book.dam(day_ahead_point(point), over)))


def reserve_residual_days(book: FactBook, product: str, before: datetime, days: int) -> dict[date, Floats]:
    """The same of a reserve product, usd_per_mw_h: real-time less day-ahead clearing prices."""
    real_time = PriceMarket.REAL_TIME_15_MIN
    return _complete_days(before, days, lambda over: (book.reserve(product, over, real_time), book.reserve(product, over)))


def _complete_days(before: datetime, days: int, actual_and_ahead: Callable[[Interval], tuple[Prices, Prices]]) -> dict[date, Floats]:
    midnight = datetime.fromtimestamp(before.timestamp() // DAY_S * DAY_S, before.tzinfo)
    found = {}
    for back in range(1, days + 1):
        over = Interval(midnight - back * DAY, midnight - (back - 1) * DAY)
        hours = Grid.regular(over.start, over.end, 60)
        actual, ahead = (_hourly(prices, hours) for prices in actual_and_ahead(over))
        if np.isfinite(actual).all() and np.isfinite(ahead).all():
            found[over.start.date()] = actual - ahead
    return found


def _hourly(prices: Prices, hours: Grid) -> Floats:
    """Time-weighted means by hour; NaN where prices do not cover all of an hour."""
    usd, covered = np.zeros(len(hours)), np.zeros(len(hours))
    for price in prices:
        share = hours.share_within(price.over)
        usd += share * (price.usd_per_mwh if isinstance(price, Price) else price.usd_per_mw_h)
        covered += share
    return np.where(np.abs(covered - 1.0) < 1e-9, usd, np.nan)
