"""Capacity in MISO, as the load pays for it and as credits earn it (Planning Resource Auction).

    cost     = load at the season's coincident system peak x (1 + reserve margin) x $/MW-day of the season x its days
    credit   = zonal resource credits x days x $/MW-day

A season's peak is known when the season is over, like that of a month for transmission: until then a plan weighs each hour by the
probability that it is the one, and the bill charges the hour that is the highest so far. What next year's capacity will clear at is not
known either: this season's price stands for it.

Market rules: docs/rules.md#capacity-in-miso.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from markets.grid import Interval, Market, utc
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.capacity_seasons import BySeason, Zone, cited, cleared, season, season_start
from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge, Quantities, per_interval
from optimizer.domain.market_rules import days
from optimizer.domain.money import UnknownCharge
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import Written
from optimizer.domain.unknown_peaks import CoincidentCharge, unknown_at_peaks
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory, lost_usd

Instant = Annotated[datetime, AfterValidator(utc)]
METERED: PeakWindow = (60, 3)  # an hour of each season
COST = "Load at MISO's coincident peak of the season (MISO Tariff, Module E-1; utility's capacity charge)"


class Peak(Written):
    """The hour that was a season's coincident peak, as the utility announced it."""

    from_: Instant = Field(alias="from")
    to: Instant

    @model_validator(mode="after")
    def _in_order(self) -> Peak:
        if self.to <= self.from_:
            raise ValueError(f"to {self.to.isoformat()} is not after from {self.from_.isoformat()}")
        return self

    @property
    def over(self) -> Interval:
        return Interval(self.from_, self.to)


class Pra(Contract):
    """Capacity cost of a load, and credits it sells.

    zone             local resource zone, whose auction prices it
    usd_per_mw_day   by season, where it is bought or sold at another price
    reserve_margin   by season: the share above its load that must be bought
    charged          whether the load pays by its coincident peaks
    zrc              credits sold, MW by season, beside those of load-modifying resources
    peaks            hours announced as a season's peak; for their seasons they replace what system load says
    """

    type: ClassVar[str] = "pra"
    charge_types: ClassVar[tuple[str, ...]] = ("capacity_cost", "capacity_credit")
    rule_prefixes: ClassVar[tuple[str, ...]] = ("miso.pra.",)
    name: str = "pra"
    zone: Zone
    usd_per_mw_day: BySeason = Field(default_factory=dict)
    reserve_margin: BySeason = Field(default_factory=dict)
    charged: bool = True
    zrc: BySeason = Field(default_factory=dict)
    peaks: tuple[Peak, ...] = ()

    def peak_windows(self) -> tuple[PeakWindow, ...]:
        """The way its peaks are metered."""
        return (METERED,) if self.charged else ()

    def market(self) -> Market | None:
        return Market.MISO

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        on = days(its.grid, its.site.market)
        price = per_interval(its, cleared(self._rules, self.zone, self.usd_per_mw_day, its.grid, its.site.market))
        paid = cited(self._rules, self.zone, self.usd_per_mw_day, on[0])
        if self.charged:
            load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)]) / its.hours
            margin = per_interval(its, [1.0 + self.reserve_margin.get(season(day), 0.0) for day in on])
            season_days = per_interval(its, [_days_of_season(day) for day in on])
            yield Charge(
                "capacity_cost", load * (self._at_peak(its, on) * margin), "mw", -price * season_days, f"{COST}; {paid}", accrued=True
            )
        if self.zrc:
            credit = per_interval(its, [self.zrc.get(season(day), 0.0) for day in on])
            yield Charge("capacity_credit", its.sum([]) + credit * its.hours / its.number(24), "mw_day", price, paid)

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        """Its capacity cost where the load is not known at the peak, or the peak is neither announced nor known."""
        if self.charged:
            its = ActualQuantities.of(actuals)
            load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])
            share = self._at_peak(its, days(its.grid, its.site.market))
            yield from unknown_at_peaks(CoincidentCharge(self.name, "capacity_cost", share, COST), load, its)

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """What the load above a missed cap adds to the capacity cost."""
        return lost_usd(self, program, path, short_mw)

    def _at_peak(self, its: Quantities[Any], on: Sequence[date]) -> Any:
        """The share of the season's peak in each interval."""
        told = {season_start(p.from_.astimezone(its.site.market.tz).date()) for p in self.peaks}
        named = np.array([season_start(day) in told for day in on])
        share = its.during(None) * its.number(0)
        for peak in self.peaks:
            seconds = its.number(int((peak.to - peak.from_).total_seconds()))
            share = share + its.during(peak.over) * its.hours * its.number(3600) / seconds
        return np.where(named, share, its.peak_share(METERED))


def _days_of_season(on: date) -> int:
    start = season_start(on)
    return (season_start(start + timedelta(days=100)) - start).days
