"""MISO: five-minute and day-ahead LMP, load and its forecast through gridstatus in a child process; EST all year."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from markets import NotPublished, Refused
from markets.facts import Fact, PriceMarket
from markets.grid import Market, OperatingDay
from markets.quarantine.plausible import PRICE_FLOOR
from markets.sources.feed import Feed
from markets.sources.frame import Shape
from markets.sources.live import CORRECTION, LiveSource, PeriodicFetch, PublishedPrices

RT, DA = PriceMarket.REAL_TIME_5_MIN, PriceMarket.DAY_AHEAD_HOURLY
# A file of final prices reaches back so far, the week before the newest one included; it holds every node and takes minutes to read.
FINAL_WITHIN = timedelta(days=23)
FINAL_DEADLINE_S = 240.0
BACKFILL = timedelta(hours=24)
_STEP = timedelta(minutes=5)
_MAX_LOAD_MW = 300_000.0


class MisoSource(LiveSource):
    """Source "miso": preliminary and final ex-post real-time LMP (5 min), ex-post day-ahead LMP, total load and its forecast.

    points      CPNode names, hubs for example "TEXAS.HUB"
    clock_now   the world's time, which is when everything found becomes known
    deadline_s  wall seconds that one request to gridstatus may take
    env         environment variables added for the child process (proxies, CA files)
    """

    def __init__(
        self,
        points: Sequence[str],
        clock_now: Callable[[], datetime],
        deadline_s: float = 30.0,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("miso", points, clock_now, Feed("markets.sources.miso_child", deadline_s, env=env), RT)
        self.published = PublishedPrices(keep=FINAL_WITHIN)
        self.final_feed = Feed("markets.sources.miso_child", FINAL_DEADLINE_S, env=env)
        self._finals_read: set[date] = set()
        self._read_at: datetime | None = None
        self._missed: list[date] = []
        self.periodic = [
            PeriodicFetch("MISO day-ahead prices", self._day_ahead, timedelta(minutes=5)),
            PeriodicFetch("MISO load", self._load, timedelta(minutes=5)),
            PeriodicFetch("MISO load forecast", self._load_forecast, timedelta(hours=1)),
            PeriodicFetch("MISO backfill", self._backfill, timedelta(0)),
            PeriodicFetch("MISO final prices", self._finals, timedelta(hours=6), retry=timedelta(hours=1)),
        ]

    async def aclose(self) -> None:
        """Ends both child processes and the fetches in the background."""
        await super().aclose()
        await self.final_feed.aclose()

    async def read_real_time(self, since: datetime, now: datetime) -> None:
        """Reads the newest interval; after a gap a periodic fetch reads the rest of the day. Raises SourceError."""
        due_s = int(now.timestamp()) // 300 * 300 - 300
        if self.published.knows(RT, due_s, self.points):
            return
        try:
            await self._read("latest")
        except (Refused, NotPublished):
            self._read_at = None  # the day's document may still be complete
            raise
        last = self._read_at or max(since, now - BACKFILL)
        if now - last > 2 * _STEP:
            first_day, today = OperatingDay.of(Market.MISO, last).on, OperatingDay.of(Market.MISO, now).on
            self._missed = [today - timedelta(days=1), today] if first_day != today else [today]
        self._read_at = now

    async def _read(self, of: str) -> None:
        raw = await self.feed.ask("real_time", points=self.points, of=of)
        self.add_prices(self.published.accept(raw, _prices(self.points, 300), self.name), RT, self.name)

    async def _backfill(self, now: datetime) -> list[Fact]:
        """Reads the days' documents after a start or a gap; the public feed keeps today and yesterday."""
        while self._missed:
            await self._read(self._missed[-1].isoformat())
            self._missed.pop()
        return []

    async def _finals(self, now: datetime) -> list[Fact]:
        """The final prices of the weeks whose files are out, the newest first: where one differs from the preliminary price, it is a new
        vintage, by which the day is settled again. Raises NotPublished when a file is late, until which it is asked for again."""
        late: NotPublished | None = None
        for monday in sorted(set(_final_files(now)) - self._finals_read, reverse=True):
            try:
                raw = await self.final_feed.ask("real_time_final", points=self.points, published_on=monday.isoformat())
            except NotPublished as fault:
                late = fault
                continue
            source = f"{self.name}{CORRECTION}"
            self.add_prices(self.published.accept(raw, _prices(self.points, 300), source), RT, source, corrects=True)
            self._finals_read.add(monday)
        if late is not None:
            raise late
        return []

    async def _day_ahead(self, now: datetime) -> list[Fact]:
        await self.read_day_ahead(_days(now), self.points, Market.MISO)
        return []

    async def _load(self, now: datetime) -> list[Fact]:
        return self.new_loads(await self.feed.ask("load"), Shape(frozenset({"MISO"}), 300, 1.0, _MAX_LOAD_MW))

    async def _load_forecast(self, now: datetime) -> list[Fact]:
        raw = await self.feed.ask("load_forecast", day=OperatingDay.of(Market.MISO, now).on.isoformat())
        return self.new_load_forecast(raw, Shape(frozenset({"MISO"}), 3600, 1.0, _MAX_LOAD_MW))


def _prices(points: Sequence[str], length_s: int) -> Shape:
    return Shape(frozenset(points), length_s, PRICE_FLOOR[Market.MISO], market=Market.MISO)


def _final_files(now: datetime) -> list[date]:
    """The Mondays of the two newest files of final prices: that of a Monday holds the week that began two weeks before (MISO market
    reports, Weekly Real-Time 5-Min LMP)."""
    today = OperatingDay.of(Market.MISO, now).on
    newest = today - timedelta(days=today.weekday())
    return [newest, newest - timedelta(days=7)]


def _days(now: datetime) -> list[OperatingDay]:
    """Today, and from 12:30 EST on tomorrow: day-ahead results are posted about 13:30 (BPM-002)."""
    today = OperatingDay.of(Market.MISO, now)
    local = now.astimezone(Market.MISO.tz)
    due = (local.hour, local.minute) >= (12, 30)
    return [today, OperatingDay(Market.MISO, today.on + timedelta(days=1))] if due else [today]
