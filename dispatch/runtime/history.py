"""What a run or a plan that starts asks of its sources about the time before: everything of the last days, and the system's load since the
month (or season) began, without which the peaks that still count are not known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatch.site_file.setup import Setup
from markets.facts import Fact, LoadForecast, SystemLoad
from markets.forecasting.peaks import loads_needed_since
from markets.sources.source import Source
from optimizer.domain.book import peak_windows

NEARLY = timedelta(days=1)  # loads that begin within a day of the instant they are needed from are complete


def loads_lacking_since(setup: Setup, at: datetime, loads: Sequence[SystemLoad]) -> datetime | None:
    """Since when system loads are needed at an instant for the coincident peaks of the site's contracts, when those given, which are in
    order of time, begin later; None when nothing is lacking."""
    windows = peak_windows(setup.book)
    if not windows:
        return None
    since = loads_needed_since(setup.site.market, at, windows)
    return None if loads and loads[0].over.start <= since + NEARLY else since


async def facts_before(source: Source, setup: Setup, over: tuple[datetime, datetime], loads: Sequence[SystemLoad] = ()) -> Sequence[Fact]:
    """What became known to a source in (since, until], and of the time before it the system loads, earlier than `loads`, that coincident
    peaks are judged by, and the load forecasts that still hold. Raises SourceError."""
    since, until = over
    lacking = loads_lacking_since(setup, until, loads)
    if lacking is None or lacking >= since:
        return await source.fetch(since, until)
    earliest = loads[0].over.start if loads else until
    return [f for f in await source.fetch(lacking, until) if f.known_at > since or _needed(f, earliest, until)]


def _needed(fact: Fact, earliest: datetime, until: datetime) -> bool:
    if isinstance(fact, SystemLoad):
        return fact.over.end <= earliest
    return isinstance(fact, LoadForecast) and fact.over.end > until
