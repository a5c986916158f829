"""The time before a day as its contracts remember it, and the month's coincident peaks as far as they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine, select

from dispatch.entries import Seen
from dispatch.settlement.memories_before import memories_before
from dispatch.site_file.setup import Setup
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import journal, reading
from dispatch.store.telemetry import Telemetry
from markets.facts import SystemLoad
from markets.forecasting.peaks import coincident_peak_share, newest, peak_is_unknown, peak_span
from markets.grid import Grid, Interval, Market
from markets.outlook import PeakWindow
from optimizer.domain.book import peak_windows
from optimizer.domain.memory import Memory
from optimizer.domain.money import decimal
from optimizer.domain.quantities import UNKNOWN


@dataclass(frozen=True, slots=True)
class PriorPeriod:
    """What a day's bill needs of the time before it, as in Actuals: peak_share by metered interval, memory by obligation, and by call id
    the load before its notice, MW."""

    peak_share: Mapping[PeakWindow, Sequence[Decimal]] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    at_notice_mw: Mapping[str, float] = field(default_factory=dict)


def prior_period(engine: Engine, telemetry: Telemetry, setup: Setup, grid: Grid, known_at: datetime | None) -> PriorPeriod:
    """Read what the book's contracts ask of the time before a day; nothing when none asks. Raises LedgerUnavailable, JournalBroken."""
    windows = peak_windows(setup.book)
    loads = system_loads(engine, peak_span(setup.site.market, grid, windows), known_at) if windows else ()
    exact = {window: _known_share(loads, grid, setup.site.market, window) for window in windows}
    return PriorPeriod(exact, memories_before(engine, telemetry, setup, grid.start, known_at))


def _known_share(loads: Sequence[SystemLoad], grid: Grid, market: Market, window: PeakWindow) -> list[Decimal]:
    """The share of the coincident peak in each interval; NaN where the system's load is not known and may be the highest."""
    share, unknown = coincident_peak_share(loads, grid, market, window), peak_is_unknown(loads, grid, market, window)
    return [UNKNOWN if lacking and not value else decimal(float(value)) for value, lacking in zip(share.values, unknown, strict=True)]


def system_loads(engine: Engine, span: Interval, known_at: datetime | None) -> tuple[SystemLoad, ...]:
    """System loads of a span, as the journal has them by now."""
    with reading(engine) as connection:
        wanted = select(journal.c.seq).where(journal.c.kind == "Seen", journal.c.at >= span.start).order_by(journal.c.seq).limit(1)
        first = connection.execute(wanted).scalar()
    loads: list[SystemLoad] = []
    for _, entry in SqlJournal(engine).read(after=first - 1) if first is not None else ():
        if not isinstance(entry, Seen):
            continue
        if entry.at > span.end + timedelta(days=3):
            break
        for fact in entry.facts:
            if known_at is not None and fact.known_at > known_at:
                continue
            if isinstance(fact, SystemLoad) and fact.over.overlaps(span):
                loads.append(fact)
    return newest(loads)
