"""Transmission and demand charges, by the site's load at the system's peaks or at its own.

    4cp, 12cp   next year's charge = R x 1000 / n x the sum of the load at each month's coincident system peak     R usd_per_kw_year
    ncp         monthly charge = R x 1000 / 12 x the highest load of the month (tariff demand charge), or a share of past months' (ratchet)
    mbd         yearly charge = R x 1000 x max(contracted load, highest load of the CP year)

A month's peak is known when the month is over. Until then the plan weighs each interval by the probability that it is the one, and the bill
charges the interval that is the highest so far; a later, higher system peak replaces it, also in the bill (docs/rules.md, Transmission
charges).

Market rules: docs/rules.md#transmission-charges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from markets import usd_text
from markets.facts import Call
from markets.grid import Interval, OperatingDay, month_span, months, utc
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Floats, Ints
from optimizer.domain.contract import Contract
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.formula import Bounds, Charge, Quantities, per_interval
from optimizer.domain.money import UnknownCharge
from optimizer.domain.net_load import net_mwh
from optimizer.domain.own_peak import Month, OwnPeakMemory, Ratchet
from optimizer.domain.periods import carried, clock
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import NotNegative, Positive, Site, Written, meters_in
from optimizer.domain.unknown_peaks import CoincidentCharge, unknown_at_peaks
from optimizer.lp.phrases import hours
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory, lost_usd

Instant = Annotated[datetime, AfterValidator(utc)]
Hour = Annotated[int, Field(ge=0, le=23)]
KW_PER_MW = 1000
# Dollars an hour of each MW in an interval the operator wants avoided: above every price, and under every promise.
AVOID_USD_PER_MWH = 1e4

RULES = {
    "4cp": "Load at the 15-minute system peak of June to September, a quarter of next year's charge each (16 TAC 25.192(b)(1))",
    "12cp": "Load at the 30-minute system peak of each month, October to September (PUCT Project 58000, proposal; not verified)",
    "ncp": "Highest metered demand of the billing month (utility tariff, demand charge)",
    "mbd": "Minimum billing demand: the more of contracted load and the year's highest (16 TAC 25.193(d)(2), draft; not verified)",
}
MONTHS = {"4cp": (6, 7, 8, 9), "12cp": tuple(range(1, 13)), "ncp": tuple(range(1, 13)), "mbd": tuple(range(1, 13))}
INTERVAL_MIN = {"4cp": 15, "12cp": 30, "ncp": 15, "mbd": 15}
COINCIDENT = ("4cp", "12cp")
# A load this far under the plan's highest is lowered.
LOWERED_MW = 1e-3


class Avoid(Written):
    """A stretch in which the operator wants no more than `mw`, whatever the probabilities say."""

    from_: Instant = Field(alias="from")
    to: Instant
    mw: NotNegative = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> Avoid:
        if self.to <= self.from_:
            raise ValueError(f"to {self.to.isoformat()} is not after from {self.from_.isoformat()}")
        return self


class TransmissionByMethod(Contract[OwnPeakMemory]):
    """A transmission or demand charge of one method.

    method            4cp | 12cp | ncp | mbd; ercot: the one that the rules of each day prescribe (contract.py)
    usd_per_kw_year   the rate; a month costs a twelfth of it, a coincident peak its share among the months
    interval_min      length of the metered interval
    months            calendar months that count
    contract_mw       ncp, mbd: billed at least
    ratchet           ncp: what past months' demands are billed at least
    cp_year_start     mbd: the month in which the year of the highest load begins
    avoid             the operator's own list: { from, to, mw }
    load              net: what flows at the meter; gross: what the site draws, whatever is generated behind it
    hours, weekdays   ncp: the demand of these alone counts, hours by their beginning; weekdays: Monday to Friday but `holidays`
    """

    charge_types: ClassVar[tuple[str, ...]] = ("coincident_peak", "demand", "minimum_demand")
    rule_prefixes: ClassVar[tuple[str, ...]] = ("ercot.transmission.",)
    memory_type = OwnPeakMemory
    name: str = "transmission"
    method: Literal["4cp", "12cp", "ncp", "mbd", "ercot"]
    usd_per_kw_year: NotNegative
    interval_min: Literal[5, 15, 30, 60] | None = None
    months: tuple[Month, ...] | None = None
    contract_mw: Positive | None = None
    ratchet: Ratchet | None = None
    cp_year_start: Month | None = None
    avoid: tuple[Avoid, ...] = ()
    load: Literal["net", "gross"] = "net"
    hours: tuple[Hour, ...] | None = None
    weekdays: bool | None = None
    holidays: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _fits_its_method(self) -> TransmissionByMethod:
        if self.contract_mw is not None and self.method in COINCIDENT:
            raise ValueError(f"contract_mw does not apply to {self.method}: it is billed at the system's peaks alone")
        if self.cp_year_start is not None and self.method != "mbd":
            raise ValueError(f"cp_year_start does not apply to {self.method}: only mbd keeps the highest load of a year")
        if self.months is not None and (self.method == "mbd" or not self.months or len(set(self.months)) < len(self.months)):
            raise ValueError("months needs each month once, and does not apply to mbd, which is billed all year")
        if self.method != "ncp" and (self.hours is not None or self.weekdays is not None):
            raise ValueError(f"hours and weekdays do not apply to {self.method}: only a demand charge (ncp) counts some hours alone")
        if self.ratchet is not None and self.method != "ncp":
            raise ValueError(f"ratchet does not apply to {self.method}: only a demand charge (ncp) is billed by past months")
        if self.holidays and self.weekdays is None:
            raise ValueError("holidays need weekdays")
        return self

    @property
    def counted_months(self) -> tuple[int, ...]:
        return self.months or MONTHS[self.method]

    @property
    def metered_min(self) -> int:
        return self.interval_min or INTERVAL_MIN[self.method]

    def peak_windows(self) -> tuple[PeakWindow, ...]:
        """The metered intervals whose coincident peaks an outlook must foresee for it."""
        return (self.metered_min,) if self.method in COINCIDENT else ()

    def memory_days(self) -> int:
        """How far back its memory may reach."""
        if self.ratchet is not None:
            return 31 * (self.ratchet.months_back + 1)
        return {"ncp": 31, "mbd": 366}.get(self.method, 0)

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        load, month = self._load_mw(its), months(its.site.market, its.grid)
        per_mw = its.number(self.usd_per_kw_year) * its.number(KW_PER_MW)
        if self.method in COINCIDENT:
            at_peak = self._at_peak(its, month)
            rate = its.during(None) * (-per_mw / its.number(len(self.counted_months)))
            yield Charge("coincident_peak", load * at_peak, "mw", rate, self._cited(its), accrued=True)
            return
        period = self._periods(month)
        memory = self.memory_from(its.memories)
        least = per_interval(its, [self._least_mw(memory, int(number)) for number in period])
        metered = its.mean(load, clock(its.grid, self.metered_min)) * self._inside(its)
        raised = its.highest(metered, period, self._billed_before(its, period), least)
        later = self._carried(its, period)
        if self.method == "ncp":
            rate = _counts(its, month, self.counted_months) * (-per_mw / its.number(12))
            cited = RULES["ncp"] + (self.ratchet.cited() if self.ratchet else "")
            yield Charge("demand", raised, "mw", rate, cited, over_period=True, carried=later)
        else:
            always = its.during(None) * -per_mw
            yield Charge("minimum_demand", raised, "mw", always, RULES["mbd"], over_period=True, carried=later, accrued=True)

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        """Its coincident charge where the load or the system's is not known and the peak may be."""
        if self.method in COINCIDENT and self.usd_per_kw_year:
            its = ActualQuantities.of(actuals)
            share = self._at_peak(its, months(its.site.market, its.grid))
            charge = CoincidentCharge(self.name, "coincident_peak", share, self._cited(its))
            yield from unknown_at_peaks(charge, self._load_mw(its), its)

    def remember(self, memory: OwnPeakMemory, then: Actuals) -> OwnPeakMemory:
        """Its memory after a stretch of time: the highest load of its periods."""
        if self.method in COINCIDENT:
            return memory
        its = ActualQuantities.of(then)
        period = self._periods(months(its.site.market, its.grid))
        metered = its.mean(self._load_mw(its), clock(its.grid, self.metered_min)) * self._inside(its)
        return memory.after((int(number), float(mw)) for number, mw in zip(period, metered, strict=True))

    def progress(self, memory: OwnPeakMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """The site's own peak so far, of the month (ncp) or of the year (mbd)."""
        if self.method not in COINCIDENT and memory.period is not None:
            least_mw = self._least_mw(memory, memory.period)
            billed = f"; at least {least_mw:g} MW are billed" if least_mw else ""
            what = f"of {day.on:%B %Y}" if self.method == "ncp" else "of the year of the highest load"
            yield ContractProgress(
                f"{self.name}: own peak so far", memory.own_peak_mw, "MW", f"{what}, {self.metered_min} minutes metered{billed}"
            )

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """Where an expected coincident peak lowers the load: when, to how many MW, and what a MW there costs."""
        chance = program.peak_share(self.metered_min) * _counts(program, months(program.site.market, program.grid), self.counted_months)
        if self.method not in COINCIDENT or not (chance > 0).any():
            return
        names = self.scope.names(program.site)
        load = np.sum([path.group_load_mw[name] for name in names], axis=0)
        usual, dear = float(np.max(load)), chance * self.usd_per_kw_year * KW_PER_MW / len(self.counted_months)
        down = (chance > 0) & (load < usual - LOWERED_MW)
        if down.any():
            when = hours(program.site.market, program.grid, down)
            yield (
                f"{self.name}: the load is down to {float(load[down].min()):.4g} MW ({when}) because the month's system peak is expected "
                f"there with a chance of up to {float(chance[down].max()):.0%}: one MW costs {usd_text(float(dear[down].max()))}"
            )

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """What the load above a missed cap adds to the charge."""
        return lost_usd(self, program, path, short_mw)

    def bounds(self, site: Site, memory: OwnPeakMemory, calls: Sequence[Call], over: Interval) -> Bounds:
        """Its calls, and the operator's own list, which yields to a called floor."""
        called = super().bounds(site, memory, calls, over)
        listed = [a.mw for a in self.avoid if Interval(a.from_, a.to).overlaps(over)]
        if not listed or min(listed) >= called.cap_mw:
            return called
        cap = max(min(listed), called.floor_mw)
        return Bounds(called.floor_mw, cap, called.firm, f"{self.name}: the operator's list asks for at most {cap:g} MW")

    def shape(self, program: Program) -> None:
        super().shape(program)
        self._avoid(program)

    def _load_mw(self, its: Quantities[Any]) -> Any:
        """The load that is metered for it."""
        if self.load == "gross":
            return its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)]) / its.hours
        return its.sum([net_mwh(its, meter, groups) for meter, groups in meters_in(its.site, self.scope)]) / its.hours

    def _at_peak(self, its: Quantities[Any], month: Ints) -> Any:
        """The share of the coincident peak in each interval; zero in months that do not count, whatever their system load."""
        return np.where(np.isin(month % 12 + 1, self.counted_months), its.peak_share(self.metered_min), its.number(0))

    def _inside(self, its: Quantities[Any]) -> Any:
        """One in the intervals whose demand counts, zero in the others."""
        counts = its.during(None)
        if self.hours is None and self.weekdays is None:
            return counts
        local = [over.start.astimezone(its.site.market.tz) for over in its.grid.intervals]
        workday = [at.weekday() < 5 and at.date() not in self.holidays for at in local]
        inside = [
            self.weekdays in (None, w) and (self.hours is None or at.hour in self.hours) for at, w in zip(local, workday, strict=True)
        ]
        return np.where(inside, counts, its.number(0))

    def _cited(self, its: Quantities[Any]) -> str:
        """The rule in words, and the dated rule of the metered interval where it was handed in."""
        on, id_ = OperatingDay.of(its.site.market, its.grid.start).on, f"ercot.transmission.{self.method}.interval_min"
        dated = [r.cited for r in self._rules if r.id == id_ and r.holds(on)]
        return "; ".join([RULES[self.method], *dated])

    def _avoid(self, program: Program) -> None:
        load = program.load_mw(self.scope.names(program.site))
        for listed in self.avoid:
            within = program.grid.share_within(Interval(listed.from_, listed.to)) > 0
            if within.any():
                over = program.column(f"avoid {self.name}", upper=np.where(within, np.inf, 0.0), closed=True)
                program.row(f"avoid {self.name}", over - load, lower=-listed.mw, where=within)
                program.weigh(over * (program.hours * AVOID_USD_PER_MWH))

    def _carried(self, its: Quantities[Any], period: Ints) -> Floats:
        """The share of its period that lies beyond the grid: a raise serves those hours as well, and they carry their part of it."""

        def end_of(number: int) -> datetime:
            last = number * 12 + 11 + (self.cp_year_start or 10) - 1 if self.method == "mbd" else number
            return month_span(its.site.market, last).end

        return carried(its.grid, period, end_of)

    def _least_mw(self, memory: OwnPeakMemory, period: int) -> float:
        """What a period is billed at least, MW: by contract, and of a month by its ratchet."""
        ratchet_mw = self.ratchet.least_mw(memory, period) if self.ratchet else 0.0
        return max(self.contract_mw or 0.0, ratchet_mw)

    def _periods(self, month: Ints) -> Ints:
        """Months, or for mbd years from `cp_year_start` (October) on."""
        return (month - ((self.cp_year_start or 10) - 1)) // 12 if self.method == "mbd" else month

    def _billed_before(self, its: Quantities[Any], period: Ints) -> Any:
        """What is billed of each interval's period before the grid, MW: nothing of a period that begins on it."""
        memory = self.memory_from(its.memories).of_period(int(period[0]))
        least_mw = self._least_mw(memory, int(period[0])) if memory.least_is_billed else 0.0
        billed_mw = max(memory.own_peak_mw, least_mw)
        return np.where(period == period[0], its.number(billed_mw), its.number(0))


def _counts(its: Quantities[Any], month: Ints, counted: Sequence[int]) -> Any:
    return np.where(np.isin(month % 12 + 1, counted), its.number(1), its.number(0))
