"""ERCOT's dashboard as fast path, stand-in and cross-check of gridstatus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from markets import Refused, SourceError, Stale, Unreachable
from markets.facts import Fact, Price, PriceMarket
from markets.sources import ercot_dashboard as dashboard
from markets.sources.ercot import ErcotSource
from markets.sources.feed import Feed
from markets.sources.frame import Shape, accept
from tests.markets.sources.ercot_pages import ErcotPages, invented, quarters
from tests.markets.sources.ercot_pages import dashboard as document
from tests.markets.sources.tls import Reply, Web
from tests.realdata import real

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/api/1/services/read/dashboards/system-wide-prices.json"
DAY = date(2026, 8, 20)
NOON = datetime(2026, 8, 20, 17, tzinfo=UTC)  # 12:00 CDT
ALL = sorted(dashboard.POINTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feed(web: Web) -> AsyncIterator[Feed]:
    running = Feed("markets.sources.ercot_child", 30.0, env=web.env)
    yield running
    await running.aclose()


class Setting:
    """A source whose both paths lead to the loopback web, and the clock of it."""

    def __init__(self, web: Web, feed: Feed, points: Sequence[str]) -> None:
        self.pages, self.at = ErcotPages(), NOON + timedelta(minutes=2)
        web.route = self.pages.route
        self.source = ErcotSource(points, lambda: self.at)
        self.source.feed = feed
        self.source.periodic = []

    def board(self, starts: Sequence[datetime], **prices: float) -> None:
        def price(point: str, start: datetime) -> float:
            return prices.get(point, invented(point, start))

        self.pages.pages[PATH] = Reply(json.dumps(document(starts, DAY, ALL, price)).encode(), content_type="application/json")

    async def fetch(self) -> list[Price]:
        facts: Sequence[Fact] = await self.source.fetch(self.at - timedelta(minutes=1), self.at)
        return [fact for fact in facts if isinstance(fact, Price)]

    async def settled(self) -> list[Price]:
        """Lets what runs beside the fetch end, then fetches."""
        if self.source._gridstatus is not None:
            await asyncio.wait({self.source._gridstatus})
        return await self.fetch()


@pytest_asyncio.fixture(loop_scope="module")
async def setting(web: Web, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    for name, value in web.env.items():
        monkeypatch.setenv(name, value)
    made = Setting(web, feed, ["HB_WEST", "LZ_WEST"])
    yield made
    assert made.source._client is not None
    await made.source._client.aclose()


def rt(prices: Sequence[Price]) -> dict[tuple[str, datetime], float]:
    return {(p.point, p.over.start): p.usd_per_mwh for p in prices if p.market is PriceMarket.REAL_TIME_15_MIN}


async def test_the_dashboard_is_enough(setting: Setting) -> None:
    """Prices arrive at once while gridstatus has nothing but errors; that is one finding, not one a fetch."""
    starts = quarters(DAY)[:48]
    setting.pages.fault = lambda path: Reply(b"", 503) if "servlets" in path else None
    setting.board(starts)
    first = await setting.fetch()
    assert rt(first) == {(p, s): invented(p, s) for p in ("HB_WEST", "LZ_WEST") for s in starts}
    assert {price.source for price in first} == {"ercot-dashboard"}
    assert sum(price.market is PriceMarket.DAY_AHEAD_HOURLY for price in first) == 48
    assert await setting.settled() == []
    setting.at += timedelta(minutes=15)
    setting.board(quarters(DAY)[:49])
    assert set(rt(await setting.fetch())) == {(p, NOON) for p in ("HB_WEST", "LZ_WEST")}
    await setting.settled()
    assert [text for text in setting.source.findings if "gridstatus" in text] == [setting.source.findings[0]]


async def test_gridstatus_is_used_when_the_dashboard_fails(setting: Setting) -> None:
    starts = quarters(DAY)[44:48]
    setting.pages.post_real_time(starts, ["HB_WEST", "LZ_WEST"])
    setting.pages.pages[PATH] = Reply(b"<html>maintenance</html>", content_type="text/html")
    found = await setting.fetch()
    assert rt(found) == {(p, s): invented(p, s) for p in ("HB_WEST", "LZ_WEST") for s in starts}
    assert {price.source for price in found} == {"ercot"}
    assert "dashboard fails" in setting.source.findings[0]
    setting.board(starts)
    setting.at += timedelta(minutes=15)
    await setting.fetch()
    assert "dashboard recovered" in setting.source.findings[-1]


async def test_when_both_fail_the_fetch_raises(setting: Setting) -> None:
    setting.pages.fault = lambda path: Reply(b"", 503)
    with pytest.raises(Unreachable):
        await setting.fetch()


async def test_disagreement_is_a_finding_and_overwrites_nothing(setting: Setting) -> None:
    starts = quarters(DAY)[46:48]
    setting.board(starts, HB_WEST=30.0)
    assert set(rt(await setting.fetch()).values()) >= {30.0}
    setting.pages.post_real_time(starts, ["HB_WEST", "LZ_WEST"], lambda point, at: 31.0 if point == "HB_WEST" else invented(point, at))
    setting.at += timedelta(minutes=1)
    for _ in range(3):  # the cross-check started before, the one started now, and what it found
        assert rt(await setting.settled()) == {}
    disagreements = [text for text in setting.source.findings if "HB_WEST" in text]
    assert len(disagreements) == 2
    assert "ercot gives 31.00, ercot-dashboard gave 30.00" in disagreements[0]


async def test_a_changed_price_is_a_new_vintage(setting: Setting) -> None:
    setting.pages.fault = lambda path: Reply(b"", 503) if "servlets" in path else None
    setting.board(quarters(DAY)[:48])
    await setting.fetch()
    setting.at += timedelta(minutes=15)
    setting.board(quarters(DAY)[:49], HB_WEST=30.0)
    again = [price for price in await setting.fetch() if price.point == "HB_WEST" and price.market is PriceMarket.REAL_TIME_15_MIN]
    assert len(again) == 49
    assert {price.usd_per_mwh for price in again} == {30.0}
    assert {price.known_at for price in again} == {setting.at}


async def test_an_implausible_price_needs_a_second_source(setting: Setting) -> None:
    start = quarters(DAY)[47]
    setting.board([start], HB_WEST=9_000.0)
    with pytest.raises(Refused, match="outside what the market"):
        setting.pages.post_real_time([start], ["HB_WEST", "LZ_WEST"], lambda point, at: 9_100.0 if point == "HB_WEST" else 30.0)
        await setting.fetch()
    setting.pages.reports.clear()
    setting.pages.post_real_time([start], ["HB_WEST", "LZ_WEST"], lambda point, at: 9_000.0 if point == "HB_WEST" else 30.0)
    setting.at += timedelta(minutes=1)
    assert rt(await setting.fetch())["HB_WEST", start] == 9_000.0


async def test_prices_that_stop_are_stale(setting: Setting) -> None:
    setting.board(quarters(DAY)[:48])
    setting.pages.post_real_time(quarters(DAY)[44:48], ["HB_WEST", "LZ_WEST"])
    await setting.fetch()
    await setting.settled()
    setting.at = NOON + timedelta(minutes=20)
    assert await setting.settled() == []
    setting.at = NOON + timedelta(minutes=20, seconds=1)
    with pytest.raises(Stale, match="20 min ago"):
        await setting.settled()


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"[]", b'{"rtSppData": 3}', b'{"rtSppData": [{"hbWest": 3}], "damSppData": []}', b'{"rtSppData": [], "damSppData": []}'],
)
async def test_a_broken_document_is_a_source_error(broken: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=broken))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(SourceError):
            accept((await dashboard.read(client)).real_time, Shape(dashboard.POINTS, 900, -500.0))


async def test_a_null_refuses_the_frame() -> None:
    board = document(quarters(DAY)[:4], DAY, ALL)
    board["rtSppData"][2]["lzWest"] = None  # type: ignore[index]
    with pytest.raises(Refused):
        accept(dashboard.parse(board).real_time, Shape(dashboard.POINTS, 900, -500.0))


@pytest.mark.parametrize(("day", "count"), [(date(2026, 3, 8), 92), (date(2026, 11, 1), 100)])
async def test_daylight_saving(day: date, count: int) -> None:
    tables = dashboard.parse(document(quarters(day), day, ALL))
    rows = accept(tables.real_time, Shape(dashboard.POINTS, 900, -500.0))
    assert sorted({row.over.start for row in rows}) == quarters(day)
    assert len(rows) == count * 15
    assert len(accept(tables.day_ahead, Shape(dashboard.POINTS, 3600, -500.0))) == count // 4 * 15


async def test_real_document() -> None:
    """Four rows as the dashboard served them in September 2026."""
    tables = dashboard.parse(json.loads(Path(real("raw_documents/dashboard_system-wide-prices_20260926_excerpt.json")).read_text()))
    rows = accept(tables.real_time, Shape(dashboard.POINTS, 900, -500.0))
    values = {(row.over.start, row.point): row.value for row in rows}
    assert len(rows) == 30
    assert values[datetime(2026, 9, 26, 20, 30, tzinfo=UTC), "LZ_WEST"] == 64.37
    assert values[datetime(2026, 9, 26, 20, 45, tzinfo=UTC), "HB_PAN"] == 10.67
    hourly = {(row.over.start, row.point): row.value for row in accept(tables.day_ahead, Shape(dashboard.POINTS, 3600, -500.0))}
    assert hourly[datetime(2026, 9, 27, 4, tzinfo=UTC), "LZ_WEST"] == 35.74
