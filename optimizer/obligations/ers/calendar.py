"""Emergency: the calendar of ERCOT's Emergency Response Service and the factors its pay is cut by; in any kind of number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from markets.grid import Grid, Interval, Market
from optimizer.domain.site import NotNegative, Positive, Written

Month = Annotated[int, Field(ge=1, le=12)]
Hour = Annotated[int, Field(ge=0, le=23)]
HOUR = timedelta(hours=1)


class TimePeriod(Written):
    """A time period of an offer. `hours` are clock hours by their beginning (9 is HE10); `weekdays` true: Monday to Friday but holidays,
    false: weekends and holidays, left out: every day. Figures left out are the contract's own."""

    name: str
    months: tuple[Month, ...] = Field(min_length=1)
    hours: tuple[Hour, ...] = Field(min_length=1)
    weekdays: bool | None = None
    mw: Positive | None = None
    usd_per_mw_hour: NotNegative | None = None
    max_base_load_mw: NotNegative | None = None

    def holds(self, here: datetime) -> bool:
        """Whether it holds at an instant on the market's clock."""
        if here.month not in self.months or here.hour not in self.hours:
            return False
        return self.weekdays is None or self.weekdays is (here.weekday() < 5 and here.date() not in holidays(here.year))


@dataclass(frozen=True, slots=True)
class Tally:
    """A term so far: hours obligated and available, dollars at the offered price, and events' weight and performance."""

    obligated_h: Any = 0
    available_h: Any = 0
    gross_usd: Any = 0
    event_weight: Any = 0
    event_done: Any = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.obligated_h + other.obligated_h,
            self.available_h + other.available_h,
            self.gross_usd + other.gross_usd,
            self.event_weight + other.event_weight,
            self.event_done + other.event_done,
        )


@lru_cache(maxsize=64)
def holidays(year: int) -> frozenset[date]:
    """The holidays on which weekday periods do not hold: the six of NERC, a Sunday's kept on the Monday."""
    fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 12, 25)]
    kept = [d + timedelta(days=1) if d.weekday() == 6 else d for d in fixed]
    may = date(year, 5, 31)
    memorial = may - timedelta(days=may.weekday())
    labor = date(year, 9, 1) + timedelta(days=(7 - date(year, 9, 1).weekday()) % 7)
    first = date(year, 11, 1)
    thanks = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    return frozenset([*kept, memorial, labor, thanks])


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


def period_at(periods: Sequence[TimePeriod], at: datetime, market: Market) -> TimePeriod | None:
    """The period that holds at an instant; the first of several."""
    here = at.astimezone(market.tz)
    return next((p for p in periods if p.holds(here)), None)


@lru_cache(maxsize=64)
def periods_over(periods: tuple[TimePeriod, ...], grid: Grid, market: Market) -> tuple[TimePeriod | None, ...]:
    """The period that holds at each interval's start, shape (n,). Looked up once a clock hour, in which none begins or ends."""
    hours = (grid.edges[:-1] // 3600).tolist()
    at = {hour: period_at(periods, datetime.fromtimestamp(hour * 3600, UTC), market) for hour in dict.fromkeys(hours)}
    return tuple(at[hour] for hour in hours)


@lru_cache(maxsize=64)
def hours_left(names: tuple[TimePeriod, ...], start: datetime, end: date, market: Market) -> tuple[int, ...]:
    """By period: clock hours from `start` to the end of the term."""
    at, last = start, datetime.combine(end, time(), market.tz).astimezone(UTC)
    count = [0] * len(names)
    for _ in range(24 * 200):
        if at >= last:
            break
        found = period_at(names, at, market)
        if found is not None:
            count[names.index(found)] += 1
        at += HOUR
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
