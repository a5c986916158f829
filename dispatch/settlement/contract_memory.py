"""The time before a day as its contracts remember it, and the month's coincident peaks as far as they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from dispatch.settlement.memories_before import memories_before
from dispatch.settlement.signals import signals_seen
from dispatch.site_file.setup import Setup
from dispatch.store.telemetry import Telemetry
from markets.facts import SystemLoad
from markets.forecasting.peaks import coincident_peak, coincident_peak_share, newest, peak_is_unknown, peak_span
from markets.grid import Grid, Interval, Market
from markets.outlook import PeakWindow
from optimizer.domain.book import peak_windows
from optimizer.domain.memory import Memory
from optimizer.domain.money import decimal
from optimizer.domain.quantities import UNKNOWN

# The loads of a month or season count when they were observed by so long after its end.
PUBLISHED_WITHIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class PriorPeriod:
    """What a day's bill needs of the time before it, as in Actuals: peak_share by metered interval, memory by obligation, and by call id
    the load before its notice, MW."""

    peak_share: Mapping[PeakWindow, Sequence[Decimal]] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    at_notice_mw: Mapping[str, float] = field(default_factory=dict)


def prior_period(
    engine: Engine, telemetry: Telemetry, setup: Setup, grid: Grid, known_at: datetime | None, loads: Sequence[SystemLoad] | None = None
) -> PriorPeriod:
    """Read what the book's contracts ask of the time before a day; nothing when none asks. `loads` are those of `period_loads` when they
    are read already. Raises LedgerUnavailable, JournalBroken."""
    known = period_loads(engine, setup, grid, known_at) if loads is None else loads
    exact = {window: known_peak_share(known, grid, setup.site.market, window) for window in peak_windows(setup.book)}
    return PriorPeriod(exact, memories_before(engine, telemetry, setup, grid.start, known_at))


def period_loads(engine: Engine, setup: Setup, grid: Grid, known_at: datetime | None) -> tuple[SystemLoad, ...]:
    """The system loads of the month (or season) that a grid begins in, where a contract is charged by its peak. Raises LedgerUnavailable,
    JournalBroken."""
    windows = peak_windows(setup.book)
    return system_loads(engine, peak_span(setup.site.market, grid, windows), known_at) if windows else ()


def peaks_within(loads: Sequence[SystemLoad], setup: Setup, over: Interval) -> list[Interval]:
    """The coincident peaks, as far as loads say, that contracts of the site are charged by and that touch a span of one month."""
    peaks = (coincident_peak(loads, setup.site.market, over.start, window) for window in peak_windows(setup.book))
    return [peak for peak in peaks if peak is not None and peak.overlaps(over)]


def known_peak_share(loads: Sequence[SystemLoad], grid: Grid, market: Market, window: PeakWindow) -> list[Decimal]:
    """The share of the coincident peak in each interval; NaN where the system's load is not known and may be the highest."""
    share, unknown = coincident_peak_share(loads, grid, market, window), peak_is_unknown(loads, grid, market, window)
    return [UNKNOWN if lacking and not value else decimal(float(value)) for value, lacking in zip(share.values, unknown, strict=True)]


def system_loads(engine: Engine, span: Interval, known_at: datetime | None) -> tuple[SystemLoad, ...]:
    """System loads of a span, as the journal has them by now. Raises LedgerUnavailable, JournalBroken."""
    published = Interval(span.start, span.end + PUBLISHED_WITHIN)
    return newest(fact for fact in signals_seen(engine, SystemLoad, published, known_at) if fact.over.overlaps(span))
