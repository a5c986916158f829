"""ERCOT's dispatch and look-ahead runs: the prices of now and of the next 55 minutes, read within seconds of each run."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from markets import NotPublished, SourceError
from markets.factbook import day_ahead_point
from markets.facts import Fact, IndicativePrices, IndicativeReservePrices, PriceMarket
from markets.grid import Interval, Market
from markets.quarantine.plausible import PRICE_FLOOR, RESERVE_OVER_ENERGY, price_cap
from markets.sources.feed import Feed
from markets.sources.frame import FrameRow, Shape
from markets.sources.live import PublishedPrices

PRODUCTS = frozenset({"REGUP", "REGDN", "RRS", "ECRS", "NSPIN"})
RUN, STEP = PriceMarket.REAL_TIME_SCED, timedelta(minutes=5)
# A run begins every five minutes and its prices are posted within seconds: the list is read from then on until they are there.
POSTED = timedelta(seconds=5)
# Some runs are minutes late, and their prices are to be acted on within five seconds all the same. After two runs that never came the
# market is taken to be down.
PAUSE, GIVEN_UP_AFTER, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=10), timedelta(seconds=30)
AFTER_FAULT = timedelta(seconds=10)
WINDOW = timedelta(minutes=11)  # look-ahead runs posted within it are read; only the newest counts


class ErcotRunsSource:
    """Source "ercot-runs": energy and reserve prices of the dispatch (SCED) and look-ahead (RTD) runs; nothing settles on them.

    One request is one document, the price of now first, so that it can act before the rest is read. `next_request_at` says when the next
    one is due. Parameters as those of ErcotSource; `points` that are energy-weighted zones get the price of their zone.
    """

    name = "ercot-runs"
    synthetic = False

    def __init__(
        self, points: Sequence[str], clock_now: Callable[[], datetime], deadline_s: float = 30.0, *, env: Mapping[str, str] | None = None
    ) -> None:
        self.clock_now, self.feed = clock_now, Feed("markets.sources.ercot_child", deadline_s, env=env)
        self.published = PublishedPrices(keep=timedelta(hours=6))
        self._points = tuple(points)
        self._nodes = sorted({day_ahead_point(point) for point in points})
        self._newest: datetime | None = None
        self._began: datetime | None = None  # when the first run was asked for
        self._left: list[Callable[[datetime], Awaitable[list[Fact]]]] = []
        self._retry_at: datetime | None = None

    @property
    def findings(self) -> deque[str]:
        """What a person should look at, newest last; the reader may clear it."""
        return self.published.findings

    async def aclose(self) -> None:
        """Ends the child process."""
        await self.feed.aclose()

    def next_request_at(self, now: datetime) -> datetime:
        """When the next document is due: at once while parts of a run are unread, else when the next run's prices are expected."""
        if self._retry_at is not None:
            return self._retry_at
        if self._left:
            return now
        self._began = self._began or now
        due = self._newest + STEP + POSTED if self._newest is not None else self._began
        return max(due, now + (PAUSE if now - due < GIVEN_UP_AFTER else LONGEST_PAUSE))

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The next document's new facts, known at the instant they were found. Raises Unreachable or Refused."""
        self._retry_at = None
        try:
            if self._left:
                return await self._left.pop(0)(self.clock_now())
            facts = await self._dispatch_run()
        except NotPublished:
            return []
        except SourceError:
            self._retry_at = self.clock_now() + AFTER_FAULT
            raise
        if facts:
            self._left = [self._look_ahead, self._reserve_run, self._look_ahead_of_reserve]
        return facts

    async def _dispatch_run(self) -> list[Fact]:
        rows = await self._read("dispatch_run", self._energy_shape(), points=self._nodes)
        facts = self.published.new_prices(self._of_points(rows), RUN, self.name, self.clock_now())
        if facts:
            self._newest = max(fact.over.start for fact in facts)
        return [*facts]

    async def _look_ahead(self, now: datetime) -> list[Fact]:
        rows = self._of_points(await self._read("look_ahead", self._energy_shape(), points=self._nodes, **_around(now)))
        known_at, found = self.clock_now(), list[Fact]()
        for point in self._points:
            over, usd = _run([row for row in rows if row.point == point])
            found.append(IndicativePrices(source=self.name, known_at=known_at, point=point, over=over, usd_per_mwh=usd))
        return found

    async def _reserve_run(self, now: datetime) -> list[Fact]:
        rows = await self._read("reserve_run", _reserve_shape(now), **_around(now))
        return [*self.published.new_reserve_prices(rows, RUN.value, self.name, self.clock_now())]

    async def _look_ahead_of_reserve(self, now: datetime) -> list[Fact]:
        rows = await self._read("look_ahead_of_reserve", _reserve_shape(now), **_around(now))
        known_at, found = self.clock_now(), list[Fact]()
        for product in sorted(PRODUCTS):
            over, usd = _run([row for row in rows if row.point == product])
            found.append(IndicativeReservePrices(source=self.name, known_at=known_at, product=product, over=over, usd_per_mw_h=usd))
        return found

    async def _read(self, name: str, shape: Shape, **args: object) -> list[FrameRow]:
        return self.published.accept(await self.feed.ask(name, **args), shape, self.name)

    def _energy_shape(self) -> Shape:
        return Shape(frozenset(self._nodes), 300, PRICE_FLOOR[Market.ERCOT])

    def _of_points(self, rows: Sequence[FrameRow]) -> list[FrameRow]:
        """The rows by the site's own points: runs price a zone once, its settled price is weighted in two ways."""
        return [row._replace(point=point) for point in self._points for row in rows if row.point == day_ahead_point(point)]


def _run(rows: Sequence[FrameRow]) -> tuple[Interval, tuple[float, ...]]:
    """The span of a run's first steps without a gap, and their prices."""
    whole = [row for n, row in enumerate(rows) if row.start_s == rows[0].start_s + 300 * n]
    return Interval(whole[0].over.start, whole[-1].over.end), tuple(row.value for row in whole)


def _around(now: datetime) -> dict[str, str]:
    return {"start": (now - WINDOW).isoformat(), "end": (now + STEP).isoformat()}


def _reserve_shape(now: datetime) -> Shape:
    return Shape(PRODUCTS, 300, 0.0, RESERVE_OVER_ENERGY * price_cap(Market.ERCOT, int(now.timestamp())))
