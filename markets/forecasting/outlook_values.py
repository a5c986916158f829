"""Facts on the grid of an outlook: time-weighted means, and gaps filled with the same hours of earlier days. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook
from markets.facts import GenerationForecast, LoadForecast, MeasuredGeneration, Price, ReservePrice, SystemLoad, Temperature
from markets.grid import Grid, Interval
from markets.series import Series

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
DAYS_BACK = 7  # how many earlier days are searched for the same hours


Measured = Price | ReservePrice | SystemLoad | LoadForecast | Temperature | MeasuredGeneration | GenerationForecast


def value_of(fact: Measured) -> float:
    """The fact's number in its own unit: usd_per_mwh, usd_per_mw_h, MW or degrees Celsius."""
    if isinstance(fact, Price):
        return fact.usd_per_mwh
    if isinstance(fact, ReservePrice):
        return fact.usd_per_mw_h
    if isinstance(fact, MeasuredGeneration | GenerationForecast):
        return fact.mw
    return fact.celsius if isinstance(fact, Temperature) else fact.load_mw


def means_on(facts: Sequence[Measured], grid: Grid, shifted_by: timedelta = timedelta(0)) -> NDArray[np.float64]:
    """The time-weighted mean of facts in each interval of a grid, shape (n,), after moving them later by `shifted_by`. NaN where the facts
    do not cover all of an interval."""
    if not facts:
        return np.full(len(grid), np.nan)
    values, ends = dict[int, float](), set[int]()
    since, until = None, 0
    for fact in facts:
        over = fact.over
        start = until if over.start == since else int(over.start.timestamp())  # most follow each other
        since, until = over.end, int(over.end.timestamp())
        values[start] = value_of(fact)
        ends.add(until)
    edges = np.array(sorted(ends | values.keys()), dtype=np.int64)
    known = np.array([values.get(int(edge), np.nan) for edge in edges[:-1]])
    return Series(Grid(edges + int(shifted_by.total_seconds())), known, "").onto(grid).values


def days_before(over: Interval, days: int) -> Interval:
    """The same interval `days` times 24 hours earlier."""
    return Interval(over.start - days * DAY, over.end - days * DAY)


def filled_with_same_hours(book: FactBook, point: str, grid: Grid, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` (usd_per_mwh, shape (n,)) with gaps filled from the same hours of the latest earlier day that has a price: a day-ahead price
    of any day first, then a real-time one."""
    for prices in (book.dam, book.real_time):
        for days in range(1, DAYS_BACK + 1):
            if not np.isnan(values).any():
                return values
            values = np.where(np.isnan(values), means_on(prices(point, days_before(grid.over, days)), grid, days * DAY), values)
    return values


def filled_from_earlier_days(
    grid: Grid, facts: Sequence[Temperature] | Sequence[LoadForecast] | Sequence[SystemLoad] | Sequence[MeasuredGeneration]
) -> NDArray[np.float64]:
    """The facts on a grid, shape (n,), with gaps filled from the same hours of the latest earlier day that has a value. NaN where none
    has."""
    values = np.full(len(grid), np.nan)
    for days in range(DAYS_BACK + 1) if facts else ():
        if not np.isnan(values).any():
            break
        over = days_before(grid.over, days)
        near = [f for f in facts if f.over.overlaps(over)]
        values = np.where(np.isnan(values), means_on(near, grid, days * DAY), values)
    return values


def system_load(book: FactBook, grid: Grid) -> Series | None:
    """The system load, MW: the operator's forecast, and beyond its horizon the load of the same hours of earlier days. None when neither is
    known."""
    values = filled_from_earlier_days(grid, book.load_forecasts)
    if np.isnan(values).any():
        values = np.where(np.isnan(values), filled_from_earlier_days(grid, book.loads), values)
    return None if np.isnan(values).all() else Series(grid, values, "mw")
