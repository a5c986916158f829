"""What the live sources share: what was told already, errands that are due, and the rule when two sources disagree."""

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
from markets.sources.feed import Feed
from markets.sources.frame import PRICE_FLOOR, ImplausiblePrice, Row, Shape, accept

_REMEMBERED = timedelta(days=9)
_AGREES_USD = 0.005  # prices are published to the cent
CORRECTION = "-correction"  # ends the source name of a market's own corrections


@dataclass
class _Entry:
    value: float
    said: dict[str, float]
    corrected: bool = False


class PublishedPrices:
    """Which prices were told, by whom: a repeat is silent, a restatement a new vintage, a disagreement only a finding."""

    def __init__(self) -> None:
        self._entries: dict[tuple[PriceMarket, int, str], _Entry] = {}
        self._absurd: dict[str, dict[tuple[int, str], float]] = {}
        self._reserves: dict[tuple[str, int, str], float] = {}
        self.findings: deque[str] = deque(maxlen=500)

    def knows(self, market: PriceMarket, start_s: int, points: Iterable[str], source: str | None = None) -> bool:
        """Whether every point's price of the interval was told, by `source` when given."""
        entries = (self._entries.get((market, start_s, point)) for point in points)
        return all(entry is not None and (source is None or source in entry.said) for entry in entries)

    def accept(self, raw: Sequence[object], shape: Shape, source: str) -> list[Row]:
        """`frame.accept`, where an absurd price that another source gave too is believed. Raises Refused."""
        vouched = {key: value for other, rows in self._absurd.items() if other != source for key, value in rows.items()}
        try:
            return accept(raw, shape, vouched)
        except ImplausiblePrice as fault:
            held = self._absurd.setdefault(source, {})
            held.update({(row.start_s, row.point): row.value for row in fault.rows})
            while len(held) > 1000:
                held.pop(next(iter(held)))
            raise

    def news(self, rows: Iterable[Row], market: PriceMarket, source: str, known_at: datetime, *, corrects: bool = False) -> list[Price]:
        """The facts of `rows` that nobody told before; `corrects` when the rows are the market's own corrections."""
        new = [row for row in rows if self._is_news(row, market, source, corrects)]
        return [
            Price(source=source, known_at=known_at, point=row.point, market=market, over=row.over, usd_per_mwh=row.value) for row in new
        ]

    def reserve_news(self, rows: Iterable[Row], market: str, source: str, known_at: datetime) -> list[ReservePrice]:
        """The reserve prices of `rows` that nobody told before, or told otherwise: a new vintage."""
        new = [row for row in rows if self._reserves.get((market, row.start_s, row.point)) != row.value]
        self._reserves.update({(market, row.start_s, row.point): row.value for row in new})
        return [
            ReservePrice(source=source, known_at=known_at, product=row.point, market=market, over=row.over, usd_per_mw_h=row.value)
            for row in new
        ]

    def remember(self, prices: Iterable[Price | ReservePrice]) -> None:
        """Takes what was told before a restart, in order of `known_at`: the newest vintage stays in use."""
        for price in prices:
            if isinstance(price, ReservePrice):
                self._reserves[price.market, int(price.over.start.timestamp()), price.product] = price.usd_per_mw_h
                continue
            key = (price.market, int(price.over.start.timestamp()), price.point)
            entry = self._entries.setdefault(key, _Entry(price.usd_per_mwh, {}))
            entry.value, entry.corrected = price.usd_per_mwh, entry.corrected or price.source.endswith(CORRECTION)
            entry.said[price.source] = price.usd_per_mwh

    def forget(self, now: datetime) -> None:
        """Drops what is older than nine days, so that memory stays bounded."""
        oldest = (now - _REMEMBERED).timestamp()
        self._entries = {key: entry for key, entry in self._entries.items() if key[1] >= oldest}
        self._reserves = {key: value for key, value in self._reserves.items() if key[1] >= oldest}

    def _is_news(self, row: Row, market: PriceMarket, source: str, corrects: bool) -> bool:
        entry = self._entries.setdefault((market, row.start_s, row.point), _Entry(row.value, {}))
        first, before = not entry.said, entry.said.get(source)
        entry.said[source] = row.value
        if first or abs(entry.value - row.value) < _AGREES_USD:
            entry.corrected |= corrects
            return first
        if before is not None and abs(before - row.value) < _AGREES_USD:
            return False
        if entry.corrected and before is None and not corrects:
            return False  # a document from before its correction
        what = f"{row.point} {market} at {datetime.fromtimestamp(row.start_s, UTC):%Y-%m-%dT%H:%MZ}"
        if before is None and not corrects:
            others = ", ".join(sorted(set(entry.said) - {source}))
            self.findings.append(f"{what}: {source} says {row.value:.2f}, {others} said {entry.value:.2f}; the first stays in use")
            return False
        self.findings.append(f"{what}: {source} restates {entry.value:.2f} as {row.value:.2f}")
        entry.value, entry.corrected = row.value, entry.corrected or corrects
        return True


@dataclass
class PeriodicFetch:
    """Something asked for now and then. After a failure it waits `retry`, twice as long after each further one, at most `every`."""

    name: str
    fetch: Callable[[datetime], Awaitable[list[Fact]]]
    every: timedelta
    retry: timedelta = timedelta(minutes=2)
    due_at: datetime = field(default=datetime.min.replace(tzinfo=UTC))
    failures: int = 0

    async def run(self, now: datetime) -> list[Fact]:
        """Raises what `fetch` raises; either way the next due time is set."""
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
    """A market read as it publishes: real-time prices at each fetch, everything else as errands beside it.

    A fetch never waits for an errand, the first one excepted, which waits for at most one deadline. Trouble with real-time prices
    raises when there is nothing else to give; trouble with errands, disagreements and restatements are texts in `findings`.
    """

    synthetic = False

    def __init__(self, name: str, points: Sequence[str], clock_now: Callable[[], datetime], feed: Feed, real_time: PriceMarket) -> None:
        self.name, self.points, self.clock_now, self.feed = name, tuple(points), clock_now, feed
        self.told = PublishedPrices()
        self.errands: list[PeriodicFetch] = []
        self._real_time = real_time
        self._found: list[Fact] = []
        self._newest_end: datetime | None = None
        self._beside: asyncio.Task[None] | None = None
        self._first = True
        self._down: set[str] = set()
        self._load_through_s = 0
        self._forecast: list[Row] = []

    @property
    def findings(self) -> deque[str]:
        """What a person should look at, newest last; the reader may clear it."""
        return self.told.findings

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """New facts, known when they were found. Raises Unreachable, Refused, NotPublished, or Stale when prices stopped coming."""
        now = self.clock_now()
        trouble: SourceError | None = None
        try:
            await self.read_real_time(since, now)
        except SourceError as fault:
            trouble = fault
        await self._errands_beside(now, waits=self._first and trouble is None)
        self._first = False
        facts, self._found = self._found, []
        if not facts:
            self._raise(trouble, now)
        elif trouble is not None:
            self.findings.append(str(trouble))
        self.told.forget(now)
        return sorted(facts, key=lambda fact: fact.known_at)

    async def read_real_time(self, since: datetime, now: datetime) -> None:
        """Reads what the market's real-time run has published and hands it to `tell`. Raises SourceError."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Ends the child and what runs beside."""
        if self._beside is not None:
            self._beside.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beside
        await self.feed.aclose()

    def tell(self, rows: Sequence[Row], market: PriceMarket, source: str, *, corrects: bool = False) -> None:
        """Takes accepted rows; what is news goes out with the next (or this) fetch."""
        self._found += self.told.news(rows, market, source, self.clock_now(), corrects=corrects)
        if market is self._real_time and rows and not corrects:
            end = max(row.over.end for row in rows)
            self._newest_end = max(end, self._newest_end or end)

    async def read_day_ahead(self, days: Iterable[OperatingDay], points: Sequence[str], market: Market) -> None:
        """The day-ahead prices of days that were not told whole yet. Raises SourceError."""
        run = PriceMarket.DAY_AHEAD_HOURLY
        for day in days:
            grid = day.grid(60)
            if not all(self.told.knows(run, int(edge), points) for edge in grid.edges[:-1]):
                raw = await self.feed.ask("day_ahead", points=points, day=day.on.isoformat())
                shape = Shape(frozenset(points), 3600, PRICE_FLOOR[market], whole=grid, market=market)
                self.tell(self.told.accept(raw, shape, self.name), run, self.name)

    def load_news(self, raw: Sequence[object], shape: Shape) -> list[Fact]:
        """The system load after what was told before. Raises Refused."""
        rows = [row for row in accept(raw, shape) if row.start_s > self._load_through_s]
        self._load_through_s = max([self._load_through_s, *(row.start_s for row in rows)])
        known_at = self.clock_now()
        return [SystemLoad(source=self.name, known_at=known_at, over=row.over, load_mw=row.value) for row in rows]

    def load_forecast_news(self, raw: Sequence[object], shape: Shape) -> list[Fact]:
        """The forecast of the system load, when it is another one. Raises Refused."""
        rows = accept(raw, shape)
        if rows == self._forecast:
            return []
        self._forecast = rows
        known_at = self.clock_now()
        return [LoadForecast(source=self.name, known_at=known_at, over=row.over, load_mw=row.value) for row in rows]

    def note(self, path: str, fault: SourceError | None) -> None:
        """One finding when a path of the source fails, one when it works again; early is no fault."""
        if fault is None and path in self._down:
            self._down.discard(path)
            self.findings.append(f"{self.name}: {path} answers again")
        elif fault is not None and not isinstance(fault, NotPublished) and path not in self._down:
            self._down.add(path)
            self.findings.append(f"{self.name}: {path} fails: {fault}")

    async def _errands_beside(self, now: datetime, *, waits: bool) -> None:
        if self._beside is None or self._beside.done():
            due = [errand for errand in self.errands if errand.due_at <= now]
            self._beside = asyncio.create_task(self._run(due, now)) if due else None
        if waits and self._beside is not None:
            await asyncio.wait({self._beside}, timeout=self.feed.deadline_s)

    async def _run(self, due: Sequence[PeriodicFetch], now: datetime) -> None:
        for errand in due:
            try:
                self._found += await errand.run(now)
            except SourceError as fault:
                if errand.failures == 1 and not isinstance(fault, NotPublished):  # once per outage; early is no fault
                    self.findings.append(f"{errand.name}: {fault}")

    def _raise(self, trouble: SourceError | None, now: datetime) -> None:
        if trouble is not None:
            raise trouble
        if self._newest_end is not None and now - self._newest_end > STALE_AFTER[self.name]:
            age_min = (now - self._newest_end).total_seconds() / 60
            raise Stale(f"{self.name}: the newest real-time price ended {self._newest_end:%Y-%m-%dT%H:%MZ}, {age_min:.0f} min ago")
