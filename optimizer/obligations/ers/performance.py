"""What a load did under an ERS contract: available hours, events, tests, and hours deployed. For bills.

Market rules: docs/rules.md#ers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markets.facts import Call, CallKind
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Numbers
from optimizer.domain.calls import calls_in_force
from optimizer.domain.deployments import declared
from optimizer.domain.money import decimal
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.ers.calendar import shares
from optimizer.obligations.ers.terms import ErsMemory, ErsTerms, ErsTest, Term, TermTotals

Due = Sequence[TimePeriod | None]


@dataclass(frozen=True, slots=True)
class Performed:
    """A load over a grid, MW by interval, as an emergency contract judges it. An interval without a reading is NaN. `baseline_mw` is the
    default baseline of each interval; zero where the contract is judged by its maximum base load."""

    contract: ErsTerms
    actuals: Actuals
    hours: Any
    load_mw: tuple[Decimal, ...]
    baseline_mw: Numbers

    @classmethod
    def of(cls, contract: ErsTerms, actuals: Actuals) -> Performed:
        """Of the load of the contract's scope."""
        its, names = ActualQuantities.of(actuals), contract.scope.names(actuals.site)
        load = (sum((actuals.energy_mwh[g][t] for g in names), Decimal(0)) / its.hours[t] for t in range(len(actuals.grid)))
        return cls(contract, actuals, its.hours, tuple(load), declared(its, contract.name, contract.baseline_mw or 0.0))

    def tally(self, part: Term, memory: ErsMemory) -> TermTotals:
        """What a part of the grid adds to its contract period. An interval without a reading is neither paid, obligated nor available."""
        due = self._due(memory)
        weight, done = self._events(part, due, self._in_force(CallKind.DEPLOY))
        left_out = self.contract.left_out(self.actuals.calls, self.actuals.grid, memory)
        obligated, available, gross = Decimal(0), Decimal(0), Decimal(0)
        needed = self.contract.thresholds_mw(due, part.on)
        for t in range(part.first, part.last):
            period = due[t]
            if period is None or self.load_mw[t].is_nan():
                continue
            gross += self.hours[t] * decimal(self.contract.mw_of(period)) * decimal(self.contract.price_of(period))
            if left_out[t]:
                continue
            obligated += self.hours[t]
            if self.load_mw[t] >= decimal(needed[t]):
                available += self.hours[t]
        return TermTotals(obligated, available, gross, weight, done)

    def expected(self, part: Term, memory: ErsMemory) -> TermTotals:
        """The same part as it is expected before it: available, without an event, nothing earned yet."""
        due = self._due(memory)
        total = sum((self.hours[t] for t in range(part.first, part.last) if due[t]), Decimal(0))
        return TermTotals(total, total * decimal(self.contract.rest_available), Decimal(0), Decimal(0), Decimal(0))

    def deployed_h(self, part: Term) -> float:
        """Hours of sustained response to deployments."""
        grid = self.actuals.grid
        spans = shares(self.contract.events(self.actuals.calls, CallKind.DEPLOY, grid), grid.intervals)
        return sum(seconds for inside in spans for t, seconds, _ in inside if part.first <= t < part.last) / 3600.0

    def tests(self, part: Term, memory: ErsMemory) -> dict[str, ErsTest]:
        """The tests in the memory and in a part of the grid, by call id; one that is cancelled is none any more."""
        known = {c.id for c in self.actuals.calls if c.obligation == self.contract.name}
        tests, calls, due = dict(memory.tests), self._in_force(CallKind.TEST), self._due(memory)
        for gone in known - {c.id for c in calls}:
            tests.pop(gone, None)
        for call in calls:
            weight, done = self._events(part, due, [call])
            had = tests.get(call.id)
            if weight or had:
                before = (had.weight, had.done) if had else (0.0, 0.0)
                at = self.contract.response_at(call)
                tests[call.id] = ErsTest(at, call.end_at, before[0] + float(weight), before[1] + float(done))
        return tests

    def _due(self, memory: ErsMemory) -> Due:
        return self.contract.obligated(self.actuals.grid, self.actuals.site.market, memory)

    def _in_force(self, kind: CallKind) -> list[Call]:
        return [c for c in calls_in_force(self.actuals.calls, self.contract.name) if c.kind is kind]

    def _events(self, part: Term, due: Due, calls: Sequence[Call]) -> tuple[Decimal, Decimal]:
        """Weight of the intervals of events in a part of the grid, and their performance times their weight."""
        weight, done, grid = Decimal(0), Decimal(0), self.actuals.grid
        spans = [self.contract.sustained(call, grid.end) for call in calls]
        for inside in shares([span for span in spans if span is not None and span.overlaps(grid.over)], grid.intervals):
            for t, seconds, whole in inside:
                if part.first <= t < part.last and not self.load_mw[t].is_nan():
                    share = Decimal(seconds) / Decimal(whole)
                    weight += share
                    done += share * self._performance(t, due[t], share)
        return weight, done

    def _performance(self, t: int, period: TimePeriod | None, share: Decimal) -> Decimal:
        """Of an interval of which `share` lies in the sustained response."""
        mw = decimal(self.contract.mw_of(period))
        if self.contract.baseline == "default":
            done: Decimal = (self.baseline_mw[t] - self.load_mw[t]) / (share * mw)
        else:
            done = (decimal(self.contract.base_mw(period)) + mw - self.load_mw[t]) / mw
        return min(max(done, Decimal(0)), Decimal(1))
