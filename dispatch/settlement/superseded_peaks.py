"""Days whose statement charges a coincident peak that a later, higher system load has replaced, or that was not known then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from sqlalchemy import Engine

from dispatch.settlement.contract_memory import system_loads
from dispatch.settlement.document_rows import LineRow
from dispatch.site_file.setup import Setup
from dispatch.store.statements import kept_statement
from markets.facts import SystemLoad
from markets.forecasting.peaks import coincident_peak, peak_is_unknown, peak_span
from markets.grid import Interval, OperatingDay, parse_instant
from markets.outlook import PeakWindow
from optimizer.domain.book import peak_windows
from optimizer.domain.unknown_peaks import OWN_LOAD_UNKNOWN


def days_with_superseded_peaks(engine: Engine, setup: Setup, day: OperatingDay) -> list[OperatingDay]:
    """The settled days before `day`, in its month (or season), to settle again. Raises LedgerUnavailable, JournalBroken."""
    windows = peak_windows(setup.book)
    if not windows:
        return []
    market = setup.site.market
    span = peak_span(market, day.grid(), windows)
    loads = system_loads(engine, span, None)
    peaks = [peak for window in windows if (peak := coincident_peak(loads, market, day.start, window))]
    names = {o.name for o in setup.book if o.peak_windows()}
    found, earlier = [], OperatingDay.of(market, span.start)
    while earlier.start < day.start:
        kept = kept_statement(engine, earlier.on, market.value)
        lines: list[LineRow] = json.loads(kept.document)["lines"] if kept else []
        own = [row for row in lines if row["obligation"] in names and row["unit"] == "mw"]
        if own and _outdated(own, peaks, _uncertain(loads, earlier, windows)):
            found.append(earlier)
        earlier = OperatingDay(market, earlier.on + timedelta(days=1))
    return found


def _outdated(rows: Sequence[LineRow], peaks: Sequence[Interval], uncertain: Sequence[Interval]) -> bool:
    """Whether a row is charged for an interval that is the peak no longer, or is unknown for one that is known by now. A row that stays
    unknown is not outdated."""
    for row in rows:
        over = _over(row)
        charged, at_peak = bool(row["amount_usd"]), any(over.overlaps(peak) for peak in peaks)
        if charged or (row["amount_usd"] is None and row["source"] == OWN_LOAD_UNKNOWN):
            if not at_peak:
                return True
        elif row["amount_usd"] is None and sum(i.hours for i in uncertain if i.overlaps(over)) < over.hours:
            return True
    return False


def _uncertain(loads: Sequence[SystemLoad], day: OperatingDay, windows: Sequence[PeakWindow]) -> list[Interval]:
    """The intervals of a day that may hold a peak and have no system load."""
    grid = day.grid()
    uncertain = np.any([peak_is_unknown(loads, grid, day.market, window) for window in windows], axis=0)
    return [grid.intervals[n] for n in np.flatnonzero(uncertain).tolist()]


def _over(row: LineRow) -> Interval:
    return Interval(parse_instant(row["interval_start"]), parse_instant(row["interval_end"]))
