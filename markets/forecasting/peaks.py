"""Coincident peaks: the interval of the system's highest load in a month or season, as a probability before it and as a fact after it.
Pure. How likely an interval is to be the peak is worked out in peak_period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook
from markets.facts import SystemLoad
from markets.forecasting.outlook_values import means_on
from markets.forecasting.peak_period import DAY_ERROR, HOUR_ERROR, LEAD, PERSISTENCE_ERROR, USUAL, PeakPeriod, day_on
from markets.grid import Grid, Interval, Market, month_span, months
from markets.outlook import PeakWindow
from markets.series import Series

Floats = NDArray[np.float64]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_CHANGE_IN_AN_HOUR = 0.15  # of a system's load; ERCOT's steepest summer hours change by a tenth
WEARS_OFF_S = 3600.0  # in which the newest forecast error falls to a third (1/e)
DAY_BEFORE_WEARS_OFF_S = 9 * 3600.0  # the same of how far the newest reading is from the day before's, slowly at first
HOUR_WEARS_OFF_S = 4 * 3600.0  # the same of the last hour's forecast error


def coincident_peak_probability(book: FactBook, grid: Grid, market: Market, window: PeakWindow = 15) -> Series | None:
    """The share of its month's (or season's) coincident peak that is expected in each interval of a grid in the future, unit "share", 0..1:
    the probability of each metered interval, spread over the grid. None when no load is known or forecast."""
    minutes, each = _metering(window)
    step = minutes * 60
    fine = Grid(np.arange(grid.edges[0] // step * step, -(-grid.edges[-1] // step) * step + 1, step, dtype=np.int64))
    mw = _expected_load(book, fine)
    if mw is None:
        return None
    forecast = bool(book.load_forecasts) and book.load_forecasts[-1].over.end > grid.start
    today = np.array([day_on(over.start, market) == day_on(fine.start, market) for over in fine.intervals])
    if forecast:
        mw = np.where(today, mw * _forecast_ratio(book, fine), mw)
    else:
        mw = mw * (
            1.0 + (_day_before_ratio(book, fine) - 1.0) * np.exp(-(((fine.edges[:-1] - fine.edges[0]) / DAY_BEFORE_WEARS_OFF_S) ** 2))
        )
    hours_ahead = np.maximum(1.0, (fine.edges[1:] - fine.edges[0]) / 3600.0)
    day_error = DAY_ERROR if forecast else PERSISTENCE_ERROR
    error = np.where(today, np.minimum(HOUR_ERROR * hours_ahead**LEAD, day_error), day_error)
    found = np.zeros(len(fine))
    for here, span in _periods(market, fine, each):
        found[here] = PeakPeriod.of(book.loads, fine, mw, here, span, market).probabilities(mw[here], error[here], hours_ahead[here])
    return Series(grid, _spread(fine, found, grid), "share")


def coincident_peak_share(loads: Sequence[SystemLoad], grid: Grid, market: Market, window: PeakWindow = 15) -> Series:
    """The share of each month's (or season's) highest metered interval, of all loads given, that lies in each interval of a grid, unit
    "share". A reading longer than the metered interval is spread over it. All zero where the peak is outside the grid or nothing was
    read."""
    minutes, each = _metering(window)
    found = np.zeros(len(grid))
    for _, span in _periods(market, grid, each):
        peak = _highest(_metered([f for f in loads if f.over.overlaps(span)], minutes, span))
        if peak is not None:
            found += _overlap(grid, peak) / (peak.end - peak.start).total_seconds()
    return Series(grid, found, "share")


def coincident_peak(loads: Sequence[SystemLoad], market: Market, at: datetime, window: PeakWindow = 15) -> Interval | None:
    """The highest metered interval, of all loads given, in the month (or season) of an instant; None when nothing was read."""
    minutes, each = _metering(window)
    ((_, span),) = _periods(market, Grid.regular(at, at + timedelta(minutes=5), 5), each)
    return _highest(_metered([f for f in loads if f.over.overlaps(span)], minutes, span))


def peak_is_unknown(loads: Sequence[SystemLoad], grid: Grid, market: Market, window: PeakWindow = 15) -> NDArray[np.bool_]:
    """Where a grid's interval may hold the highest load of its month (or season) and no reading says so, shape (n,). An interval without a
    reading cannot when a reading within an hour of it is further below the highest than a system's load changes in an hour."""
    at_s = grid.edges[0] + np.arange(0, grid.edges[-1] - grid.edges[0], 60)
    unread = np.ones(len(at_s), dtype=np.bool_)
    low = np.zeros(len(at_s), dtype=np.bool_)
    hour_s, near = HOUR.total_seconds(), Interval(grid.start - HOUR, grid.end + HOUR)
    for here, span in _periods(market, grid, _metering(window)[1]):
        within = (at_s >= grid.edges[here[0]]) & (at_s < grid.edges[here[-1] + 1])
        own = [f for f in loads if f.over.overlaps(span)]
        highest = max((f.load_mw for f in own), default=0.0)
        for fact in (f for f in own if f.over.overlaps(near)):
            start_s, end_s = fact.over.start.timestamp(), fact.over.end.timestamp()
            unread &= ~(within & (at_s >= start_s) & (at_s < end_s))
            if fact.load_mw < highest * (1 - MOST_CHANGE_IN_AN_HOUR):
                low |= within & (at_s >= start_s - hour_s) & (at_s < end_s + hour_s)
    positions = np.searchsorted(grid.edges, at_s[unread & ~low], side="right") - 1
    return np.isin(np.arange(len(grid)), positions)


def peak_span(market: Market, grid: Grid, windows: Iterable[PeakWindow]) -> Interval:
    """The longest month or season, of those that `windows` meter by, that holds a grid's start: the span whose system load is needed."""
    return max((_periods(market, grid, _metering(window)[1])[0][1] for window in windows), key=lambda span: span.hours)


def loads_needed_since(market: Market, at: datetime, windows: Iterable[PeakWindow]) -> datetime:
    """Since when the system's load must be known to predict the coincident peaks at an instant: since their month or season began, and
    the days before that are taken as usual."""
    span = peak_span(market, Grid.regular(at, at + HOUR, 60), windows)
    return min(span.start, at - USUAL)


def _metering(window: PeakWindow) -> tuple[int, int]:
    return window if isinstance(window, tuple) else (window, 1)


def _periods(market: Market, grid: Grid, each: int) -> list[tuple[NDArray[np.intp], Interval]]:
    """The months that a grid touches, or with `each` the seasons of so many months counted from December: for each, the grid's positions in
    it and its whole span."""
    month = months(market, grid)
    first = month - (month + 1) % each
    spans = [Interval(month_span(market, n).start, month_span(market, n + each - 1).end) for n in np.unique(first).tolist()]
    return [(np.flatnonzero(first == n), span) for n, span in zip(np.unique(first), spans, strict=True)]


def _forecast_ratio(book: FactBook, fine: Grid) -> Floats:
    """Load over forecast expected in each interval, shape (n,), from the latest readings: the newest reading's ratio first, which decays to
    the ratio of the last hour, and that to one. One where readings or their forecast are missing."""
    recent = [f for f in book.loads if fine.start - 2 * HOUR < f.over.start and f.over.end <= fine.start]
    recent = [f for f in recent if f.over.end > recent[-1].over.end - HOUR]
    forecast_mw = _forecast_of(book, recent)
    if forecast_mw is None:
        return np.ones(len(fine))
    read = np.array([f.load_mw for f in recent])
    seconds = np.array([(f.over.end - f.over.start).total_seconds() for f in recent])
    of_hour = float(np.average(read, weights=seconds) / np.average(forecast_mw, weights=seconds))
    ahead_s = fine.edges[:-1] - recent[-1].over.end.timestamp()
    newest_error, hour_error = float(read[-1] / forecast_mw[-1]) - of_hour, of_hour - 1.0
    ratio: Floats = 1.0 + hour_error * np.exp(-ahead_s / HOUR_WEARS_OFF_S) + newest_error * np.exp(-ahead_s / WEARS_OFF_S)
    return ratio


def _day_before_ratio(book: FactBook, fine: Grid) -> float:
    """The newest reading over that of the same hours a day earlier; one where either is missing."""
    recent = [f for f in book.loads if fine.start - 2 * HOUR < f.over.start and f.over.end <= fine.start][-1:]
    before = [f for f in book.loads if fine.start - 2 * DAY < f.over.end <= fine.start - DAY + 2 * HOUR]
    if not recent or not before:
        return 1.0
    was = means_on(before, Grid.regular(recent[0].over.start - DAY, recent[0].over.end - DAY, 24 * 60))
    return 1.0 if np.isnan(was[0]) else float(recent[0].load_mw / was[0])


def _forecast_of(book: FactBook, recent: Sequence[SystemLoad]) -> Floats | None:
    """The forecast of each reading, MW; None unless all of them have one."""
    if not recent or not book.load_forecasts:
        return None
    grid = Grid(np.array(sorted({int(t.timestamp()) for f in recent for t in (f.over.start, f.over.end)}), dtype=np.int64))
    near = Interval(grid.start - HOUR, grid.end + HOUR)
    mw = _expected_load(FactBook(load_forecasts=tuple(f for f in book.load_forecasts if f.over.overlaps(near))), grid)
    forecast_mw = None if mw is None else mw[[grid.index(f.over.start) for f in recent]]
    return forecast_mw if forecast_mw is not None and forecast_mw.all() else None


def _expected_load(book: FactBook, grid: Grid) -> Floats | None:
    """The expected load on a grid finer than hours, MW, shape (n,). It runs straight from the middle of each hour to that of the next,
    since a system's load does not move in steps. Zero where nothing is known; None where nothing is known at all."""
    from markets.forecasting.outlook_values import system_load

    edges = np.arange(grid.edges[0] // 3600 - 1, -(-grid.edges[-1] // 3600) + 2, dtype=np.int64) * 3600
    hourly = system_load(book, Grid(edges))
    if hourly is None:
        return None
    known = np.isfinite(hourly.values)
    middle, here = (edges[1:] + edges[:-1]) / 2, (grid.edges[1:] + grid.edges[:-1]) / 2
    mw = np.interp(here, middle[known], hourly.values[known])
    return np.where(known[np.searchsorted(edges, here, side="right") - 1], mw, 0.0)


def newest(loads: Iterable[SystemLoad]) -> tuple[SystemLoad, ...]:
    """One reading for each interval, the newest vintage, in order of time."""
    best: dict[Interval, SystemLoad] = {}
    for fact in sorted(loads, key=lambda f: (f.known_at, repr(f))):
        best[fact.over] = fact
    return tuple(best[over] for over in sorted(best))


def _metered(loads: Sequence[SystemLoad], minutes: int, span: Interval) -> list[tuple[Interval, float]]:
    """The mean load of each metered interval that readings cover completely. A reading longer than that counts as one metered interval."""
    step = minutes * 60
    out: list[tuple[Interval, float]] = []
    sums: dict[int, tuple[float, float]] = {}
    for fact in loads:
        if not (span.start <= fact.over.start and fact.over.end <= span.end):
            continue
        seconds = (fact.over.end - fact.over.start).total_seconds()
        if seconds >= step:
            out.append((fact.over, fact.load_mw))
            continue
        slot = int(fact.over.start.timestamp() // step)
        have, mws = sums.get(slot, (0.0, 0.0))
        sums[slot] = have + seconds, mws + fact.load_mw * seconds
    for slot, (seconds, mws) in sums.items():
        if seconds >= step - 0.5:
            over = Interval(datetime.fromtimestamp(slot * step, UTC), datetime.fromtimestamp((slot + 1) * step, UTC))
            out.append((over, mws / seconds))
    return out


def _highest(metered: Sequence[tuple[Interval, float]]) -> Interval | None:
    """The interval of the highest load; the first one of equals."""
    if not metered:
        return None
    return min(metered, key=lambda m: (-m[1], m[0].start))[0]


def _overlap(grid: Grid, over: Interval) -> Floats:
    inside: Floats = np.clip(
        np.minimum(grid.edges[1:], over.end.timestamp()) - np.maximum(grid.edges[:-1], over.start.timestamp()), 0.0, None
    )
    return inside


def _spread(fine: Grid, values: Floats, grid: Grid) -> Floats:
    """Amounts on one grid distributed over another in proportion to time."""
    inside = np.clip(
        np.minimum(grid.edges[1:, None], fine.edges[None, 1:]) - np.maximum(grid.edges[:-1, None], fine.edges[None, :-1]), 0, None
    )
    spread: Floats = inside @ (values / np.diff(fine.edges))
    return spread
