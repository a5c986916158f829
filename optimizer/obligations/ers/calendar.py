"""ERS: the calendar of ERCOT's Emergency Response Service and the factors its pay is cut by; in any kind of number.

Market rules: docs/rules.md#ers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

import numpy as np

from markets.grid import Grid, Interval, Market
from optimizer.domain.array_types import Floats
from optimizer.domain.time_periods import TimePeriod, period_at


def term(on: date, months: str) -> tuple[date, date]:
    """The contract term of a day, [first, last): `months` lists them as "12 1 2 3 | 4 5 | ...". Raises LookupError."""
    for part in months.split("|"):
        numbers = [int(word) for word in part.split()]
        if on.month in numbers:
            before = numbers.index(on.month)
            first = _months_on(date(on.year, on.month, 1), -before)
            return first, _months_on(first, len(numbers))
    raise LookupError(f"no ERS term holds in month {on.month}")


def _months_on(first: date, months: int) -> date:
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


@lru_cache(maxsize=64)
def periods_over(periods: tuple[TimePeriod, ...], grid: Grid, market: Market) -> tuple[TimePeriod | None, ...]:
    """The period that holds at each interval's start, shape (n,). Looked up once a clock hour, in which none begins or ends."""
    hours = (grid.edges[:-1] // 3600).tolist()
    at = {hour: period_at(periods, datetime.fromtimestamp(hour * 3600, UTC), market) for hour in dict.fromkeys(hours)}
    return tuple(at[hour] for hour in hours)


def hours_left(periods: tuple[TimePeriod, ...], start: datetime, end: date, market: Market) -> tuple[float, ...]:
    """By period: hours from `start` to the beginning of a day, in market time."""
    at, last = start.timestamp(), datetime.combine(end, time(), market.tz).timestamp()
    month, count = start.astimezone(market.tz).date().replace(day=1), np.zeros(len(periods))
    while month < end:
        count += _hours_from(periods, at, month, market) - _hours_from(periods, last, month, market)
        month = _months_on(month, 1)
    return tuple(count.tolist())


def _hours_from(periods: tuple[TimePeriod, ...], at: float, month: date, market: Market) -> Floats:
    """By period: hours of a month from an instant on. No period begins or ends within a clock hour."""
    edges, held, left = _hours_of_month(periods, month, market)
    if at >= edges[-1]:
        return np.zeros(len(periods))
    k = max(0, int(np.searchsorted(edges, at, side="right")) - 1)
    hours: Floats = left[k] - held[k] * max(0.0, at - edges[k]) / 3600.0
    return hours


@lru_cache(maxsize=64)
def _hours_of_month(periods: tuple[TimePeriod, ...], month: date, market: Market) -> tuple[Floats, Floats, Floats]:
    """Of each clock hour of a month: its edges as timestamps, by period whether it holds, and the hours of it from there on."""
    first, last = (datetime.combine(day, time(), market.tz).timestamp() for day in (month, _months_on(month, 1)))
    edges = np.arange(first, last, 3600.0)
    held = np.zeros((len(edges), len(periods)))
    for k, at in enumerate(edges.tolist()):
        found = period_at(periods, datetime.fromtimestamp(at, UTC), market)
        if found is not None:
            held[k, periods.index(found)] = 1.0
    return np.append(edges, edges[-1] + 3600.0), held, np.cumsum(held[::-1], axis=0)[::-1]


def availability_pay(factor: Any, full: Any, low: Any) -> Any:
    """The share of pay an availability factor leaves: all of it from `full` on, the factor itself down to `low`, its square below."""
    return type(factor)(1) if factor >= full else factor if factor >= low else factor * factor


def event_pay(factor: Any, full: Any, power: Any) -> Any:
    """The share of pay an event performance factor leaves."""
    return type(factor)(1) if factor >= full else factor**power


def merged(spans: Iterable[Interval]) -> list[Interval]:
    """Spans in order of time; those that overlap or meet as one."""
    out: list[Interval] = []
    for span in sorted(spans, key=lambda s: s.start):
        if out and span.start <= out[-1].end:
            span = Interval(out[-1].start, max(out.pop().end, span.end))
        out.append(span)
    return out


def shares(spans: Iterable[Interval], grid_intervals: Sequence[Interval]) -> list[list[tuple[int, int, int]]]:
    """For each span: (position, seconds inside, seconds whole) of the intervals it touches."""
    out = []
    for span in spans:
        inside = []
        for t, over in enumerate(grid_intervals):
            seconds = int((min(over.end, span.end) - max(over.start, span.start)).total_seconds())
            if seconds > 0:
                inside.append((t, seconds, int((over.end - over.start).total_seconds())))
        out.append(inside)
    return out
