"""ERS: the calendar of ERCOT's Emergency Response Service and the factors its pay is cut by; in any kind of number.

Market rules: docs/rules.md#ers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from markets.grid import Grid, Interval, Market
from optimizer.domain.time_periods import TimePeriod, period_at

HOUR = timedelta(hours=1)


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


@lru_cache(maxsize=64)
def hours_left(names: tuple[TimePeriod, ...], start: datetime, end: date, market: Market) -> tuple[float, ...]:
    """By period: hours from `start` to the end of the term. No period begins or ends within a clock hour."""
    at, last = start, datetime.combine(end, time(), market.tz).astimezone(UTC)
    count = [0.0] * len(names)
    while at < last:
        until = min(last, at.replace(minute=0, second=0, microsecond=0) + HOUR)
        found = period_at(names, at, market)
        if found is not None:
            count[names.index(found)] += (until - at) / HOUR
        at = until
    return tuple(count)


def availability_pay(factor: Any, full: Any, low: Any) -> Any:
    """The share of pay an availability factor leaves: all of it from `full` on, the factor itself down to `low`, its square below."""
    return type(factor)(1) if factor >= full else factor if factor >= low else factor * factor


def event_pay(factor: Any, full: Any, power: Any) -> Any:
    """The share of pay an event performance factor leaves."""
    return type(factor)(1) if factor >= full else factor**power


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
