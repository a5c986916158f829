"""Rates of a contract that change by date, and the share of its month that an interval is.

The rates of the newest `from` that is not after the operating day hold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import Field

from markets.grid import Market, OperatingDay
from optimizer.domain.formula import Quantities, per_interval
from optimizer.domain.market_rules import days
from optimizer.domain.site import Written


class DatedRate(Written):
    """What is due from an operating day on, until the next rate. `from`: its first operating day."""

    from_: date = Field(alias="from")


R = TypeVar("R", bound=DatedRate)


def in_order(rates: tuple[R, ...]) -> tuple[R, ...]:
    """The same rates. Raises ValueError unless each begins after the one before."""
    days = [rate.from_ for rate in rates]
    if sorted(set(days)) != days:
        raise ValueError("must be in order of `from`, each day once")
    return rates


def in_force(rates: Sequence[R], day: date) -> R | None:
    """The rate of an operating day; None before the first."""
    newer = bisect_right([rate.from_ for rate in rates], day)
    return rates[newer - 1] if newer else None


def month_share(its: Quantities[Any]) -> Any:
    """The share of its month, on the market's clock, in each interval, shape (n,): what a charge a month is spread by."""
    market = its.site.market
    return its.hours / per_interval(its, [month_hours(day.year, day.month, market) for day in days(its.grid, market)])


@lru_cache(maxsize=64)
def month_hours(year: int, month: int, market: Market) -> float:
    """Hours in a month on the market's clock."""
    following = date(year + month // 12, month % 12 + 1, 1)
    length = OperatingDay(market, following).start - OperatingDay(market, date(year, month, 1)).start
    return length.total_seconds() / 3600
