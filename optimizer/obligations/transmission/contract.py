"""A transmission charge by one method, or by the one that ERCOT's rules prescribe on each operating day (method "ercot").

    4cp until the day on which 12cp takes its place; minimum billing demand (mbd) for a new load of at least the megawatts of its rule

Market rules: docs/rules.md#transmission-charges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from markets.grid import Market, OperatingDay
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.formula import Charge, Quantities, per_interval
from optimizer.domain.market_rules import Dated, days, rule
from optimizer.domain.money import UnknownCharge
from optimizer.domain.obligation import Book
from optimizer.domain.own_peak import OwnPeakMemory
from optimizer.domain.site import NotNegative, Site
from optimizer.domain.site_fault import SiteFault
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.obligations.transmission.methods import TransmissionByMethod

METHOD, NEW_LOADS = "ercot.transmission.method", "ercot.transmission.mbd.from_mw"
UTILITY_RATE = "ercot.transmission.oncor_usd_per_kw_month"
BY_RULE = "ercot"
MBD_DAYS = 366


class Transmission(TransmissionByMethod):
    """A transmission or demand charge; keys beside those of `TransmissionByMethod`, of method "ercot" alone:

    usd_per_kw_year_of   the rate of each method that is not 4cp, for its own days
    new_load             connected under the large-load rule (16 TAC 25.194): billed by minimum billing demand where `contract_mw` is large
    """

    type: ClassVar[str] = "transmission"
    usd_per_kw_year_of: Mapping[Literal["12cp", "mbd"], NotNegative] = Field(default_factory=dict)
    new_load: bool = False

    @model_validator(mode="after")
    def _fits_rule(self) -> Transmission:
        if self.method != BY_RULE and (self.usd_per_kw_year_of or self.new_load):
            raise ValueError(f"usd_per_kw_year_of and new_load do not apply to {self.method}: only method 'ercot' changes by the rules")
        if self.method == BY_RULE and (self.months is not None or self.interval_min is not None):
            raise ValueError("months and interval_min do not apply to method 'ercot': the rules of each day say them")
        if self.new_load and self.contract_mw is None:
            raise ValueError("contract_mw is missing: a new load is billed for it at least")
        return self

    def is_bound_by(self, rule_id: str) -> bool:
        """By the rules of the method only where it follows them (`method` "ercot"), and by that of new loads where it is one. The tariff
        of a utility is no rule for it: its rate is in the site file."""
        by_rule = {METHOD: self.method == BY_RULE, NEW_LOADS: self.method == BY_RULE and self.new_load, UTILITY_RATE: False}
        return super().is_bound_by(rule_id) and by_rule.get(rule_id, True)

    def market(self) -> Market | None:
        return Market.ERCOT if self.method == BY_RULE else None

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        """A rate that is missing for a method that the rules prescribe on some day."""
        if self.method != BY_RULE:
            return
        for since in self._changes():
            method = self.method_on(since)
            if method != "4cp" and method not in self.usd_per_kw_year_of:
                text = f"has no rate for {method}, by which the rules charge from {since} on ({self._prescribing(since).cited})"
                yield SiteFault(text, ("usd_per_kw_year_of",))
                return

    def method_on(self, on: date) -> str:
        """The method of an operating day. Raises LookupError for a day without a rule."""
        found = self._prescribing(on)
        return "mbd" if found.id == NEW_LOADS else str(found.value)

    def _prescribing(self, on: date) -> Dated:
        """The rule that prescribes the method of an operating day."""
        large = next((r for r in self._rules if r.id == NEW_LOADS and r.holds(on)), None)
        if self.new_load and large is not None and (self.contract_mw or 0.0) >= float(large.value):
            return large
        return rule(self._rules, METHOD, on)

    def _changes(self) -> list[date]:
        """The days from which on a rule of the method holds."""
        first = min((r.from_ for r in self._rules if r.id == METHOD), default=date.max)
        return sorted({r.from_ for r in self._rules if r.id in (METHOD, NEW_LOADS) and r.from_ >= first})

    def _by(self, method: str) -> TransmissionByMethod:
        """This contract by one method."""
        own = {"method": method, "contract_mw": self.contract_mw if method == "mbd" else None}
        return self.model_copy(update={**own, "usd_per_kw_year": self.usd_per_kw_year_of.get(method, self.usd_per_kw_year)})  # type: ignore[call-overload]

    # --- the abilities of the method of each day ---------------------------------------------------------------------------------------

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        if self.method != BY_RULE:
            yield from super().charges(its)
            return
        on = days(its.grid, its.site.market)
        by_day = {day: self.method_on(day) for day in dict.fromkeys(on)}
        for method in dict.fromkeys(by_day.values()):
            here = per_interval(its, [1 if by_day[day] == method else 0 for day in on])
            cited = self._prescribing(next(day for day in on if by_day[day] == method)).cited
            for charge in self._by(method).charges(its):
                quantity = charge.quantity if len(set(by_day.values())) == 1 else charge.quantity * here
                yield replace(charge, quantity=quantity, rule=f"{charge.rule}; {cited}")

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        if self.method != BY_RULE:
            yield from super().unknown_charges(actuals)
            return
        market = actuals.site.market
        for method in dict.fromkeys(self.method_on(day) for day in days(actuals.grid, market)):
            own = self._by(method).unknown_charges(actuals)
            yield from (u for u in own if self.method_on(OperatingDay.of(market, u.over.start).on) == method)

    def peak_windows(self) -> tuple[PeakWindow, ...]:
        if self.method != BY_RULE:
            return super().peak_windows()
        methods = dict.fromkeys(str(r.value) for r in self._rules if r.id == METHOD)
        return tuple(dict.fromkeys(window for method in methods for window in self._by(method).peak_windows()))

    def memory_days(self) -> int:
        if self.method != BY_RULE:
            return super().memory_days()
        return MBD_DAYS if self.new_load else 0

    def remember(self, memory: OwnPeakMemory, then: Actuals) -> OwnPeakMemory:
        if self.method != BY_RULE:
            return super().remember(memory, then)
        billed_so = self.new_load and any(self.method_on(day) == "mbd" for day in days(then.grid, then.site.market))
        return self._by("mbd").remember(memory, then) if billed_so else memory

    def progress(self, memory: OwnPeakMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        if self.method != BY_RULE:
            return super().progress(memory, day)
        return self._by(self.method_on(day.on)).progress(memory, day)

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        if self.method != BY_RULE:
            yield from super().reasons(book, program, path)
            return
        for method in dict.fromkeys(self.method_on(day) for day in days(program.grid, program.site.market)):
            yield from self._by(method).reasons(book, program, path)
