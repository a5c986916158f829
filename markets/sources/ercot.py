"""ERCOT: prices, load and reserve prices through gridstatus in a child process, with the price dashboard as fast path and cross-check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

import httpx

from markets import NotPublished, SourceError
from markets.facts import Fact, PriceMarket
from markets.grid import Market, OperatingDay
from markets.quarantine.plausible import PRICE_FLOOR
from markets.sources import ercot_dashboard as dashboard
from markets.sources.feed import Feed
from markets.sources.frame import Shape, accept
from markets.sources.live import CORRECTION, LiveSource, PeriodicFetch

RT, DA = PriceMarket.REAL_TIME_15_MIN, PriceMarket.DAY_AHEAD_HOURLY
PRODUCTS = frozenset({"REGUP", "REGDN", "RRS", "ECRS", "NSPIN"})
# The first pass of the fall-back hour is labelled an hour late (gridstatus localises it as standard time): read two hours more on both
# sides.
WINDOW = timedelta(hours=2)
CHUNK = timedelta(hours=6)
BACKFILL = timedelta(hours=24)
RETENTION = timedelta(days=5)
_POSTED = timedelta(seconds=60)  # a quarter hour is posted about 2 minutes after its end; reading starts after one
_MAX_LOAD_MW = 250_000.0


class ErcotSource(LiveSource):
    """Source "ercot": real-time (15 min) and day-ahead prices of `points`, reserve prices of both, system load, its forecast, corrections.

    points         settlement points; LZ_x_EW is the energy-weighted zone, whose day-ahead price is LZ_x
    clock_now      the world's time, which is when everything found becomes known
    deadline_s     wall seconds that one request to gridstatus may take
    dashboard_url  None to read without the dashboard
    env            environment variables added for the child process (proxies, CA files)
    """

    def __init__(
        self,
        points: Sequence[str],
        clock_now: Callable[[], datetime],
        deadline_s: float = 30.0,
        *,
        dashboard_url: str | None = dashboard.URL,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("ercot", points, clock_now, Feed("markets.sources.ercot_child", deadline_s, env=env), RT)
        self._dashboard_url = dashboard_url
        self._client: httpx.AsyncClient | None = None
        self._dashboard_points = frozenset(points) & dashboard.POINTS if dashboard_url else frozenset()
        self._gridstatus: asyncio.Task[None] | None = None
        self._gridstatus_fault: SourceError | None = None
        self._read_at: datetime | None = None
        self._unread: list[tuple[datetime, datetime]] = []
        self._da_points = sorted({point.removesuffix("_EW") for point in points})
        self._reserve_days: set[date] = set()
        self.periodic = [
            PeriodicFetch("ERCOT day-ahead prices", self._day_ahead, timedelta(minutes=5)),
            PeriodicFetch("ERCOT DAM reserve prices", self._reserve, timedelta(minutes=10)),
            PeriodicFetch("ERCOT real-time reserve prices", self._real_time_reserve, timedelta(minutes=5)),
            PeriodicFetch("ERCOT system load", self._load, timedelta(minutes=15)),
            PeriodicFetch("ERCOT system load of today", self._load_of_today, timedelta(minutes=5)),
            PeriodicFetch("ERCOT load forecast", self._load_forecast, timedelta(hours=1)),
            PeriodicFetch("ERCOT price corrections", self._corrections, timedelta(minutes=30)),
            PeriodicFetch("ERCOT backfill", self._backfill, timedelta(0)),
        ]

    async def aclose(self) -> None:
        """Ends the child process, the fetches in the background and the connection to the dashboard."""
        if self._gridstatus is not None:
            self._gridstatus.cancel()
            await asyncio.gather(self._gridstatus, return_exceptions=True)
        await super().aclose()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # real time

    async def read_real_time(self, since: datetime, now: datetime) -> None:
        """Reads the dashboard, and gridstatus in the background; waits for gridstatus when the dashboard failed or lacks a point. Raises
        SourceError."""
        due_s = int((now - _POSTED).timestamp()) // 900 * 900 - 900
        self._start_gridstatus(since, now, due_s)
        dashboard_fault = await self._read_dashboard(due_s)
        if self._gridstatus is not None and not self.published.knows(RT, due_s, self.points):
            await asyncio.wait({self._gridstatus})
        if self.published.knows(RT, due_s, self.points):
            return
        needs_gridstatus = dashboard_fault is not None or set(self.points) - self._dashboard_points
        fault = self._gridstatus_fault if needs_gridstatus else None
        if fault is not None and not isinstance(fault, NotPublished):
            raise fault

    async def _read_dashboard(self, due_s: int) -> SourceError | None:
        if not self._dashboard_points or self.published.knows(RT, due_s, self._dashboard_points, dashboard.SOURCE):
            return None
        self._client = self._client or httpx.AsyncClient(follow_redirects=True)
        try:
            tables = await dashboard.read(self._client, self._dashboard_url or dashboard.URL)
            shape = _prices(self._dashboard_points, 900)
            real_time = self.published.accept(tables.real_time, shape, dashboard.SOURCE)
            day_ahead = accept(tables.day_ahead, _prices(self._dashboard_points, 3600)) if tables.day_ahead else []
        except SourceError as fault:
            self.note_outcome("dashboard", fault)
            return fault
        self.note_outcome("dashboard", None)
        self.add_prices(real_time, RT, dashboard.SOURCE)
        self.add_prices(day_ahead, DA, dashboard.SOURCE)
        return None

    def _start_gridstatus(self, since: datetime, now: datetime, due_s: int) -> None:
        if (self._gridstatus is None or self._gridstatus.done()) and not self.published.knows(RT, due_s, self.points, self.name):
            self._gridstatus = asyncio.create_task(self._read_gridstatus(since, now))

    async def _read_gridstatus(self, since: datetime, now: datetime) -> None:
        last = self._read_at or max(since, now - BACKFILL)
        start = max(min(last, now) - WINDOW, now - CHUNK)
        try:
            await self._read_window(start, now + WINDOW)
        except SourceError as fault:
            self._gridstatus_fault = fault
            self.note_outcome("gridstatus", fault)
            return
        self._gridstatus_fault = None
        self.note_outcome("gridstatus", None)
        if last < start:
            self._unread.append((max(last, now - RETENTION), start))
        self._read_at = now

    async def _read_window(self, start: datetime, end: datetime) -> None:
        raw = await self.feed.ask("real_time", points=self.points, start=start.isoformat(), end=end.isoformat())
        self.add_prices(self.published.accept(raw, _prices(self.points, 900), self.name), RT, self.name)

    async def _backfill(self, now: datetime) -> list[Fact]:
        """Reads one stretch of the real-time prices missed while the site was down, newest first; six hours are 24 documents."""
        if self._unread:
            start, end = self._unread[-1]
            cut = max(start, end - CHUNK)
            try:
                await self._read_window(cut, end)
            except NotPublished:
                self.findings.append(f"ERCOT real-time prices {cut:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ} are no longer published")
            self._unread.pop()
            if start < cut:
                self._unread.append((start, cut))
        return []

    # periodic fetches

    async def _day_ahead(self, now: datetime) -> list[Fact]:
        await self.read_day_ahead(_days(now), self._da_points, Market.ERCOT)
        return []

    async def _reserve(self, now: datetime) -> list[Fact]:
        for day in _days(now):
            if day.on not in self._reserve_days:
                raw = await self.feed.ask("reserve", day=day.on.isoformat())
                rows = accept(raw, Shape(PRODUCTS, 3600, 0.0, grid=day.grid(60)))
                self._reserve_days = {on for on in self._reserve_days if on >= day.on - timedelta(days=3)} | {day.on}
                self._pending += self.published.new_reserve_prices(rows, "DAM", self.name, self.clock_now())
        return []

    async def _real_time_reserve(self, now: datetime) -> list[Fact]:
        """New prices of the last hours; a price posted again with another figure is a new vintage."""
        raw = await self.feed.ask("real_time_reserve", start=(now - CHUNK).isoformat(), end=(now + WINDOW).isoformat())
        return [*self.published.new_reserve_prices(accept(raw, Shape(PRODUCTS, 900, 0.0)), RT.value, self.name, self.clock_now())]

    async def _load(self, now: datetime) -> list[Fact]:
        raw = await self.feed.ask("load", start=(now - timedelta(hours=4)).isoformat(), end=now.isoformat())
        return self.new_loads(raw, Shape(frozenset({"ERCOT"}), 900, 1.0, _MAX_LOAD_MW))

    async def _load_of_today(self, now: datetime) -> list[Fact]:
        """Quarter hours minutes after their end, an hour before the settlement-quality document has them."""
        return self.new_loads(await self.feed.ask("load_of_today"), Shape(frozenset({"ERCOT"}), 900, 1.0, _MAX_LOAD_MW))

    async def _load_forecast(self, now: datetime) -> list[Fact]:
        return self.new_load_forecast(await self.feed.ask("load_forecast"), Shape(frozenset({"ERCOT"}), 3600, 1.0, _MAX_LOAD_MW))

    async def _corrections(self, now: datetime) -> list[Fact]:
        """ERCOT's corrections of the last days (Protocols 6.3, 4.5.3): each a new fact of today's vintage."""
        after, corrector = (now - timedelta(days=3)).isoformat(), f"{self.name}{CORRECTION}"
        for market, length_s, points in ((RT, 900, self.points), (DA, 3600, tuple(self._da_points))):
            try:
                raw = await self.feed.ask("corrections", market=market.value, points=points, after=after)
            except NotPublished:
                continue  # no corrections: the usual case
            for point in points:  # a correction names only what it corrects
                if rows := [row for row in raw if row[2] == point]:
                    shape = _prices([point], length_s)
                    self.add_prices(self.published.accept(rows, shape, corrector), market, corrector, corrects=True)
        return []


def _prices(points: Sequence[str] | frozenset[str], length_s: int) -> Shape:
    return Shape(frozenset(points), length_s, PRICE_FLOOR[Market.ERCOT])


def _days(now: datetime) -> list[OperatingDay]:
    """Today, and from noon on tomorrow: DAM results are posted from 12:30 Central on (Protocols 4.5.3)."""
    today = OperatingDay.of(Market.ERCOT, now)
    due = now.astimezone(Market.ERCOT.tz).hour >= 12
    return [today, OperatingDay(Market.ERCOT, today.on + timedelta(days=1))] if due else [today]
