"""Days whose statement charges a coincident peak that a later, higher system load has replaced, or that was not known then."""

from __future__ import annotations

import json
from datetime import timedelta

from sqlalchemy import Engine

from dispatch.settlement.contract_memory import system_loads
from dispatch.settlement.document_rows import LineRow
from dispatch.site_file.setup import Setup
from dispatch.store.statements import kept_statement
from markets.forecasting.peaks import coincident_peak, peak_span
from markets.grid import Interval, OperatingDay, parse_instant
from optimizer.domain.book import peak_windows


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
        document = json.loads(kept.document) if kept else {"lines": [], "unknown": []}
        charged = [_over(row) for row in document["lines"] if row["obligation"] in names and row["unit"] == "mw" and row["amount_usd"]]
        if document["unknown"] or any(not any(over.overlaps(peak) for peak in peaks) for over in charged):
            found.append(earlier)
        earlier = OperatingDay(market, earlier.on + timedelta(days=1))
    return found


def _over(row: LineRow) -> Interval:
    return Interval(parse_instant(row["interval_start"]), parse_instant(row["interval_end"]))
