"""Charges that are due whatever the site does: a fixed amount a month, and a peak tag of the year before, billed monthly.

    site cash = - u s - 1000 k m s     u usd_per_month, k usd_per_kw_month, m the tag in MW, s the share of the month in the interval

Each month's charge is spread over its time, so that bills of days add up to the month; a month with a change of clocks has its own number
of hours. Rates are dated: those of the newest `from` that is not after the operating day hold; before the first nothing is due.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from markets.grid import Market, OperatingDay
from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.site import NotNegative, Written

MONTHLY = "Fixed charge a month (retail or service agreement)"
TAG = "Coincident-peak tag of the year before, billed monthly (retail contract; utility tariff)"
KW_PER_MW = 1000


class FixedRate(Written):
    """What is due from a day on.

    from               first operating day
    usd_per_month      fixed amount
    tag_mw             peak tag, from the coincident peaks of the year before
    usd_per_kw_month   price of a kilowatt of the tag
    """

    from_: date = Field(alias="from")
    usd_per_month: NotNegative = 0.0
    tag_mw: NotNegative = 0.0
    usd_per_kw_month: NotNegative = 0.0


class FixedCharges(Contract):
    """Monthly charges at dated rates."""

    type: ClassVar[str] = "fixed_charges"
    name: str = "fixed_charges"
    rates: tuple[FixedRate, ...] = Field(min_length=1)

    @field_validator("rates")
    @classmethod
    def _in_order(cls, rates: tuple[FixedRate, ...]) -> tuple[FixedRate, ...]:
        days = [rate.from_ for rate in rates]
        if sorted(set(days)) != days:
            raise ValueError("must be in order of `from`, each day once")
        return rates

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        market, always = its.site.market, its.during(None)
        on = [OperatingDay.of(market, over.start).on for over in its.grid.intervals]
        month_h = always * _numbers(its, [month_hours(day.year, day.month, market) for day in on])
        share = its.hours / month_h
        due = [self._in_force(day) for day in on]
        fixed = always * _numbers(its, [rate.usd_per_month for rate in due])
        tag_mw = always * _numbers(its, [rate.tag_mw for rate in due])
        usd_per_kw = always * _numbers(its, [rate.usd_per_kw_month for rate in due])
        zero = its.number(0)
        if (fixed != zero).any():
            yield Charge("monthly_charge", its.sum([]) + share, "month", -fixed, MONTHLY)
        if (tag_mw * usd_per_kw != zero).any():
            yield Charge("peak_tag", its.sum([]) + tag_mw * share, "mw_month", -usd_per_kw * its.number(KW_PER_MW), TAG)

    def _in_force(self, day: date) -> FixedRate:
        """The rate of a day; zero amounts before the first."""
        newer = bisect_right([rate.from_ for rate in self.rates], day)
        return self.rates[newer - 1] if newer else FixedRate.model_validate({"from": day})


def _numbers(its: Quantities[Any], values: list[float]) -> NDArray[Any]:
    """Values as an array of the numbers in which plan (floats) and bill (decimals) count."""
    return np.array([its.number(value) for value in values], dtype=np.asarray(its.during(None)).dtype)


@lru_cache(maxsize=64)
def month_hours(year: int, month: int, market: Market) -> float:
    """Hours in a month on the market's clock."""
    following = date(year + month // 12, month % 12 + 1, 1)
    length = OperatingDay(market, following).start - OperatingDay(market, date(year, month, 1)).start
    return length.total_seconds() / 3600
