"""What live market sources share: which prices were published already, periodic fetches, and the rule when two sources disagree."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from markets import NotPublished, SourceError, Stale
from markets.facts import STALE_AFTER, Fact, LoadForecast, Price, PriceMarket, ReservePrice, SystemLoad
from markets.grid import Market, OperatingDay
from markets.quarantine.plausible import PRICE_FLOOR
from markets.sources.feed import Feed
from markets.sources.frame import FrameRow, ImplausiblePrice, Shape, accept

_SAME_USD = 0.005  # prices are published to the cent
_IMPLAUSIBLE_KEPT = 1000
CORRECTION = "-correction"  # ends the source name of a market's own corrections


@dataclass
class _Published:
    """The price of one point and interval: the value in use, what each source gave, and whether the market corrected it."""

    usd_per_mwh: float
    by_source: dict[str, float]
    corrected: bool = False


class PublishedPrices:
    """The prices a source has given so far. A repeated price is dropped, a changed one becomes a new vintage, and a price on which two
    sources disagree becomes a finding: the first one stays in use. `keep`: how far back prices are compared."""

    def __init__(self, keep: timedelta = timedelta(days=9)) -> None:
        self._keep = keep
        self._prices: dict[tuple[PriceMarket, int, str], _Published] = {}
        self._implausible: dict[str, dict[tuple[int, str], float]] = {}
        self._reserves: dict[tuple[str, int, str], float] = {}
        self.findings: deque[str] = deque(maxlen=500)

    def knows(self, market: PriceMarket, start_s: int, points: Iterable[str], source: str | None = None) -> bool:
        """Whether the price of the interval that starts at `start_s` is known at every point, from `source` when given."""
        prices = (self._prices.get((market, start_s, point)) for point in points)
        return all(price is not None and (source is None or source in price.by_source) for price in prices)

    def accept(self, raw: Sequence[object], shape: Shape, source: str) -> list[FrameRow]:
        """`frame.accept`; an implausible price is accepted when another source gave the same one. Raises Refused."""
        confirmed = {key: value for other, rows in self._implausible.items() if other != source for key, value in rows.items()}
        try:
            return accept(raw, shape, confirmed)
        except ImplausiblePrice as fault:
            kept = self._implausible.setdefault(source, {})
            kept.update({(row.start_s, row.point): row.value for row in fault.rows})
            while len(kept) > _IMPLAUSIBLE_KEPT:
                kept.pop(next(iter(kept)))
            raise

    def new_prices(
        self, rows: Iterable[FrameRow], market: PriceMarket, source: str, known_at: datetime, *, corrects: bool = False
    ) -> list[Price]:
        """The rows that are new or changed, as facts. `corrects` when the rows are the market's own corrections."""
        new = [row for row in rows if self._is_new(row, market, source, corrects)]
        return [
            Price(source=source, known_at=known_at, point=row.point, market=market, over=row.over, usd_per_mwh=row.value) for row in new
        ]

    def new_reserve_prices(self, rows: Iterable[FrameRow], market: str, source: str, known_at: datetime) -> list[ReservePrice]:
        """The rows that are new or changed, as facts; a row's point is the reserve product."""
        new = [row for row in rows if self._reserves.get((market, row.start_s, row.point)) != row.value]
        self._reserves.update({(market, row.start_s, row.point): row.value for row in new})
        return [
            ReservePrice(source=source, known_at=known_at, product=row.point, market=market, over=row.over, usd_per_mw_h=row.value)
            for row in new
        ]

    def restore(self, prices: Iterable[Price | ReservePrice]) -> None:
        """Restores what was known before a restart, given in order of `known_at`: the newest vintage stays in use."""
        for price in prices:
            if isinstance(price, ReservePrice):
                self._reserves[price.market, int(price.over.start.timestamp()), price.product] = price.usd_per_mw_h
                continue
            key = (price.market, int(price.over.start.timestamp()), price.point)
            published = self._prices.setdefault(key, _Published(price.usd_per_mwh, {}))
            published.usd_per_mwh = price.usd_per_mwh
            published.corrected = published.corrected or price.source.endswith(CORRECTION)
            published.by_source[price.source] = price.usd_per_mwh

    def drop_old(self, now: datetime) -> None:
        """Drops prices of intervals that started longer ago than `keep`, so that memory stays bounded."""
        oldest = (now - self._keep).timestamp()
        self._prices = {key: price for key, price in self._prices.items() if key[1] >= oldest}
        self._reserves = {key: value for key, value in self._reserves.items() if key[1] >= oldest}

    def _is_new(self, row: FrameRow, market: PriceMarket, source: str, corrects: bool) -> bool:
        price = self._prices.setdefault((market, row.start_s, row.point), _Published(row.value, {}))
        first, before = not price.by_source, price.by_source.get(source)
        price.by_source[source] = row.value
        if first or abs(price.usd_per_mwh - row.value) < _SAME_USD:
            price.corrected |= corrects
            return first
        if before is not None and abs(before - row.value) < _SAME_USD:
            return False
        if price.corrected and before is None and not corrects:
            return False  # a document from before its correction
        what = f"{row.point} {market} at {datetime.fromtimestamp(row.start_s, UTC):%Y-%m-%dT%H:%MZ}"
        if before is None and not corrects:
            others = ", ".join(sorted(set(price.by_source) - {source}))
            self.findings.append(f"{what}: {source} gives {row.value:.2f}, {others} gave {price.usd_per_mwh:.2f}; the first stays in use")
            return False
        self.findings.append(f"{what}: {source} changes {price.usd_per_mwh:.2f} to {row.value:.2f}")
        price.usd_per_mwh, price.corrected = row.value, price.corrected or corrects
        return True


@dataclass
class PeriodicFetch:
    """A document that is fetched every so often. After a failure the next try is due after `retry`, and after twice as long for each
    further failure, but never later than `every`."""

    name: str
    fetch: Callable[[datetime], Awaitable[list[Fact]]]
    every: timedelta
    retry: timedelta = timedelta(minutes=2)
    due_at: datetime = field(default=datetime.min.replace(tzinfo=UTC))
    failures: int = 0

    async def run(self, now: datetime) -> list[Fact]:
        """Fetches and sets when the next fetch is due. Raises what `fetch` raises."""
        try:
            facts = await self.fetch(now)
        except NotPublished:
            self.due_at = now + self.retry
            raise
        except SourceError:
            self.due_at = now + min(self.retry * 2 ** min(self.failures, 8), max(self.every, self.retry))
            self.failures += 1
            raise
        self.due_at, self.failures = now + self.every, 0
        return facts


class LiveSource:
    """A market read as it publishes: real-time prices at each fetch, everything else by periodic fetches in the background.

    `fetch` never waits for a periodic fetch, except the first time, and then for at most one deadline. A failure to read real-time prices
    is raised when there is nothing else to return; failures of periodic fetches, disagreements and changed prices are texts in `findings`.
    """

    synthetic = False

    def __init__(self, name: str, points: Sequence[str], clock_now: Callable[[], datetime], feed: Feed, real_time: PriceMarket) -> None:
        self.name, self.points, self.clock_now, self.feed = name, tuple(points), clock_now, feed
        self.published = PublishedPrices()
        self.periodic: list[PeriodicFetch] = []
        self._real_time = real_time
        self._pending: list[Fact] = []
        self._newest_end: datetime | None = None
        self._background: asyncio.Task[None] | None = None
        self._first = True
        self._failing: set[str] = set()
        self._load_through_s = 0
        self._forecast: list[FrameRow] = []

    @property
    def findings(self) -> deque[str]:
        """What a person should look at, newest last; the reader may clear it."""
        return self.published.findings

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """New facts, known at the instant they were found. Raises Unreachable, Refused, NotPublished, or Stale when prices stopped
        coming."""
        now = self.clock_now()
        failure: SourceError | None = None
        try:
            await self.read_real_time(since, now)
        except SourceError as fault:
            failure = fault
        await self._run_periodic(now, waits=self._first and failure is None)
        self._first = False
        facts, self._pending = self._pending, []
        if not facts:
            self._raise_without_facts(failure, now)
        elif failure is not None:
            self.findings.append(str(failure))
        self.published.drop_old(now)
        return sorted(facts, key=lambda fact: fact.known_at)

    async def read_real_time(self, since: datetime, now: datetime) -> None:
        """Reads what the market's real-time run has published and hands it to `add_prices`. Raises SourceError."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Ends the child process and the fetches in the background."""
        if self._background is not None:
            self._background.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._background
        await self.feed.aclose()

    def add_prices(self, rows: Sequence[FrameRow], market: PriceMarket, source: str, *, corrects: bool = False) -> None:
        """Adds accepted rows; the new ones are returned by this fetch or the next."""
        self._pending += self.published.new_prices(rows, market, source, self.clock_now(), corrects=corrects)
        if market is self._real_time and rows and not corrects:
            end = max(row.over.end for row in rows)
            self._newest_end = max(end, self._newest_end or end)

    async def read_day_ahead(self, days: Iterable[OperatingDay], points: Sequence[str], market: Market) -> None:
        """Reads the day-ahead prices of the days that are not complete yet. Raises SourceError."""
        run = PriceMarket.DAY_AHEAD_HOURLY
        for day in days:
            grid = day.grid(60)
            if not all(self.published.knows(run, int(edge), points) for edge in grid.edges[:-1]):
                raw = await self.feed.ask("day_ahead", points=points, day=day.on.isoformat())
                shape = Shape(frozenset(points), 3600, PRICE_FLOOR[market], grid=grid, market=market)
                self.add_prices(self.published.accept(raw, shape, self.name), run, self.name)

    def new_loads(self, raw: Sequence[object], shape: Shape) -> list[Fact]:
        """The system load of intervals later than any returned before. Raises Refused."""
        rows = [row for row in accept(raw, shape) if row.start_s > self._load_through_s]
        self._load_through_s = max([self._load_through_s, *(row.start_s for row in rows)])
        known_at = self.clock_now()
        return [SystemLoad(source=self.name, known_at=known_at, over=row.over, load_mw=row.value) for row in rows]

    def new_load_forecast(self, raw: Sequence[object], shape: Shape) -> list[Fact]:
        """The forecast of the system load, if it changed since the last time. Raises Refused."""
        rows = accept(raw, shape)
        if rows == self._forecast:
            return []
        self._forecast = rows
        known_at = self.clock_now()
        return [LoadForecast(source=self.name, known_at=known_at, over=row.over, load_mw=row.value) for row in rows]

    def note_outcome(self, path: str, fault: SourceError | None) -> None:
        """Adds one finding when a way of reading the source starts to fail, and one when it recovers. NotPublished is no failure."""
        if fault is None and path in self._failing:
            self._failing.discard(path)
            self.findings.append(f"{self.name}: {path} recovered")
        elif fault is not None and not isinstance(fault, NotPublished) and path not in self._failing:
            self._failing.add(path)
            self.findings.append(f"{self.name}: {path} fails: {fault}")

    async def _run_periodic(self, now: datetime, *, waits: bool) -> None:
        """Starts the periodic fetches that are due, unless the ones before still run."""
        if self._background is None or self._background.done():
            due = [periodic for periodic in self.periodic if periodic.due_at <= now]
            self._background = asyncio.create_task(self._run(due, now)) if due else None
        if waits and self._background is not None:
            await asyncio.wait({self._background}, timeout=self.feed.deadline_s)

    async def _run(self, due: Sequence[PeriodicFetch], now: datetime) -> None:
        for periodic in due:
            try:
                self._pending += await periodic.run(now)
            except SourceError as fault:
                if periodic.failures == 1 and not isinstance(fault, NotPublished):  # once per outage
                    self.findings.append(f"{periodic.name}: {fault}")

    def _raise_without_facts(self, failure: SourceError | None, now: datetime) -> None:
        if failure is not None:
            raise failure
        if self._newest_end is not None and now - self._newest_end > STALE_AFTER[self.name]:
            age_min = (now - self._newest_end).total_seconds() / 60
            raise Stale(f"{self.name}: the newest real-time price ended {self._newest_end:%Y-%m-%dT%H:%MZ}, {age_min:.0f} min ago")
