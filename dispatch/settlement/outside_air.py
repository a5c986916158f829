"""The outside temperature that a bill, a memory and a load at notice are reckoned with: one rule for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from dispatch.settlement.signals import signals_seen
from markets.facts import Temperature
from markets.forecasting.ladder import MILD_CELSIUS
from markets.grid import Grid, Interval

# A temperature of so long before a span still counts in it.
COUNTS_FOR = timedelta(hours=12)
# A forecast comes up to two days ahead, and a station's reading or a correction late.
KNOWN_BEFORE, KNOWN_AFTER = timedelta(days=3), timedelta(hours=60)


def temperatures_seen(engine: Engine, over: Interval, known_at: datetime | None) -> tuple[Temperature, ...]:
    """What the journal has of the temperatures of a span, known by an instant (None: now). Raises LedgerUnavailable, JournalBroken."""
    return signals_seen(engine, Temperature, Interval(over.start - KNOWN_BEFORE, over.end + KNOWN_AFTER), known_at)


def outside_celsius(facts: Sequence[Temperature], at: datetime) -> float:
    """Outside air at an instant: the newest fact that covers it, else the last before it, else 25 C."""
    covering = max((t for t in facts if at in t.over), key=lambda t: t.known_at, default=None)
    before = max((t for t in facts if t.over.end <= at), key=lambda t: (t.over.end, t.known_at), default=None)
    found = covering or before
    return found.celsius if found else MILD_CELSIUS


def temperatures_c(facts: Sequence[Temperature], grid: Grid) -> list[float]:
    """Outside air at the start of each interval, C, from facts of the grid's time and shortly before it."""
    near = [t for t in facts if t.over.start < grid.end and t.over.end > grid.start - COUNTS_FOR]
    return [outside_celsius(near, over.start) for over in grid.intervals]
