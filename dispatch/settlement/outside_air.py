"""The outside temperature that a bill, a memory and a load at notice are reckoned with: one rule for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from markets.facts import Temperature
from markets.forecasting.ladder import MILD_CELSIUS
from markets.grid import Grid

# How long before a span a temperature may have been measured that still counts in it.
MEASURED_BEFORE = timedelta(hours=12)


def outside_celsius(facts: Sequence[Temperature], at: datetime) -> float:
    """Outside air at an instant: the newest fact that covers it, else the last before it, else 25 C."""
    covering = max((t for t in facts if at in t.over), key=lambda t: t.known_at, default=None)
    before = max((t for t in facts if t.over.end <= at), key=lambda t: (t.over.end, t.known_at), default=None)
    found = covering or before
    return found.celsius if found else MILD_CELSIUS


def temperatures_c(facts: Sequence[Temperature], grid: Grid) -> list[float]:
    """Outside air at the start of each interval, C, from facts of the grid's time and shortly before it."""
    near = [t for t in facts if t.over.start < grid.end and t.over.end > grid.start - MEASURED_BEFORE]
    return [outside_celsius(near, over.start) for over in grid.intervals]
