"""MISO: five-minute and day-ahead LMP, load and its forecast through gridstatus in a child process; EST all year."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from markets import NotPublished, Refused
from markets.facts import Fact, LoadForecast, PriceMarket, SystemLoad
from markets.feed import Feed
from markets.frame import PRICE_FLOOR, Row, Shape, accept
from markets.grid import Market, OperatingDay
from markets.live import Errand, LiveSource

RT, DA = PriceMarket.REAL_TIME_5_MIN, PriceMarket.DAY_AHEAD_HOURLY
BACKFILL = timedelta(hours=24)
_STEP = timedelta(minutes=5)
_MAX_LOAD_MW = 300_000.0


class MisoSource(LiveSource):
    """Source "miso": preliminary ex-post real-time LMP (5 min), ex-post day-ahead LMP, total load and its forecast.

    points      CPNode names, hubs for example "TEXAS.HUB"
    clock_now   the world's time: everything found is known at that instant
    deadline_s  wall seconds a question to gridstatus may take
    env         more environment for the child (proxies, CA files)
    """

    def __init__(
        self,
        points: Sequence[str],
        clock_now: Callable[[], datetime],
        deadline_s: float = 30.0,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("miso", points, clock_now, Feed("markets.miso_child", deadline_s, env=env), RT)
        self._read_at: datetime | None = None
        self._missed: list[date] = []
        self._load_through_s = 0
        self._forecast: list[Row] = []
        self.errands = [
            Errand("MISO day-ahead prices", self._day_ahead, timedelta(minutes=5)),
            Errand("MISO load", self._load, timedelta(minutes=5)),
            Errand("MISO load forecast", self._load_forecast, timedelta(hours=1)),
            Errand("MISO backfill", self._backfill, timedelta(0)),
        ]

    async def read_real_time(self, since: datetime, now: datetime) -> None:
        """The newest interval; the rest of the day is an errand after a gap. Raises SourceError."""
        due_s = int(now.timestamp()) // 300 * 300 - 300
        if self.told.knows(RT, due_s, self.points):
            return
        try:
            await self._read("latest")
        except (Refused, NotPublished):
            self._read_at = None  # the day's document may still be whole
            raise
        last = self._read_at or max(since, now - BACKFILL)
        if now - last > 2 * _STEP:
            first_day, today = OperatingDay.of(Market.MISO, last).on, OperatingDay.of(Market.MISO, now).on
            self._missed = [today - timedelta(days=1), today] if first_day != today else [today]
        self._read_at = now

    async def _read(self, of: str) -> None:
        raw = await self.feed.ask("real_time", points=self.points, of=of)
        self.tell(self.told.accept(raw, _prices(self.points, 300), self.name), RT, self.name)

    async def _backfill(self, now: datetime) -> list[Fact]:
        """The days' documents after a start or a gap; the public feed keeps today and yesterday."""
        while self._missed:
            await self._read(self._missed[-1].isoformat())
            self._missed.pop()
        return []

    async def _day_ahead(self, now: datetime) -> list[Fact]:
        for day in _days(now):
            if not all(self.told.knows(DA, int(edge), self.points) for edge in day.grid(60).edges[:-1]):
                raw = await self.feed.ask("day_ahead", points=self.points, day=day.on.isoformat())
                self.tell(self.told.accept(raw, _prices(self.points, 3600, day), self.name), DA, self.name)
        return []

    async def _load(self, now: datetime) -> list[Fact]:
        raw = await self.feed.ask("load")
        rows = [row for row in accept(raw, Shape(frozenset({"MISO"}), 300, 1.0, _MAX_LOAD_MW)) if row.start_s > self._load_through_s]
        self._load_through_s = max([self._load_through_s, *(row.start_s for row in rows)])
        known_at = self.clock_now()
        return [SystemLoad(source=self.name, known_at=known_at, over=row.over, load_mw=row.value) for row in rows]

    async def _load_forecast(self, now: datetime) -> list[Fact]:
        day = OperatingDay.of(Market.MISO, now)
        rows = accept(await self.feed.ask("load_forecast", day=day.on.isoformat()), Shape(frozenset({"MISO"}), 3600, 1.0, _MAX_LOAD_MW))
        if rows == self._forecast:
            return []
        self._forecast = rows
        known_at = self.clock_now()
        return [LoadForecast(source=self.name, known_at=known_at, over=row.over, load_mw=row.value) for row in rows]


def _prices(points: Sequence[str], length_s: int, whole: OperatingDay | None = None) -> Shape:
    grid = whole.grid(length_s // 60) if whole else None
    return Shape(frozenset(points), length_s, PRICE_FLOOR[Market.MISO], whole=grid, market=Market.MISO)


def _days(now: datetime) -> list[OperatingDay]:
    """Today, and from 12:30 EST on tomorrow: day-ahead results are posted about 13:30 (BPM-002)."""
    today = OperatingDay.of(Market.MISO, now)
    local = now.astimezone(Market.MISO.tz)
    due = (local.hour, local.minute) >= (12, 30)
    return [today, OperatingDay(Market.MISO, today.on + timedelta(days=1))] if due else [today]
