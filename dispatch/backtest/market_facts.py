"""What the market published for a part of a backtest: every fact at the instant it became known, and the final prices beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dispatch.runtime.history import facts_before
from dispatch.runtime.price_sources import polled_sources
from dispatch.settlement.contract_memory import known_peak_share
from dispatch.settlement.prices import SETTLES_ON
from dispatch.site_file.sections import ArchivePrices, FixedHash
from dispatch.site_file.setup import Setup
from markets.archive.archive import Archive
from markets.factbook import FactBook
from markets.facts import Fact, IndicativePrices, Price, PriceForecast, PriceMarket, ReservePrice, SystemLoad
from markets.forecasting.ladder import MILD_CELSIUS
from markets.forecasting.outlook_values import means_on
from markets.forecasting.peaks import coincident_peak_share, newest, peak_span
from markets.grid import Grid, Interval
from markets.outlook import Basis, Outlook, PeakWindow
from markets.series import Series
from optimizer.domain.book import peak_windows

LOOK_BACK = timedelta(days=8)  # as much as the running loop keeps
WARM_UP = timedelta(hours=3)  # run before a part begins and not counted, so that rigs are where an unbroken run would have them
NEAR = timedelta(days=366)  # an archive with a longer hole has no price to hold in it
PUBLISHED_WITHIN = timedelta(days=3)  # final loads and hash economics of a part are known so long after its end
REAL_TIME = frozenset(m.value for m in PriceMarket if m is not PriceMarket.DAY_AHEAD_HOURLY)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MarketFacts:
    """A part of a backtest.

    over    what counts of it
    grid    its settlement intervals, from WARM_UP before `over` to its end
    facts   in order of `known_at`, those of the days before included; none that became known after the end
    prices  by settlement point, the final price of each interval, usd_per_mwh, NaN where the archive has none, shape (n,)
    final   the same prices and conditions as an outlook, without gaps
    peak_share  the share of each coincident peak in the intervals that count, as the bill has it: NaN where the system's load is not known
                and may be the highest. `final`, by which plans are made, has numbers there
    disputed  values of the archive within `over`, at the site's settlement points, that disagree with those served
    """

    over: Interval
    grid: Grid
    facts: tuple[Fact, ...]
    prices: Mapping[str, Floats]
    final: Outlook
    peak_share: Mapping[PeakWindow, Sequence[Decimal]]
    disputed: int = 0

    @property
    def counted(self) -> slice:
        """The positions of the grid's intervals that count."""
        return slice(int(np.searchsorted(self.grid.edges, self.over.start.timestamp())), len(self.grid))

    @property
    def missing(self) -> int:
        """How many of the intervals that count lack the final price of a settlement point."""
        return int(np.any([np.isnan(values[self.counted]) for values in self.prices.values()], axis=0).sum())


def market_facts(setup: Setup, over: Interval) -> MarketFacts:
    """Read the sources of a setup for a part of a backtest. Raises SourceError; and LookupError when a settlement point has no price in the
    archive, or no hashprice is known. Nothing is valued in a part without a price (`missing`)."""
    grid = Grid.regular(over.start - WARM_UP, over.end, setup.site.market.settlement_min)
    facts = asyncio.run(_published(setup, grid, over))
    known = FactBook().after(facts)
    prices = {point: _final_prices(setup, known, point, grid) for point in setup.settlement_points}
    in_time = tuple(fact for fact in facts if fact.known_at < over.end)
    final = _final_outlook(setup, known, over, grid, prices)
    return MarketFacts(over, grid, in_time, prices, final, _billed_peak_shares(setup, known, over), _disputed(setup, over))


def without_delay(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts with real-time prices and system loads known at the end of their interval, and forecasts with the price that they were made
    from, in order of `known_at`."""
    real_time = (f.known_at <= f.over.end or not _is_measured(f) for f in facts if hasattr(f, "over"))
    if all(real_time):
        return tuple(facts)
    return tuple(sorted((_at_once(fact) for fact in facts), key=lambda fact: fact.known_at))


def without_dispatch_runs(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts that strategies read which know no more than settled prices: none of the market's five-minute runs and look-ahead runs, and
    no forecast."""
    left_out = IndicativePrices | PriceForecast
    return tuple(f for f in facts if not (isinstance(f, left_out) or (isinstance(f, Price) and f.market is PriceMarket.REAL_TIME_SCED)))


def _is_measured(fact: Fact) -> bool:
    return isinstance(fact, SystemLoad) or (isinstance(fact, Price | ReservePrice) and fact.market in REAL_TIME)


def _at_once(fact: Fact) -> Fact:
    if isinstance(fact, Price | ReservePrice | SystemLoad) and _is_measured(fact):
        return replace(fact, known_at=min(fact.known_at, fact.over.end))
    if isinstance(fact, PriceForecast):
        return replace(fact, known_at=min(fact.known_at, fact.over.start))
    return fact


async def _published(setup: Setup, grid: Grid, over: Interval) -> list[Fact]:
    """Every fact of the sources that matters to a part, in order of `known_at`."""
    found: list[Fact] = []
    for polled in polled_sources(setup, lambda: grid.end):
        source = polled.source
        found += await facts_before(source, setup, (grid.start - LOOK_BACK, grid.start))
        found += await source.fetch(grid.start, grid.end + PUBLISHED_WITHIN)
        if windows := peak_windows(setup.book):
            # Not of the grid: it begins before the part, and where the part begins a month or season, in the one before.
            season = peak_span(setup.site.market, _counted_grid(setup, over), windows)
            later = await source.fetch(grid.end + PUBLISHED_WITHIN, max(season.end, grid.end) + 2 * PUBLISHED_WITHIN)
            found += [fact for fact in later if isinstance(fact, SystemLoad)]
    if not any(o.reserve_products() for o in setup.book):
        found = [fact for fact in found if not isinstance(fact, ReservePrice)]
    return sorted(found, key=lambda fact: fact.known_at)


def _counted_grid(setup: Setup, over: Interval) -> Grid:
    return Grid.regular(over.start, over.end, setup.site.market.settlement_min)


def _final_prices(setup: Setup, known: FactBook, point: str, grid: Grid) -> Floats:
    """usd_per_mwh at a settlement point: the newest vintage in the archive, of the run that the market settles on."""
    published: Sequence[Price] = known.real_time(point, grid.over)
    if isinstance(setup.prices, ArchivePrices):
        published = Archive(setup.resolve(setup.prices.path)).final_prices(point, SETTLES_ON[setup.site.market], grid.over)
    return means_on(published, grid)


def _final_outlook(setup: Setup, known: FactBook, over: Interval, grid: Grid, prices: Mapping[str, Floats]) -> Outlook:
    def series(values: Floats, unit: str) -> Series:
        return Series(grid, values, unit)

    warm = [known.temperature(i.start) for i in grid.intervals]
    return Outlook(
        at=grid.start,
        grid=grid,
        energy={
            point: series(_held(values, partial(_nearest_price, setup, point, over)), "usd_per_mwh") for point, values in prices.items()
        },
        basis={point: (Basis.PUBLISHED,) * len(grid) for point in prices},
        hashprice=series(_hashprices(setup, known, grid), "usd_per_ph_day"),
        temperature_c=series(np.array([t.celsius if t else MILD_CELSIUS for t in warm]), "celsius"),
        peak_share=_peak_shares(setup, known, grid),
    )


def _disputed(setup: Setup, over: Interval) -> int:
    if not isinstance(setup.prices, ArchivePrices):
        return 0
    rows = Archive(setup.resolve(setup.prices.path)).read("price", setup.settlement_points, over, disputed=True)
    return int(rows["disputed"].sum())


def _nearest_price(setup: Setup, point: str, over: Interval) -> float:
    """The last final price at a settlement point in the year before a span, usd_per_mwh; where there is none, the first one in the year
    after it. Raises LookupError."""
    if isinstance(setup.prices, ArchivePrices):
        archive, settled = Archive(setup.resolve(setup.prices.path)), SETTLES_ON[setup.site.market]
        before = archive.final_prices(point, settled, Interval(over.start - NEAR, over.start))
        if found := before[-1:] or archive.final_prices(point, settled, Interval(over.end, over.end + NEAR))[:1]:
            return found[0].usd_per_mwh
    raise LookupError(
        f"no real-time price at {point} from {over.start:%Y-%m-%dT%H:%MZ} to {over.end:%Y-%m-%dT%H:%MZ}, nor within a year of it"
    )


def _held(values: Floats, otherwise: Callable[[], float]) -> Floats:
    """Values with gaps filled by the last one before, at the start by the first one after, and by `otherwise` where all are unknown."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.full(len(values), otherwise())
    return np.asarray(values[known[np.maximum(0, np.searchsorted(known, np.arange(len(values)), side="right") - 1)]])


def _hashprices(setup: Setup, known: FactBook, grid: Grid) -> Floats:
    """usd_per_ph_day before the pool's fee by the economics of the interval's own UTC day, else the newest known by then."""
    if isinstance(setup.hash, FixedHash):
        return np.full(len(grid), setup.hash.usd_per_ph_day)
    by_day = {}
    for over in grid.intervals:
        if (on := over.start.date()) not in by_day:
            by_day[on] = known.hashprice_on(on) or known.hashprice(over.start)
    if any(found is None for found in by_day.values()):
        first: datetime = next(over.start for over in grid.intervals if by_day[over.start.date()] is None)
        raise LookupError(f'no hashprice is known on {first:%Y-%m-%d}: import daily hash economics, or set [hash] source = "fixed"')
    return np.array([found.usd_per_ph_day if (found := by_day[over.start.date()]) else np.nan for over in grid.intervals])


def _peak_shares(setup: Setup, known: FactBook, grid: Grid) -> dict[PeakWindow, Series]:
    loads = newest(known.loads)
    return {window: coincident_peak_share(loads, grid, setup.site.market, window) for window in peak_windows(setup.book)}


def _billed_peak_shares(setup: Setup, known: FactBook, over: Interval) -> dict[PeakWindow, list[Decimal]]:
    loads, grid, market = newest(known.loads), _counted_grid(setup, over), setup.site.market
    return {window: known_peak_share(loads, grid, market, window) for window in peak_windows(setup.book)}
