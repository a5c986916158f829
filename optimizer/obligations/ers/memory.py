"""What an ERS contract remembers of its contract period, and the parts of a grid that lie in one contract period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from optimizer.domain.memory import Memory


@dataclass(frozen=True, slots=True)
class TermTotals:
    """A contract period so far: hours obligated and available, dollars at the offered price, and events' weight and performance."""

    obligated_h: Any = 0
    available_h: Any = 0
    gross_usd: Any = 0
    event_weight: Any = 0
    event_done: Any = 0

    def plus(self, other: TermTotals) -> TermTotals:
        return TermTotals(
            self.obligated_h + other.obligated_h,
            self.available_h + other.available_h,
            self.gross_usd + other.gross_usd,
            self.event_weight + other.event_weight,
            self.event_done + other.event_done,
        )


@dataclass(frozen=True, slots=True)
class Term:
    """The part of a grid that lies in one contract period: positions [first, last). The contract period holds on the days [begins, ends):
    a term, or the part of it before or after its hours were used up.

    used_up   the day on which its hours were used up
    ahead     hours from the end of the part to the end of the contract period, by time period
    """

    first: int
    last: int
    begins: date
    ends: date
    used_up: date | None
    ahead: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ErsTest:
    """A test so far: the beginning of its sustained response, its end (None: not recalled yet), the weight of its intervals and their
    performance times their weight."""

    started_at: datetime
    ends_at: datetime | None
    weight: float
    done: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErsMemory(Memory):
    """The contract period so far.

    term           its first day; None, where it is not known, fits every contract period
    obligated_h    hours obligated, `available_h` of them available
    gross_usd      dollars at the offered price
    event_weight   weight of the events, `event_done` their performance times their weight
    worth_usd      what bills have given the contract period so far, dollars
    deployed_h     hours of sustained response
    used_up        the day its hours were used up
    tests          by call id, those of the last year, through all contract periods
    ready_at       when the load must be ready again after the last event that is over
    """

    term: date | None = None
    obligated_h: float = 0.0
    available_h: float = 0.0
    gross_usd: float = 0.0
    event_weight: float = 0.0
    event_done: float = 0.0
    worth_usd: float = 0.0
    deployed_h: float = 0.0
    used_up: date | None = None
    tests: Mapping[str, ErsTest] = field(default_factory=dict)
    ready_at: datetime | None = None
