"""Emergency demand response (MISO): a reduction offered at a price, called only in an emergency.

    pay = offer x min(mw, baseline - load) from the call plus the notice to its recall, and a price for shutting down    MISO Schedule 30

It promises nothing between calls, and is not for rigs that a load-modifying resource counts on.

Market rules: docs/rules.md#edr.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from markets.facts import Call, CallKind
from markets.grid import Interval, Market
from optimizer.domain.actuals import Actuals
from optimizer.domain.award_terms import AwardTerms, baseline_terms
from optimizer.domain.call_performance import CallPerformance, Reduction, worst_interval
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.contract import Contract
from optimizer.domain.deployments import METER_SHARE, bounded, declared, due, reduced, share, spans
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.market_rules import days, rule
from optimizer.domain.memory import Memory
from optimizer.domain.money import Line, decimal
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.site import NotNegative, Positive, Site
from optimizer.lp.program import Program

EXCLUDES = {
    "edr": "two contracts offer the same rigs for emergencies (MISO Schedule 30: a resource is registered once)",
    "drr": "two contracts are paid for one reduction (MISO Schedule 30: a resource is registered once)",
    "lmr": "a MW may not be LMR and EDR (MISO Tariff, Module E-1, ER25-1729: no double registration)",
}


class Edr(Contract):
    """Emergency demand response on a meter of its own.

    mw                   offered reduction
    baseline_mw          registered baseline, where the market has not said another
    offer_usd_per_mwh    what a reduced MWh is paid
    shutdown_usd         what a call is paid beside that
    notice_min, lead_min as offered; how much sooner rigs go down
    """

    type: ClassVar[str] = "edr"
    charge_types: ClassVar[tuple[str, ...]] = ("edr_energy", "edr_shutdown")
    rule_prefixes: ClassVar[tuple[str, ...]] = ("miso.edr.",)
    name: str = "edr"
    mw: Positive = Field(ge=0.1)
    baseline_mw: Positive
    offer_usd_per_mwh: NotNegative
    shutdown_usd: NotNegative = 0.0
    notice_min: Annotated[float, Field(ge=0, le=720)] = 30.0
    lead_min: NotNegative = 5.0

    @model_validator(mode="after")
    def _within_the_baseline(self) -> Edr:
        if self.mw > self.baseline_mw:
            raise ValueError("mw is more than baseline_mw: nobody can drop more than the baseline")
        return self

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        return baseline_terms(site, self.scope)

    def market(self) -> Market | None:
        return Market.MISO

    def service(self) -> str:
        return "edr"

    def excludes(self) -> Mapping[str, str]:
        return EXCLUDES

    def promised_mw(self) -> float:
        return self.mw

    def call_terms(self, on: date) -> CallTerms:
        """Due from the offered notice on."""
        paid = rule(self._rules, "miso.edr.pays", on)
        return CallTerms(self.notice_min, True, self.baseline_mw - self.mw, missing_share=METER_SHARE, rule=paid.cited)

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance | None:
        """The reduction of each interval in which a call was due, by the functions of the bill."""
        its, span = ActualQuantities.of(actuals), due(call, self.notice_min)
        if span is None or not span.overlaps(its.grid.over):
            return None
        within = share(its, [span])
        load, asked = self._load(its), within * its.hours * its.number(self.mw)
        reduction = Reduction(its.grid.intervals, within, load, self._baseline(its), asked, reduced(self._below(its, within), asked))
        cited = rule(self._rules, "miso.edr.pays", days(its.grid, its.site.market)[0]).cited
        return worst_interval(reduction, cited, decimal(METER_SHARE))

    def needs_own_meter(self) -> bool:
        return True

    def bounds(self, site: Site, memory: Memory, calls: Sequence[Call], over: Interval) -> Bounds:
        """What the call says, and where it is due the baseline less the offer at most."""
        said = super().bounds(site, memory, calls, over)
        most = max(0.0, memory.baseline_mw(over, self.baseline_mw) - self.mw)
        return bounded(said, calls, self.name, over, most, self.notice_min, self.lead_min)

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """What was reduced while a call was due, at the offer."""
        its = ActualQuantities.of(actuals)
        within = self._due(its)
        if not within.any():
            return ()
        return lines(self.name, self._money(its, reduced(self._below(its, within), within * its.hours * its.number(self.mw))), its)

    def _load(self, its: ActualQuantities) -> Any:
        return its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])

    def _baseline(self, its: ActualQuantities) -> Any:
        return declared(its, self.name, self.baseline_mw)

    def _below(self, its: ActualQuantities, within: Any) -> Any:
        """MWh by which the load is below its baseline while a call is due."""
        return (self._baseline(its) * its.hours - self._load(its)) * within

    def shape(self, program: Program) -> None:
        """The same as a column of what is reduced, where a call is due."""
        within = np.asarray(self._due(program), dtype=np.float64)
        if within.any():
            load = program.load_mw(self.scope.names(program.site))
            base = np.asarray(declared(program, self.name, self.baseline_mw), dtype=np.float64)
            beyond = np.maximum(0.0, load.range(program.lower, program.upper)[1] - base)
            done = program.column(f"reduction {self.name}", lower=-beyond * within, upper=within * self.mw)
            program.row(f"reduction {self.name}", done + load * within, upper=base * within, where=within > 0)
            for charge in self._money(program, done * program.hours):
                program.earn(self.name, charge)
        super().shape(program)

    def shortfall_usd(self, program: Program, path: Any, short_mw: Any) -> float:
        """What is not paid of its offer."""
        return float((short_mw * program.hours).sum()) * self.offer_usd_per_mwh

    def _due(self, its: Quantities[Any]) -> Any:
        """The share of each interval in which a call is due."""
        return share(its, [span for _, span in spans(its.calls_of(self.name), CallKind.DEPLOY, self.notice_min, its.grid.over)])

    def _money(self, its: Quantities[Any], done: Any) -> Iterable[Charge[Any]]:
        cite = rule(self._rules, "miso.edr.pays", days(its.grid, its.site.market)[0]).cited
        yield Charge("edr_energy", done, "mwh", its.during(None) * its.number(self.offer_usd_per_mwh), cite)
        if self.shutdown_usd:
            stops = its.during(None) * its.number(0)
            for call in its.calls_of(self.name):
                span = due(call, self.notice_min) if call.kind is CallKind.DEPLOY else None
                if span is not None and its.grid.start <= span.start < its.grid.end:
                    stops[its.grid.index(span.start)] += its.number(1)
            yield Charge("edr_shutdown", its.sum([]) + stops, "call", its.during(None) * its.number(self.shutdown_usd), cite)
