"""Time periods of a contract on the market's clock: months, hours and weekdays, with the holidays on which weekday periods do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from markets.grid import Market
from optimizer.domain.site import NotNegative, Positive, Written

Month = Annotated[int, Field(ge=1, le=12)]
Hour = Annotated[int, Field(ge=0, le=23)]


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


def period_at(periods: Sequence[TimePeriod], at: datetime, market: Market) -> TimePeriod | None:
    """The period that holds at an instant; the first of several."""
    here = at.astimezone(market.tz)
    return next((p for p in periods if p.holds(here)), None)
