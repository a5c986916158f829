"""What a load-modifying resource remembers of its season."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from optimizer.domain.memory import Memory

UNTIL_PASSED = "the credit does not count until one is passed"  # after a failed test


@dataclass(frozen=True, slots=True)
class LoadAtTest:
    """Hourly demand of a test, MW: in the hour before it was due, and the highest while it was."""

    before_mw: float
    most_mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LmrMemory(Memory):
    """The season so far.

    season       its first day
    called       ids of the instructions in it
    missed       ids of those of them in which the load was above what may stay
    highest_mw   the highest hourly demand
    hours        the load of the last hours, MW, by their beginning
    tests        by call id
    failed       whether the last test failed
    """

    season: date | None = None
    called: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    highest_mw: float = 0.0
    hours: Mapping[datetime, float] = field(default_factory=dict)
    tests: Mapping[str, LoadAtTest] = field(default_factory=dict)
    failed: bool = False

    def of_season(self, season: date) -> LmrMemory:
        """This memory, or an empty one when it is of another season."""
        return self if self.season == season else self.emptied(season=season)

    def failed_since(self, before: LmrMemory) -> str:
        """The id of the test that failed after `before`; empty when none did."""
        judged = [id_ for id_, test in self.tests.items() if before.of_season(self.season or date.min).tests.get(id_) != test]
        return judged[-1] if self.failed and judged else ""
