"""MISO through unmodified gridstatus, led by environment variables to a loopback TLS server; every document is hand-made."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import openpyxl
import pytest
import pytest_asyncio

from markets import NotPublished, Refused, Stale, Unreachable
from markets.facts import LoadForecast, Price, PriceMarket, SystemLoad
from markets.grid import Market, OperatingDay
from markets.quarantine.plausible import PRICE_FLOOR
from markets.sources.feed import Feed
from markets.sources.frame import Shape, accept
from markets.sources.miso import MisoSource
from tests.conformance.source_kit import check_facts
from tests.markets.sources.tls import Reply, Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

EST = Market.MISO.tz
POINTS = ["TEXAS.HUB", "MINN.HUB"]
NODES = [*POINTS, "ALTW.WELLS1", "INDIANA.HUB"]
LATEST, TODAY, PREVIOUS = (f"/api/MarketPricing/GetRealTimeFiveMinExPost/{part}" for part in ("Current", "Rolling", "Previous"))


def invented(point: str, start: datetime) -> float:
    return round(sum(map(ord, point)) % 30 + (start.timestamp() // 300 % 89) * 0.71 - 15, 2)


@dataclass
class MisoPages:
    pages: dict[str, Reply] = field(default_factory=dict)
    fault: Callable[[str], Reply | None] = lambda path: None

    def route(self, host: str, path: str) -> Reply | None:
        return self.fault(path) or self.pages.get(path.split("?")[0])

    def real_time(self, path: str, starts: Iterable[datetime], price: Callable[[str, datetime], object] = invented) -> None:
        """INTERVAL is the END of the interval, EST without an offset."""
        ends = [(start, (start + timedelta(minutes=5)).astimezone(EST)) for start in starts]
        data = [[f"{end:%Y-%m-%dT%H:%M:%S}", node, str(price(node, start)), "0.50", "-0.25"] for start, end in ends for node in NODES]
        body = {"headers": ["INTERVAL", "CPNODE", "LMP", "MLC", "MCC"], "data": data}
        self.pages[path] = Reply(json.dumps(body).encode(), content_type="application/json")

    def day_ahead(self, day: date) -> None:
        starts = [over.start for over in OperatingDay(Market.MISO, day).grid(60).intervals]
        lines = ["Day Ahead Market ExPost LMPs", f"{day:%m/%d/%Y}", "", "All Hours-Ending are Eastern Standard Time (EST)"]
        lines.append("Node,Type,Value," + ",".join(f"HE {n}" for n in range(1, 25)))
        for node in NODES:
            kind = "Hub" if node.endswith("HUB") else "Gennode"
            lines.append(f"{node},{kind},LMP," + ",".join(str(invented(node, start)) for start in starts))
            lines += [f"{node},{kind},{part}," + ",".join(["0.1"] * 24) for part in ("MCC", "MLC")]
        self.pages[f"/marketreports/{day:%Y%m%d}_da_expost_lmp.csv"] = Reply("\n".join(lines).encode(), content_type="text/csv")

    def finals(self, monday: date, price: Callable[[str, datetime], object] = invented) -> None:
        """The zip of a Monday: the week that began two weeks before, MKTHOUR_EST is the START of the interval."""
        first = OperatingDay(Market.MISO, monday - timedelta(days=14)).start
        lines = ["Weekly Real-Time 5-Min LMP", "", "", "", "MKTHOUR_EST,PNODENAME,LMP,CON_LMP,LOSS_LMP"]
        for start in (first + timedelta(minutes=5 * n) for n in range(7 * 288)):
            lines += [f"{start.astimezone(EST):%Y-%m-%d %H:%M:%S},{node},{price(node, start)},0.5,-0.25" for node in NODES]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as whole:
            whole.writestr("5MIN_LMP.csv", "\n".join([*lines, f"{len(lines)} rows"]))
        self.pages[f"/marketreports/{monday:%Y%m%d}_5MIN_LMP.zip"] = Reply(buffer.getvalue(), content_type="application/zip")

    def load(self, day: date, minutes: int) -> None:
        entries = [{"Load": {"Time": f"{m // 60:02d}:{m % 60:02d}", "Value": str(70_000 + m)}} for m in range(0, minutes, 5)]
        body = {"LoadInfo": {"RefId": f"{day:%d-%b-%Y} - Interval 10:00 EST", "FiveMinTotalLoad": entries}}
        self.pages["/api/RealTimeTotalLoad"] = Reply(json.dumps(body).encode(), content_type="application/json")

    def forecast(self, day: date) -> None:
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.title = "Sheet1"
        for _ in range(5):
            sheet.append(["MISO"])
        sheet.append(["Market Day", "HourEnding", "LRZ1 MTLF (MWh)", "LRZ1 ActualLoad (MWh)", "MISO MTLF (MWh)", "MISO ActualLoad (MWh)"])
        for hour in range(1, 25):
            sheet.append([f"{day:%m/%d/%Y}", hour, 10, 11, 60_000 + hour, 61_000])
        buffer = io.BytesIO()
        book.save(buffer)
        self.pages[f"/marketreports/{day:%Y%m%d}_df_al.xls"] = Reply(buffer.getvalue())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feed(web: Web) -> AsyncIterator[Feed]:
    running = Feed("markets.sources.miso_child", 30.0, env=web.env)
    yield running
    await running.aclose()


@pytest.fixture
def pages(web: Web) -> MisoPages:
    served = MisoPages()
    web.route = served.route
    web.seen.clear()
    return served


class Now:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def wall_noon() -> datetime:
    """10:00 EST of the wall's own EST day: gridstatus asks the wall clock what today is."""
    return datetime.combine(datetime.now(EST).date(), time(10), EST).astimezone(UTC)


def source(feed: Feed, now: Now) -> MisoSource:
    made = MisoSource(POINTS, now)
    made.feed = made.final_feed = feed
    return made


async def test_the_latest_interval_is_shifted_to_its_start(feed: Feed, web: Web, pages: MisoPages) -> None:
    """INTERVAL ends the interval; and no day-ahead file is asked for node types, so a late one cannot take real time down."""
    now = Now(datetime(2026, 7, 1, 15, 2, tzinfo=UTC))
    pages.real_time(LATEST, [datetime(2026, 7, 1, 14, 55, tzinfo=UTC)])
    asked = source(feed, now)
    asked.periodic = []
    found = await asked.fetch(now.at, now.at)
    prices = [(fact.point, fact.over.start, fact.over.end, fact.usd_per_mwh) for fact in found if isinstance(fact, Price)]
    start, end = datetime(2026, 7, 1, 14, 55, tzinfo=UTC), datetime(2026, 7, 1, 15, tzinfo=UTC)
    assert sorted(prices) == [(point, start, end, invented(point, start)) for point in sorted(POINTS)]
    assert not web.paths("da_expost")
    seen = len(web.seen)
    assert await asked.fetch(now.at, now.at) == []
    assert len(web.seen) == seen  # nothing new can be there yet
    now.at += timedelta(minutes=5)
    assert await asked.fetch(now.at, now.at) == []  # asked again, the feed is a little late
    assert len(web.seen) > seen
    now.at += timedelta(minutes=8)
    with pytest.raises(Stale):
        await asked.fetch(now.at, now.at)


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1), date(2026, 7, 1)])
async def test_every_day_has_24_hours_in_est(feed: Feed, pages: MisoPages, day: date) -> None:
    pages.day_ahead(day)
    whole = OperatingDay(Market.MISO, day)
    raw = await feed.ask("day_ahead", points=POINTS, day=day.isoformat())
    rows = accept(raw, Shape(frozenset(POINTS), 3600, PRICE_FLOOR[Market.MISO], grid=whole.grid(60), market=Market.MISO))
    assert len(rows) == 48
    assert all(row.value == invented(row.point, row.over.start) for row in rows)
    assert rows[0].over.start == datetime.combine(day, time(5), UTC)


async def test_a_whole_day_of_five_minutes(feed: Feed, pages: MisoPages) -> None:
    yesterday = (datetime.now(EST) - timedelta(days=1)).date()
    whole = OperatingDay(Market.MISO, yesterday)
    pages.real_time(PREVIOUS, [over.start for over in whole.grid(5).intervals])
    raw = await feed.ask("real_time", points=POINTS, of=yesterday.isoformat())
    rows = accept(raw, Shape(frozenset(POINTS), 300, -1500.0, grid=whole.grid(5), market=Market.MISO))
    assert len(rows) == 288 * 2
    assert all(row.value == invented(row.point, row.over.start) for row in rows)


async def test_a_first_fetch_brings_everything(feed: Feed, pages: MisoPages) -> None:
    """The day so far, day-ahead prices, load and forecast; after a gap the day is read again."""
    now = Now(wall_noon() + timedelta(minutes=2))
    today = OperatingDay.of(Market.MISO, now.at)
    starts = [over.start for over in today.grid(5).intervals if over.end <= wall_noon()]
    pages.real_time(LATEST, starts[-1:])
    pages.real_time(TODAY, starts)
    pages.real_time(PREVIOUS, [])
    pages.day_ahead(today.on)
    pages.load(today.on, 600)
    pages.forecast(today.on)
    asked = source(feed, now)
    facts = list(await asked.fetch(now.at - timedelta(hours=2), now.at))
    assert asked._background is not None
    await asked._background
    facts += await asked.fetch(now.at, now.at)
    assert list(asked.findings) == []
    prices = [fact for fact in facts if isinstance(fact, Price)]
    real_time = {(p.point, p.over.start): p.usd_per_mwh for p in prices if p.market is PriceMarket.REAL_TIME_5_MIN}
    assert real_time == {(point, start): invented(point, start) for point in POINTS for start in starts}
    assert sum(price.market is PriceMarket.DAY_AHEAD_HOURLY for price in prices) == 48
    assert [fact.load_mw for fact in facts if isinstance(fact, SystemLoad)] == [70_000.0 + m for m in range(0, 600, 5)]
    assert [fact.load_mw for fact in facts if isinstance(fact, LoadForecast)] == [60_000.0 + h for h in range(1, 25)]
    check_facts(asked, facts, now.at - timedelta(hours=2), now.at)


async def test_final_prices_come_by_themselves_as_new_vintages_where_they_differ(feed: Feed, pages: MisoPages) -> None:
    """On Monday 13 July the week of 29 June is final; its file is late at first. A price that was preliminary and stays is no new one."""
    now, monday = Now(datetime(2026, 7, 13, 15, 2, tzinfo=UTC)), date(2026, 7, 13)
    asked = source(feed, now)
    asked.periodic = [periodic for periodic in asked.periodic if periodic.name == "MISO final prices"]
    over = OperatingDay(Market.MISO, date(2026, 7, 1)).grid(5).intervals
    known = [
        Price(source="miso", known_at=o.end, point=p, market=PriceMarket.REAL_TIME_5_MIN, over=o, usd_per_mwh=invented(p, o.start))
        for p in POINTS
        for o in over
    ]
    asked.published.restore(known)
    asked.published.drop_old(now.at)
    pages.finals(date(2026, 7, 6))
    (finals,) = asked.periodic
    with pytest.raises(NotPublished):
        await finals.run(now.at)
    assert finals.due_at == now.at + timedelta(hours=1)
    asked._pending.clear()
    changed = over[100].start
    pages.finals(monday, lambda point, start: invented(point, start) + (7.0 if start == changed else 0.0))
    await finals.run(now.at + timedelta(hours=1))
    found = [p for p in asked._pending if isinstance(p, Price) and OperatingDay.of(Market.MISO, p.over.start).on == date(2026, 7, 1)]
    assert [(p.point, p.over, p.usd_per_mwh, p.source) for p in found] == [
        (point, over[100], invented(point, changed) + 7.0, "miso-correction") for point in sorted(POINTS)
    ]
    seen = len(asked._pending)
    await finals.run(now.at + timedelta(hours=7))
    assert len(asked._pending) == seen  # each file is read once


FAULTS = {
    "503": Reply(b"later", 503),
    "html": Reply(b"<html><body>maintenance</body></html>", content_type="text/html"),
    "cut": Reply(b'{"headers": ["INTERVAL"], "data": [' + b" " * 500, cut=40),
    "half": Reply(b'{"headers": ["INTERVAL", "CPNODE"], "data": [["2026-'),
    "empty": Reply(b""),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_faults_of_the_web_surface(feed: Feed, pages: MisoPages, fault: str) -> None:
    pages.fault = lambda path: FAULTS[fault]
    with pytest.raises(Unreachable):
        await feed.ask("real_time", points=POINTS, of="latest")
    with pytest.raises((Unreachable, Refused)):  # a page that happens to read as a table has not its columns
        await feed.ask("day_ahead", points=POINTS, day="2026-07-01")


async def test_a_child_that_does_not_answer_is_killed_at_the_deadline(feed: Feed, pages: MisoPages) -> None:
    pages.fault = lambda path: Reply(silent=True)
    now = Now(datetime(2026, 7, 1, 15, 2, tzinfo=UTC))
    asked = source(feed, now)
    asked.periodic = []
    await feed.aclose()
    feed.deadline_s = 0.8
    try:
        with pytest.raises(Unreachable, match="no answer within"):
            await asked.fetch(now.at, now.at)
    finally:
        feed.deadline_s = 30.0
    assert feed.pid is None


async def test_a_missing_day_is_not_published(feed: Feed, pages: MisoPages) -> None:
    with pytest.raises(NotPublished):
        await feed.ask("day_ahead", points=POINTS, day="2026-07-02")


@pytest.mark.parametrize("bad", ["", "NaN", "n/a", "1e9", "-2000"])
async def test_a_bad_frame_is_refused_as_a_whole(feed: Feed, pages: MisoPages, bad: str) -> None:
    start = datetime(2026, 7, 1, 14, 55, tzinfo=UTC)
    pages.real_time(LATEST, [start], lambda point, at: bad if point == "MINN.HUB" else 30.0)
    now = Now(start + timedelta(minutes=7))
    asked = source(feed, now)
    asked.periodic = []
    with pytest.raises(Refused):
        await asked.fetch(now.at, now.at)


async def test_doubled_and_empty_frames_are_refused(feed: Feed, pages: MisoPages) -> None:
    start = datetime(2026, 7, 1, 14, 55, tzinfo=UTC)
    now = Now(start + timedelta(minutes=7))
    asked = source(feed, now)
    asked.periodic = []
    for starts in ([start, start], []):
        pages.real_time(LATEST, starts)
        with pytest.raises(Refused):
            await asked.fetch(now.at, now.at)
