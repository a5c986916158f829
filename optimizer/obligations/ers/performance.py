"""What a load did under an ERS contract: available hours, events, tests, and hours deployed. For bills.

Market rules: docs/rules.md#ers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.facts import Call, CallKind
from markets.grid import Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Numbers
from optimizer.domain.call_performance import JudgedInterval
from optimizer.domain.calls import calls_in_force
from optimizer.domain.deployments import declared
from optimizer.domain.money import decimal
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.ers.calendar import shares
from optimizer.obligations.ers.memory import ErsMemory, ErsTest, Term, TermTotals
from optimizer.obligations.ers.terms import ErsTerms


@dataclass(frozen=True, slots=True)
class Performed:
    """A load over a grid, MW by interval, as an emergency contract judges it. An interval without a reading is NaN. `baseline_mw` is the
    default baseline of each interval; zero where the contract is judged by its maximum base load."""

    contract: ErsTerms
    actuals: Actuals
    parts: Sequence[Term]
    due: Sequence[TimePeriod | None]
    left_out: NDArray[np.bool_]
    hours: Any
    load_mw: tuple[Decimal, ...]
    baseline_mw: Numbers

    @classmethod
    def of(cls, contract: ErsTerms, actuals: Actuals, memory: ErsMemory) -> Performed:
        """Of the load of the contract's scope, after a memory."""
        its, names = ActualQuantities.of(actuals), contract.scope.names(actuals.site)
        load = (sum((actuals.energy_mwh[g][t] for g in names), Decimal(0)) / its.hours[t] for t in range(len(actuals.grid)))
        known = actuals.grid, actuals.site.market, memory, actuals.calls
        baseline_mw = declared(its, contract.name, contract.baseline_mw or 0.0)
        left_out = contract.left_out(actuals.calls, actuals.grid, memory)
        return cls(contract, actuals, contract.terms(*known), contract.obligated(*known), left_out, its.hours, tuple(load), baseline_mw)

    def over(self, part: Term) -> Interval:
        """When a part of the grid begins and ends."""
        intervals = self.actuals.grid.intervals
        return Interval(intervals[part.first].start, intervals[part.last - 1].end)

    def tally(self, part: Term) -> TermTotals:
        """What a part of the grid adds to its contract period. An interval without a reading is neither paid, obligated nor available."""
        weight, done = self._events(part, self.contract.deployments(self.actuals.calls, self.actuals.grid.over))
        obligated, available, gross = Decimal(0), Decimal(0), Decimal(0)
        needed = self.contract.thresholds_mw(self.due, part.begins)
        for t in range(part.first, part.last):
            period = self.due[t]
            if period is None or self.load_mw[t].is_nan():
                continue
            gross += self.hours[t] * decimal(self.contract.mw_of(period)) * decimal(self.contract.price_of(period))
            if self.left_out[t]:
                continue
            obligated += self.hours[t]
            if self.load_mw[t] >= decimal(needed[t]):
                available += self.hours[t]
        return TermTotals(obligated, available, gross, weight, done)

    def deployed_h(self, part: Term) -> float:
        """Hours of sustained response to deployments."""
        return float(self.contract.deployed_h(self.actuals.calls, self.actuals.grid)[part.first : part.last].sum())

    def tests(self, part: Term, memory: ErsMemory) -> dict[str, ErsTest]:
        """The tests in the memory and in a part of the grid, by call id; one that is cancelled is none any more."""
        known = {c.id for c in self.actuals.calls if c.obligation == self.contract.name}
        tests, calls = dict(memory.tests), self._tests_in_force()
        for gone in known - {c.id for c in calls}:
            tests.pop(gone, None)
        for call in calls:
            span = self.contract.sustained(call, self.actuals.grid.end)
            weight, done = self._events(part, [span] if span is not None else [])
            had = tests.get(call.id)
            if weight or had:
                before = (had.weight, had.done) if had else (0.0, 0.0)
                at = self.contract.response_at(call)
                tests[call.id] = ErsTest(at, call.end_at, before[0] + float(weight), before[1] + float(done))
        return tests

    def _tests_in_force(self) -> list[Call]:
        return [c for c in calls_in_force(self.actuals.calls, self.contract.name) if c.kind is CallKind.TEST]

    def _events(self, part: Term, spans: Sequence[Interval]) -> tuple[Decimal, Decimal]:
        """Weight of the intervals of sustained responses in a part of the grid, and their performance times their weight."""
        index = self.actuals.grid.index
        return weighed(judged for judged in self.judged(spans) if part.first <= index(judged.over.start) < part.last)

    def judged(self, spans: Sequence[Interval]) -> Iterator[JudgedInterval]:
        """The intervals of sustained responses, each with its performance; those of several spans one after the other."""
        grid = self.actuals.grid
        for inside in shares([span for span in spans if span.overlaps(grid.over)], grid.intervals):
            for t, seconds, whole in inside:
                share, over, load = Decimal(seconds) / Decimal(whole), grid.intervals[t], self.load_mw[t]
                base = self._baseline_mw(t)
                most = base - self._part(share) * decimal(self.contract.mw_of(self.due[t]))
                if load.is_nan():
                    yield JudgedInterval(over, share, base, most, None, None, "nothing was metered")
                else:
                    yield JudgedInterval(over, share, base, most, load, self._performance(t, share))

    def _baseline_mw(self, t: int) -> Decimal:
        """The load that the reduction of an interval is counted from."""
        if self.contract.baseline == "default":
            return Decimal(self.baseline_mw[t])
        return decimal(self.contract.base_mw(self.due[t])) + decimal(self.contract.mw_of(self.due[t]))

    def _performance(self, t: int, share: Decimal) -> Decimal:
        """Of an interval of which `share` lies in the sustained response."""
        mw = decimal(self.contract.mw_of(self.due[t]))
        done: Decimal = (self._baseline_mw(t) - self.load_mw[t]) / (self._part(share) * mw)
        return min(max(done, Decimal(0)), Decimal(1))

    def _part(self, share: Decimal) -> Decimal:
        """The part of the obligation that an interval owes of which `share` lies in the sustained response."""
        return share if self.contract.baseline == "default" else Decimal(1)


def weighed(judged: Iterable[JudgedInterval]) -> tuple[Decimal, Decimal]:
    """The weight of the intervals whose performance is known, and their performance times their weight."""
    weight, done = Decimal(0), Decimal(0)
    for each in judged:
        if each.performance is not None:
            weight += each.share
            done += each.share * each.performance
    return weight, done
