"""What a load did under an ERS contract: available hours, events, tests, and hours deployed. For bills.

Market rules: docs/rules.md#ers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markets.facts import CallKind
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import calls_in_force
from optimizer.domain.money import decimal
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.ers.calendar import shares
from optimizer.obligations.ers.terms import ErsMemory, ErsTerms, Term, TermTotals

Due = Sequence[TimePeriod | None]


@dataclass(frozen=True, slots=True)
class Performed:
    """A load over a grid, MW by interval, as an emergency contract judges it. An interval without a reading is NaN."""

    contract: ErsTerms
    actuals: Actuals
    hours: Any
    load_mw: tuple[Decimal, ...]

    @classmethod
    def of(cls, contract: ErsTerms, actuals: Actuals) -> Performed:
        """Of the load of the contract's scope."""
        names, hours = contract.scope.names(actuals.site), ActualQuantities.of(actuals).hours
        load = (sum((actuals.energy_mwh[g][t] for g in names), Decimal(0)) / hours[t] for t in range(len(actuals.grid)))
        return cls(contract, actuals, hours, tuple(load))

    def tally(self, part: Term, memory: ErsMemory) -> TermTotals:
        """What a part of the grid adds to its contract period. An interval without a reading is neither obligated nor available."""
        due = self._due(memory)
        weight, done, seen = self._events(part, due, memory, CallKind.DEPLOY)
        obligated, available, gross = Decimal(0), Decimal(0), Decimal(0)
        needed = self.contract.thresholds_mw(due, part.on)
        for t in range(part.first, part.last):
            period = due[t]
            if period is None:
                continue
            gross += self.hours[t] * decimal(self.contract.mw_of(period)) * decimal(self.contract.price_of(period))
            if t in seen or self.load_mw[t].is_nan():
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

    def failed_tests(self, part: Term, memory: ErsMemory) -> int:
        """Failed tests in a row, those before the grid included."""
        failed, due = memory.failed_tests, self._due(memory)
        tests = (c for c in calls_in_force(self.actuals.calls, self.contract.name) if c.kind is CallKind.TEST)
        for call in sorted(tests, key=lambda c: c.start_at):
            weight, done, _ = self._events(part, due, memory, CallKind.TEST, call.id)
            if weight:
                failed = 0 if done / weight >= decimal(self.contract.figure("event_full", part.on)) else failed + 1
        return failed

    def _due(self, memory: ErsMemory) -> Due:
        return self.contract.obligated(self.actuals.grid, self.actuals.site.market, memory)

    def _events(
        self, part: Term, due: Due, memory: ErsMemory, kind: CallKind, only: str | None = None
    ) -> tuple[Decimal, Decimal, set[int]]:
        """Weight and performance of the events of a kind (of the call `only`, where told), and the intervals they touch."""
        weight, done, seen = Decimal(0), Decimal(0), set()
        grid = self.actuals.grid
        calls = [c for c in self.actuals.calls if only is None or c.id == only]
        for inside in shares(self.contract.events(calls, kind, grid), grid.intervals):
            for t, seconds, whole in inside:
                if not part.first <= t < part.last or self.load_mw[t].is_nan():
                    continue
                share = Decimal(seconds) / Decimal(whole)
                seen.add(t)
                weight += share
                done += share * self.contract.performance(self.load_mw[t], due[t], share, memory, decimal)
        return weight, done, seen
