"""Forecast: fills the hours nobody has published, and says of every value where it comes from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook
from markets.facts import LoadForecast, Price, ReservePrice, SystemLoad, Temperature
from markets.grid import Grid, Interval
from markets.series import Series

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
DAYS_BACK = 7


def _value(fact: Price | ReservePrice | SystemLoad | LoadForecast | Temperature) -> float:
    if isinstance(fact, Price):
        return fact.usd_per_mwh
    if isinstance(fact, ReservePrice):
        return fact.usd_per_mw_h
    return fact.celsius if isinstance(fact, Temperature) else fact.load_mw


def means_on(
    facts: Sequence[Price | ReservePrice | SystemLoad | LoadForecast | Temperature], grid: Grid, later: timedelta = timedelta(0)
) -> NDArray[np.float64]:
    """The facts' time-weighted mean on a grid, moved `later`; NaN where they do not cover an interval whole."""
    if not facts:
        return np.full(len(grid), np.nan)
    values: dict[int, float] = {}
    ends: set[int] = set()
    for fact in facts:
        values[int(fact.over.start.timestamp())] = _value(fact)
        ends.add(int(fact.over.end.timestamp()))
    edges = np.array(sorted(ends | values.keys()), dtype=np.int64)
    known = np.array([values.get(int(edge), np.nan) for edge in edges[:-1]])
    return Series(Grid(edges + int(later.total_seconds())), known, "").onto(grid).values


def _back(over: Interval, days: int) -> Interval:
    return Interval(over.start - days * DAY, over.end - days * DAY)


def _same_hours(book: FactBook, point: str, grid: Grid, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaps filled with the same hours of the latest day that knows them: day-ahead prices first, then real-time ones."""
    for prices in (book.dam, book.real_time):
        for days in range(1, DAYS_BACK + 1):
            if not np.isnan(values).any():
                return values
            values = np.where(np.isnan(values), means_on(prices(point, _back(grid.over, days)), grid, days * DAY), values)
    return values


def _filled(grid: Grid, shelf: Sequence[Temperature] | Sequence[LoadForecast] | Sequence[SystemLoad]) -> NDArray[np.float64]:
    """Known values on a grid, gaps filled with the same hours of the latest day that knows them."""
    values = np.full(len(grid), np.nan)
    for days in range(DAYS_BACK + 1):
        if not np.isnan(values).any():
            break
        over = _back(grid.over, days)
        near = [f for f in shelf if f.over.overlaps(over)]
        values = np.where(np.isnan(values), means_on(near, grid, days * DAY), values)
    return values


def system_load(book: FactBook, grid: Grid) -> Series | None:
    """The operator's load forecast, hours it does not reach as the load was at the same hours before."""
    values = _filled(grid, book.load_forecasts)
    if np.isnan(values).any():
        values = np.where(np.isnan(values), _filled(grid, book.loads), values)
    return None if np.isnan(values).all() else Series(grid, values, "mw")
