"""What a demand response resource did under its dispatches, and the make-whole payment of a block. For bills.

    cost of a day   = shutdown x dispatches begun + curtailment x hours dispatched + offer x MWh reduced
    make-whole      = max(0, cost of the day - its energy revenue)

MISO guarantees a committed resource its offered production cost (revenue sufficiency guarantee). Cost counts in intervals in which the
dispatch was kept within the tolerance, revenue in all; where it was not kept, revenue below zero counts as none, so that no failure is
paid back. Market rules: docs/rules.md#drr.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import numpy as np

from markets.grid import Interval
from optimizer.domain.array_types import Numbers
from optimizer.domain.deployments import declared, reduced
from optimizer.domain.market_rules import days
from optimizer.domain.money import Line, decimal
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.reserve_awards import DAY_AHEAD, ENERGY
from optimizer.obligations.drr.memory import DrrMemory
from optimizer.obligations.drr.terms import DrrTerms


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A resource over a grid: MW dispatched and MWh reduced by interval."""

    contract: DrrTerms
    its: ActualQuantities
    dispatched_mw: Numbers
    reduced_mwh: Numbers

    @classmethod
    def of(cls, contract: DrrTerms, its: ActualQuantities) -> Dispatched:
        dispatched = np.maximum(its.carried_mw(contract.name, ENERGY), contract.called(its))
        load = its.sum([its.energy_mwh(name) for name in contract.scope.names(its.site)])
        below = declared(its, contract.name, contract.baseline_mw) * its.hours - load
        return cls(contract, its, dispatched, reduced(below, dispatched * its.hours))

    def make_whole(self, memory: DrrMemory) -> Iterable[Line]:
        """A line for each operating day whose revenue leaves a part of the production cost."""
        if not self.contract.has_costs():
            return
        usd = self._uncovered_usd(memory)
        for first, last in self._days():
            on, before = self._on(first), decimal(self._kept(memory, first).uncovered_usd)
            after = before + sum(usd[first:last], Decimal(0))
            due = decimal(self.contract.figure("make_whole", on)) * (max(Decimal(0), after) - max(Decimal(0), before))
            if due:
                over = Interval(self.its.grid.intervals[first].start, self.its.grid.intervals[last - 1].end)
                cited = self.contract.cited("make_whole", on)
                yield Line(self.contract.name, "drr_make_whole", over, due, "usd", Decimal(1), due, cited)

    def remembered(self, memory: DrrMemory) -> DrrMemory:
        """The memory after the grid."""
        if not self.contract.has_costs():
            return memory
        usd = self._uncovered_usd(memory)
        first, last = self._days()[-1]
        kept = self._kept(memory, first)
        until = [over.end for over, mw in zip(self.its.grid.intervals, self.dispatched_mw, strict=True) if mw > 0]
        return replace(
            kept,
            period=self._on(first).toordinal(),
            uncovered_usd=float(decimal(kept.uncovered_usd) + sum(usd[first:last], Decimal(0))),
            dispatched_until=max(until, default=memory.dispatched_until),
        )

    def _uncovered_usd(self, memory: DrrMemory) -> list[Decimal]:
        """Production cost less revenue of each interval; nothing in gaps and where nothing is dispatched."""
        contract, its = self.contract, self.its
        price = its.energy_price(contract.point(its.site))
        awarded, paid = its.awarded(contract.name, ENERGY, DAY_AHEAD)
        least, spared = contract.threshold(its), contract.figures(its, "tolerance_share")
        offer, an_hour, shutdown = (decimal(v) for v in (contract.offer_usd_per_mwh, contract.curtailment_usd_per_h, contract.shutdown_usd))
        running, out = memory.dispatched_until == its.grid.start, []
        for t in range(len(its.grid)):
            mw, done, usd, h = self.dispatched_mw[t], self.reduced_mwh[t], price[t], its.hours[t]
            begins, running = mw > 0 and not running, bool(mw > 0)
            if not running or t in its.gaps or usd.is_nan() or done.is_nan() or paid[t].is_nan():
                out.append(Decimal(0))
                continue
            revenue = awarded[t] * h * (paid[t] - usd) + (done * usd if usd >= decimal(least[t]) else Decimal(0))
            cost = offer * done + an_hour * h * mw / decimal(contract.mw) + (shutdown if begins else Decimal(0))
            kept = done >= mw * h * (1 - decimal(spared[t]))
            out.append(cost - revenue if kept else -max(Decimal(0), revenue))
        return out

    def _kept(self, memory: DrrMemory, first: int) -> DrrMemory:
        """The memory of the operating day of an interval."""
        return memory.of_period(self._on(first).toordinal())

    def _on(self, t: int) -> date:
        return days(self.its.grid, self.its.site.market)[t]

    def _days(self) -> list[tuple[int, int]]:
        """Positions [first, last) of each operating day in the grid."""
        on = days(self.its.grid, self.its.site.market)
        cuts = [0, *(t for t in range(1, len(on)) if on[t] != on[t - 1]), len(on)]
        return list(zip(cuts, cuts[1:], strict=False))
