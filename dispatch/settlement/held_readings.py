"""Energy from readings of power that are some time apart: spans of one power each, added up by interval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from dispatch.settlement.prices import NAN
from markets.grid import Grid, Interval
from optimizer.domain.money import ZERO, decimal

# Two readings of a meter that are further apart say nothing of the time between them.
READINGS_APART = timedelta(minutes=15)

# From, until, and the MW between.
Span = tuple[datetime, datetime, Decimal]


def covered_mw_s(spans: Sequence[Span], grid: Grid) -> list[Decimal]:
    """The sum over each interval of MW times seconds, from spans in order; NaN where they do not cover all of it."""
    found, first = list[Decimal](), 0
    for over in grid.intervals:
        while first < len(spans) and spans[first][1] <= over.start:
            first += 1
        covered_s, mw_s = ZERO, ZERO
        for start, end, mw in spans[first:]:
            if start >= over.end:
                break
            inside = decimal((min(end, over.end) - max(start, over.start)).total_seconds())
            covered_s, mw_s = covered_s + inside, mw_s + mw * inside
        found.append(mw_s if covered_s == seconds(over) else NAN)
    return found


def seconds(over: Interval) -> Decimal:
    """The length of an interval, s."""
    return decimal((over.end - over.start).total_seconds())
