"""The prices of another market day (the reference day), for what-ifs that apply them to today."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dispatch.decide.state import State
from dispatch.runtime.price_sources import polled_sources, simulated_market
from dispatch.site_file.setup import Setup
from markets import SourceError
from markets.facts import Price, PriceMarket
from markets.forecasting.outlook_values import means_on
from markets.grid import OperatingDay
from markets.series import Series

PUBLICATION_DELAY = timedelta(hours=1)  # after a day's end, until its last real-time price is published


@dataclass(frozen=True, slots=True)
class ReferenceDayPrices:
    """The real-time prices of a market day, from the journal, or else from the archive or synthetic market that the site runs on."""

    state: State

    def __call__(self, on: date, point: str) -> Series:
        market = self.state.site.market
        day = OperatingDay(market, on)
        found = _complete(self.state.facts.real_time(point, day.over), day)
        if found is None and simulated_market(self.state.setup):
            found = _complete(_from_source(self.state.setup, day, point, self.state.at or day.end), day)
        if found is None:
            raise KeyError(f"the real-time prices of {on} at {point} are not known for the full day")
        return found


def _from_source(setup: Setup, day: OperatingDay, point: str, now: datetime) -> list[Price]:
    source = polled_sources(setup, lambda: now)[0].source
    try:
        facts = asyncio.run(_fetch(source, day.start, day.end + PUBLICATION_DELAY))
    except (SourceError, ValueError, OverflowError) as fault:
        raise KeyError(f"the prices of {day.on} cannot be fetched: {fault}") from None
    unsettled = (PriceMarket.DAY_AHEAD_HOURLY, PriceMarket.REAL_TIME_SCED)
    real_time = [f for f in facts if isinstance(f, Price) and f.point == point and f.market not in unsettled]
    newest = {f.over: f for f in sorted(real_time, key=lambda f: f.known_at) if f.over.overlaps(day.over)}
    return [newest[over] for over in sorted(newest)]


async def _fetch(source: Any, since: datetime, until: datetime) -> list[Any]:
    return list(await source.fetch(since, until))


def _complete(prices: Sequence[Price], day: OperatingDay) -> Series | None:
    """A day's prices on its settlement grid, None when any interval is missing."""
    known = Series(day.grid(), means_on(prices, day.grid()), "usd_per_mwh")
    return None if len(known.gaps) else known
