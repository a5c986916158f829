"""What a demand response resource remembers of its operating day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from optimizer.domain.memory import PeriodMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class DrrMemory(PeriodMemory):
    """The operating day so far; `period` is its ordinal.

    uncovered_usd      production cost of its dispatches less their revenue, dollars; negative where revenue covers the cost
    dispatched_until   end of the last interval in which it was dispatched
    """

    uncovered_usd: float = 0.0
    dispatched_until: datetime | None = None
