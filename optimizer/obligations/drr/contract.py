"""Demand response resource (MISO): a reduction that MISO dispatches like a generator, against a declared baseline.

    Type I    a block, all or nothing, for a minimum time           u in {0, 1}: dispatched = mw u
    Type II   any part of it, every five minutes                    dispatched <= mw
    energy    LMP x min(dispatched, baseline - load), from the net benefits price on              MISO Tariff 40.3.3 (Order 745)
    missing   LMP x what is missing of a dispatch beyond a tolerance                              MISO Tariff 40.3.4

A resource may not dispatch itself: it answers MISO's calls and awards. Further ahead than its notice, where nobody has said, a plan takes
it for dispatched where that pays and the LMP reaches both the offer and the net benefits price; nearer than that nothing untold is expected
any more. Rigs whose breakeven is below the LMP would be off anyway: what they do not draw is no reduction, and is never expected to pay.
Day-ahead awards are forwards, bought back at the real-time LMP. Spinning and supplemental reserve are sold beside it. Consumption is never
raised for a baseline: what it is comes from the market's award of product BASELINE, else from the site file (docs/rules.md#drr).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

import numpy as np

from markets.facts import Call, CallKind
from markets.grid import Interval, Market
from optimizer.domain.actuals import Actuals
from optimizer.domain.award_terms import AwardTerms, reduction_terms
from optimizer.domain.call_performance import CallPerformance, Reduction, worst_interval
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.calls import calls_in_force, instructed
from optimizer.domain.deployments import declared, positive, share
from optimizer.domain.formula import Bounds, Charge, Quantities, per_interval
from optimizer.domain.market_rules import days, rule
from optimizer.domain.money import Line, decimal
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.reserve_awards import DAY_AHEAD, ENERGY
from optimizer.domain.shortfall import Shortfall
from optimizer.domain.site import Site
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory, actuals_of
from optimizer.obligations.drr.columns import add_dispatch, explain_dispatch, shortfalls
from optimizer.obligations.drr.make_whole import Dispatched
from optimizer.obligations.drr.memory import DrrMemory
from optimizer.obligations.drr.terms import CHARGE_TYPES, DrrTerms

NET_BENEFITS = "miso.drr.net_benefits_usd_per_mwh"


class Drr(DrrTerms):
    """A demand response resource; the keys of the site file are those of `DrrTerms`."""

    type: ClassVar[str] = "drr"
    charge_types: ClassVar[tuple[str, ...]] = CHARGE_TYPES

    def memory_days(self) -> int:
        """The operating day, and the one before it where its costs are made whole: a dispatch may begin there."""
        return 1 if self.has_costs() else 0

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        return reduction_terms(site, self.scope, self.mw, self.reserves, self.qualified_mw)

    def market(self) -> Market | None:
        return Market.MISO

    def service(self) -> str:
        return "drr"

    def excludes(self) -> Mapping[str, str]:
        return {"drr": "two contracts sell the reduction of the same rigs (MISO BPM-002: a resource is registered once)"}

    def promised_mw(self) -> float:
        return self.mw

    def call_terms(self, on: date) -> CallTerms:
        """Due from the registered notice on, within the tolerance of a dispatch."""
        stays_mw, spared = self.baseline_mw - self.mw, self.figure("tolerance_share", on)
        rule_ = self.cited("tolerance_share", on)
        return CallTerms(self.notice_min, True, stays_mw, self.min_down_min / 60.0, missing_share=spared, rule=rule_)

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance | None:
        """The reduction of each interval of a dispatch, by the functions of the bill."""
        its = ActualQuantities.of(actuals)
        seen, end = Dispatched.of(self, its), min(call.end_at or its.grid.end, its.grid.end)
        if end <= call.start_at:
            return None
        load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])
        base, within = declared(its, self.name, self.baseline_mw), share(its, [Interval(call.start_at, end)])
        reduction = Reduction(its.grid.intervals, within, load, base, seen.dispatched_mw * its.hours, seen.reduced_mwh)
        on = days(its.grid, its.site.market)[0]
        return worst_interval(reduction, self.cited("tolerance_share", on), decimal(self.figure("tolerance_share", on)))

    def needs_own_meter(self) -> bool:
        return True

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """Energy by what was dispatched and how far the load was below the baseline; reserve by what was carried; make-whole by the day."""
        its = ActualQuantities.of(actuals)
        seen = Dispatched.of(self, its)
        yield from lines(self.name, self._money(its, seen.dispatched_mw, seen.reduced_mwh), its)
        yield from seen.make_whole(self.memory_from(actuals.memory))

    def remember(self, memory: DrrMemory, then: Actuals) -> DrrMemory:
        """Its memory after a stretch of time: cost and revenue of the operating day that the stretch ends in."""
        return Dispatched.of(self, ActualQuantities.of(then)).remembered(memory)

    def _money(self, its: Quantities[Any], dispatched: Any, done: Any) -> Iterable[Charge[Any]]:
        """The formula, of MW dispatched and MWh reduced: expressions while planning, numbers when settling."""
        nothing, zero = its.sum([]), its.during(None) * its.number(0)
        point = self.point(its.site)
        price, on = its.energy_price(point), days(its.grid, its.site.market)[0]
        cite = rule(self._rules, "miso.drr.energy", on).cited
        awarded, paid = its.awarded(self.name, ENERGY, DAY_AHEAD)
        if awarded.any():
            yield Charge("drr_day_ahead", nothing + awarded * its.hours, "mwh", paid, cite)
            yield Charge("drr_buy_back", nothing + awarded * its.hours, "mwh", -price, cite, point)
        least = per_interval(its, self.threshold(its))
        pays = [p if p != p or p >= low else its.number(0) for p, low in zip(price, least, strict=True)]
        least_of = "" if self.net_benefits_usd_per_mwh is not None else f"; {rule(self._rules, NET_BENEFITS, on).cited}"
        yield Charge("drr_energy", done, "mwh", np.array(pays, dtype=zero.dtype), cite + least_of, point)
        one = its.number(1)
        spared, factor = (per_interval(its, self.figures(its, word)) for word in ("tolerance_share", "deviation_factor"))
        missing = its.highest(dispatched * ((one - spared) * its.hours) - done, np.arange(len(its.grid)), zero)
        cite = rule(self._rules, "miso.drr.deviation_factor", on).cited
        yield Charge("drr_deviation", missing, "mwh", -positive(price, its.number(0)) * factor, cite, point)
        yield from self._reserve(its)

    def _reserve(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        for product in self.reserves:
            awarded, paid = its.awarded(self.name, product, DAY_AHEAD)
            cite = rule(self._rules, "miso.drr.reserve", days(its.grid, its.site.market)[0]).cited
            yield Charge(f"{product.lower()}_day_ahead", its.sum([]) + awarded * its.hours, "mw_h", paid, cite)
            more = (its.carried_mw(self.name, product) - awarded) * its.hours
            yield Charge(f"{product.lower()}_imbalance", more, "mw_h", its.reserve_price(self.name, product), cite)

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def bounds(self, site: Site, memory: DrrMemory, calls: Sequence[Call], over: Interval) -> Bounds:
        """What a call says; of a block, at most the baseline less the block."""
        said = super().bounds(site, memory, calls, over)
        most = max(0.0, memory.baseline_mw(over, self.baseline_mw) - self.mw)
        for call in calls_in_force(calls, self.name) if self.kind == "I" else ():
            here = call.start_at < over.end and (call.end_at is None or call.end_at > over.start)
            if call.kind is CallKind.DEPLOY and here and most < said.cap_mw:
                said = instructed(call, self.name, 0.0, most)
        return said

    def shape(self, program: Program) -> None:
        """What is dispatched or expected to be, what is reduced against the baseline, reserve, and their money."""
        add_dispatch(self, program, self._money)

    def shortfall_usd(self, program: Program, path: Trajectory, short_mw: Any) -> float:
        """What is not paid of a dispatch that is missed, and its deviation."""
        price = program.energy_price(self.point(program.site))
        owed = sum(line.amount_usd for line in self.settle(actuals_of(program, path)) if line.charge_type == "drr_deviation")
        return float((short_mw * np.maximum(price, 0.0) * program.hours).sum()) - float(owed)

    def shortfalls(self, program: Program, path: Trajectory) -> Iterable[Shortfall]:
        """What was sold the day before and is not kept: megawatts, hours and what that costs."""
        return shortfalls(self, program, path)

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """When a dispatch is expected and until when it can be offered day-ahead; where rigs are off for their price and none is."""
        return explain_dispatch(self, program, path)
