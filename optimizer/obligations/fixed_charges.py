"""Charges that are due whatever the site does: a fixed amount a month, and a peak tag of the year before, billed monthly.

    site cash = - u s - 1000 k m s     u usd_per_month, k usd_per_kw_month, m the tag in MW, s the share of the month in the interval

Each month's charge is spread over its time, so that bills of days add up to the month; a month with a change of clocks has its own number
of hours. Rates are dated: those of the newest `from` that is not after the operating day hold; before the first nothing is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field, field_validator

from optimizer.domain.contract import Contract
from optimizer.domain.dated_rates import DatedRate, in_force, in_order, month_share
from optimizer.domain.formula import Charge, Quantities, per_interval
from optimizer.domain.market_rules import days
from optimizer.domain.site import NotNegative

MONTHLY = "Fixed charge a month (retail or service agreement)"
TAG = "Coincident-peak tag of the year before, billed monthly (retail contract; utility tariff)"
KW_PER_MW = 1000


class FixedRate(DatedRate):
    """What is due from an operating day on.

    usd_per_month      fixed amount
    tag_mw             peak tag, from the coincident peaks of the year before
    usd_per_kw_month   price of a kilowatt of the tag
    """

    usd_per_month: NotNegative = 0.0
    tag_mw: NotNegative = 0.0
    usd_per_kw_month: NotNegative = 0.0


class FixedCharges(Contract):
    """Monthly charges at dated rates."""

    type: ClassVar[str] = "fixed_charges"
    charge_types: ClassVar[tuple[str, ...]] = ("monthly_charge", "peak_tag")
    name: str = "fixed_charges"
    rates: tuple[FixedRate, ...] = Field(min_length=1)

    @field_validator("rates")
    @classmethod
    def _in_order(cls, rates: tuple[FixedRate, ...]) -> tuple[FixedRate, ...]:
        return in_order(rates)

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        on = days(its.grid, its.site.market)
        share = month_share(its)
        due = [in_force(self.rates, day) or FixedRate.model_validate({"from": day}) for day in on]
        fixed = per_interval(its, [rate.usd_per_month for rate in due])
        tag_mw = per_interval(its, [rate.tag_mw for rate in due])
        usd_per_kw = per_interval(its, [rate.usd_per_kw_month for rate in due])
        zero = its.number(0)
        if (fixed != zero).any():
            yield Charge("monthly_charge", its.sum([]) + share, "month", -fixed, MONTHLY)
        if (tag_mw * usd_per_kw != zero).any():
            yield Charge("peak_tag", its.sum([]) + tag_mw * share, "mw_month", -usd_per_kw * its.number(KW_PER_MW), TAG)
