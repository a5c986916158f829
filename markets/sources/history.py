"""Past prices of a market, asked of its feed's child process day by day and imported into an archive as gridstatus's tables.

A day that the archive has in full is not asked for again, so that a fetch that was cut off goes on where it was. A day that is asked for
again and comes with other prices keeps both: ERCOT's later ones are corrections, known from the instant they were fetched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from markets import NotPublished
from markets.archive.archive import Archive
from markets.facts import PriceMarket
from markets.grid import Grid, Interval, Market, OperatingDay
from markets.sources.feed import Feed

CHILDREN = {Market.ERCOT: "markets.sources.ercot_child", Market.MISO: "markets.sources.miso_child"}
REAL_TIME = {Market.ERCOT: PriceMarket.REAL_TIME_15_MIN, Market.MISO: PriceMarket.REAL_TIME_5_MIN}
DAY_AHEAD = PriceMarket.DAY_AHEAD_HOURLY
ANSWER_S = 600.0  # a week of MISO's five-minute prices is one large file
FINAL_AFTER = timedelta(days=14)  # MISO's final five-minute prices of a week are in the file of the Monday two weeks after it began
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FetchedDay:
    """What came of one operating day and run: facts that were new, later prices among them, or why there are none (`missing`)."""

    on: date
    market: PriceMarket
    facts: int = 0
    corrected: int = 0
    missing: str = ""
    findings: tuple[str, ...] = ()


class History:
    """Fetches prices of points of a market into an archive; `again` also those of days that it has. `now` gives the present instant."""

    def __init__(
        self, feed: Feed, archive: Archive, market: Market, points: Sequence[str], now: Callable[[], datetime], *, again: bool = False
    ) -> None:
        self._feed, self._archive, self._market, self._points = feed, archive, market, list(points)
        self._now, self._again = now, again
        self._weeks: dict[date, list[list[Any]]] = {}

    async def fetch(self, on: date) -> list[FetchedDay]:
        """The real-time and day-ahead prices of an operating day; nothing for a run that the archive has in full. Raises Unreachable and
        Refused."""
        day, found = OperatingDay(self._market, on), []
        for market, minutes in ((REAL_TIME[self._market], self._market.settlement_min), (DAY_AHEAD, 60)):
            lacking = [point for point in self._points if self._again or not self._has(point, market, day.grid(minutes))]
            if not lacking:
                continue
            try:
                rows = await (self._day_ahead(day, lacking) if market is DAY_AHEAD else self._real_time(day, lacking))
            except NotPublished as fault:
                found.append(FetchedDay(on, market, missing=str(fault)))
                continue
            found.append(self._imported(on, market, rows))
        return found

    def _has(self, point: str, market: PriceMarket, grid: Grid) -> bool:
        held = self._archive.final_prices(point, [market], grid.over)
        return len({price.over.start for price in held if grid.start <= price.over.start < grid.end}) >= len(grid)

    async def _real_time(self, day: OperatingDay, points: Sequence[str]) -> list[list[Any]]:
        if self._market is Market.ERCOT:
            return await self._feed.ask("real_time", points=points, start=day.start.isoformat(), end=day.end.isoformat())
        monday = day.on - timedelta(days=day.on.weekday())
        if monday not in self._weeks:
            file = (monday + FINAL_AFTER).isoformat()
            self._weeks[monday] = await self._feed.ask("real_time_final", points=self._points, published_on=file)
        first, last = day.start.timestamp(), day.end.timestamp()
        return [row for row in self._weeks[monday] if first <= row[0] < last and row[2] in points]

    async def _day_ahead(self, day: OperatingDay, points: Sequence[str]) -> list[list[Any]]:
        return await self._feed.ask("day_ahead", points=points, day=day.on.isoformat())

    def _imported(self, on: date, market: PriceMarket, rows: Sequence[Sequence[Any]]) -> FetchedDay:
        """Import rows [start_s, end_s, point, value]: new ones as they are, later values of known ones as corrections."""
        if not rows:
            return FetchedDay(on, market, missing="no price of these points")
        fresh, later = [], []
        served = self._served(market, rows)
        for start_s, end_s, point, usd in rows:
            over = f"{_text(start_s)},{_text(end_s)},{point}"
            known = served.get((point, int(start_s)))
            if known is not None and known != round(usd, 2) and self._market is Market.ERCOT:
                later.append(f"{self._now().astimezone(UTC).isoformat()},{over},{known},{usd}")
            else:
                fresh.append(f"{over},{market.value},{usd}")
        head = "Interval Start,Interval End,Location"
        tables = [(f"{head},Market,SPP", fresh), (f"Price Correction Time,{head},SPP Original,SPP Corrected", later)]
        facts, findings = 0, list[str]()
        for columns, lines in tables:
            if lines:
                report = self._import(columns, lines)
                facts, findings = facts + report[0], [*findings, *report[1]]
        return FetchedDay(on, market, facts, len(later), "", tuple(findings))

    def _served(self, market: PriceMarket, rows: Sequence[Sequence[Any]]) -> dict[tuple[str, int], float]:
        """The newest value the archive has, by point and start."""
        over = Interval(_at(min(row[0] for row in rows)), _at(max(row[1] for row in rows)))
        points = {str(row[2]) for row in rows}
        held = [price for point in sorted(points) for price in self._archive.final_prices(point, [market], over)]
        return {(price.point, int(price.over.start.timestamp())): price.usd_per_mwh for price in held}

    def _import(self, columns: str, lines: Iterable[str]) -> tuple[int, tuple[str, ...]]:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "gridstatus.csv"
            table.write_text("\n".join([columns, *lines, ""]), "utf-8")
            report = self._archive.import_file(table, market=self._market)
        return report.facts, report.findings


def days_between(market: Market, over: Interval) -> list[date]:
    """The operating days that touch a span."""
    first, last = OperatingDay.of(market, over.start).on, OperatingDay.of(market, over.end - timedelta(seconds=1)).on
    return [first + n * DAY for n in range((last - first).days + 1)]


def _at(stamp_s: float) -> datetime:
    return datetime.fromtimestamp(stamp_s, UTC)


def _text(stamp_s: float) -> str:
    return _at(stamp_s).isoformat()
