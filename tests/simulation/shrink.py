"""Makes a failing scenario small: fewer days, then fewer faults, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from tests.simulation.faults import InjectedFault, Scenario
from tests.simulation.run import Outcome, simulate

MOST_RUNS = 80
DAY_S = 86400.0


def kind_of(violation: str) -> str:
    """What makes two failures the same: the invariant, or the exception, without its figures."""
    return violation.partition(":")[0].partition("(")[0]


def shrunk(failed: Outcome, run: Callable[[Scenario], Outcome] = simulate, most_runs: int = MOST_RUNS) -> Outcome:
    """The smallest scenario found that fails as `failed` did, and how it failed."""
    search = _Search(failed, run, most_runs)
    days = min(failed.scenario.days, max(0.05, ceil(failed.at_s / DAY_S * 24 + 1) / 24))
    kept = tuple(fault for fault in failed.scenario.faults if fault.at_s <= failed.at_s)
    search.fails(replace(failed.scenario, days=days, faults=kept))
    search.drop_faults()
    return search.best


class _Search:
    def __init__(self, failed: Outcome, run: Callable[[Scenario], Outcome], most_runs: int) -> None:
        self.best, self._run, self._left, self._kind = failed, run, most_runs, kind_of(failed.violation)

    def fails(self, scenario: Scenario) -> bool:
        """Whether a smaller scenario still fails; it is then the best."""
        if self._left == 0 or scenario.start != self.best.scenario.start:
            return False
        self._left -= 1
        found = self._run(scenario)
        if not found.violation or kind_of(found.violation) != self._kind:
            return False
        self.best = found
        return True

    def drop_faults(self) -> None:
        """Leave out halves, quarters and so on of the faults, then single ones, again and again until each is needed."""
        size = max(1, len(self.best.scenario.faults) // 2)
        while self._left:
            before = len(self.best.scenario.faults)
            at = 0
            while at < len(self.best.scenario.faults):
                faults: tuple[InjectedFault, ...] = self.best.scenario.faults
                if not self.fails(replace(self.best.scenario, faults=faults[:at] + faults[at + size :])):
                    at += size
            if size == 1 and len(self.best.scenario.faults) == before:
                return
            size = max(1, size // 2)
