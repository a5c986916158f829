"""ERCOT through unmodified gridstatus, led by environment variables to a loopback TLS server."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from markets import NotPublished, Refused, Unreachable
from markets.facts import LoadForecast, Price, PriceMarket, ReservePrice, SystemLoad
from markets.grid import Interval, Market, OperatingDay
from markets.quarantine.plausible import PRICE_FLOOR
from markets.sources import ercot_dashboard as dashboard
from markets.sources.ercot import PRODUCTS, RT, ErcotSource
from markets.sources.feed import Feed
from markets.sources.frame import Shape, accept
from tests.conformance.source_kit import check_facts
from tests.markets.sources import ercot_pages
from tests.markets.sources.ercot_pages import ErcotPages, invented, quarters
from tests.markets.sources.ercot_pages import feed as feed  # the fixtures of ERCOT's pages
from tests.markets.sources.ercot_pages import pages as pages
from tests.markets.sources.tls import Reply, Web
from tests.realdata import real

pytestmark = pytest.mark.asyncio(loop_scope="module")

POINTS = ["HB_WEST", "LZ_WEST", "LZ_WEST_EW"]
SPRING, FALL, PLAIN = date(2026, 3, 8), date(2026, 11, 1), date(2026, 8, 20)


class Now:
    """A clock that a test sets."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def source(feed: Feed, now: Now, points: list[str] = POINTS) -> ErcotSource:
    made = ErcotSource(points, now, dashboard_url=None)
    made.feed = feed
    return made


async def real_time(feed: Feed, start: datetime, end: datetime) -> list[list[object]]:
    return await feed.ask("real_time", points=POINTS, start=start.isoformat(), end=end.isoformat())


@pytest.mark.parametrize(("day", "count"), [(SPRING, 92), (FALL, 100)])
async def test_whole_days_of_real_time(feed: Feed, pages: ErcotPages, day: date, count: int) -> None:
    pages.post_real_time(quarters(day), POINTS)
    over = OperatingDay(Market.ERCOT, day)
    raw = await real_time(feed, over.start, over.end)
    rows = accept(raw, Shape(frozenset(POINTS), 900, PRICE_FLOOR[Market.ERCOT], grid=over.grid()))
    assert len(rows) == count * len(POINTS)
    assert {(row.point, row.over.start): row.value for row in rows} == {(p, s): invented(p, s) for p in POINTS for s in quarters(day)}


@pytest.mark.parametrize(("day", "count"), [(SPRING, 23), (PLAIN, 24), (FALL, 25)])
async def test_whole_days_of_day_ahead_and_reserve(feed: Feed, pages: ErcotPages, day: date, count: int) -> None:
    pages.post_day_ahead(day, POINTS[:2])
    pages.post_reserve(day)
    whole = OperatingDay(Market.ERCOT, day).grid(60)
    raw = await feed.ask("day_ahead", points=POINTS[:2], day=day.isoformat())
    rows = accept(raw, Shape(frozenset(POINTS[:2]), 3600, -500.0, grid=whole))
    assert len(rows) == 2 * count
    assert all(row.value == invented(row.point, row.over.start) for row in rows)
    reserve = await feed.ask("reserve", day=day.isoformat())
    assert len(accept(reserve, Shape(PRODUCTS, 3600, 0.0, grid=whole))) == 5 * count


@pytest.mark.parametrize(("day", "count"), [(SPRING, 92), (PLAIN, 96), (FALL, 100)])
async def test_whole_days_of_real_time_reserve(feed: Feed, pages: ErcotPages, day: date, count: int) -> None:
    pages.post_real_time_reserve(quarters(day))
    over = OperatingDay(Market.ERCOT, day)
    raw = await feed.ask("real_time_reserve", start=over.start.isoformat(), end=over.end.isoformat())
    rows = accept(raw, Shape(PRODUCTS, 900, 0.0, grid=over.grid()))
    assert len(rows) == count * len(PRODUCTS)
    assert {(row.point, row.over.start): row.value for row in rows} == {
        (p, s): round(abs(invented(p, s)), 2) for p in PRODUCTS for s in quarters(day)
    }


async def test_real_time_reserve_is_returned_once_and_again_when_changed(feed: Feed, pages: ErcotPages) -> None:
    starts = quarters(PLAIN)[40:44]
    now = Now(starts[-1] + timedelta(minutes=18))
    asked = source(feed, now)
    pages.post_real_time_reserve(starts)
    told = [fact for fact in await asked._real_time_reserve(now.at) if isinstance(fact, ReservePrice)]
    assert {(fact.product, fact.over.start) for fact in told} == {(p, s) for p in PRODUCTS for s in starts}
    assert {fact.market for fact in told} == {"REAL_TIME_15_MIN"} and all(fact.known_at == now.at for fact in told)
    now.at += timedelta(minutes=5)
    assert await asked._real_time_reserve(now.at) == []
    restarted = source(feed, now)
    restarted.published.restore(told)
    assert await restarted._real_time_reserve(now.at) == [], "the journal has them"
    pages.post_real_time_reserve(starts[-1:], lambda product, at: 7.25 if product == "ECRS" else invented(product, at), suffix="_retry")
    (again,) = [fact for fact in await asked._real_time_reserve(now.at) if isinstance(fact, ReservePrice)]
    assert (again.product, again.over.start, again.usd_per_mw_h) == ("ECRS", starts[-1], 7.25)


async def test_real_time_reserve_that_lacks_a_product_is_refused(feed: Feed, pages: ErcotPages) -> None:
    start = quarters(PLAIN)[0]
    text = "DeliveryDate,DeliveryHour,DeliveryInterval,RepeatedHourFlag,ASType,MCPC\n08/20/2026,1,1,N,ECRS,3.5\n"
    pages.post(ercot_pages.RT_RESERVE, "RTMCPCNP6331_20260820_0015", start + timedelta(minutes=17), text)
    with pytest.raises(Refused, match="lacks NSPIN"):
        await source(feed, Now(start + timedelta(minutes=18)))._real_time_reserve(start + timedelta(minutes=18))


async def test_agents_and_no_mapping_download(feed: Feed, web: Web, pages: ErcotPages) -> None:
    pages.post_real_time(quarters(PLAIN)[:2], POINTS)
    over = OperatingDay(Market.ERCOT, PLAIN)
    await real_time(feed, over.start, over.end)
    agents = {agent.split("/")[0] for _, _, agent in web.seen}
    assert agents == {"python-requests", "Python-urllib"}
    assert not web.paths("10008")
    downloads = len(web.paths("mirDownload"))
    await real_time(feed, over.start, over.end)
    assert len(web.paths("mirDownload")) == downloads == 2  # documents are kept, lists are asked anew


async def test_the_repeated_fall_back_hour_is_read_correctly(feed: Feed, pages: ErcotPages) -> None:
    """gridstatus names the first pass of 01:xx an hour late; polling must still find each interval within minutes of its end."""
    now = Now(datetime(2026, 11, 1, 4, 50, tzinfo=UTC))
    asked = source(feed, now)
    asked.periodic = []
    found: list[datetime] = []
    since = now.at - timedelta(minutes=1)
    starts = [start for start in quarters(FALL) if start.day == 1 and start.hour in (5, 6, 7)]  # 00:00 CDT to 01:45 CST
    for start in starts:
        pages.post_real_time([start], POINTS)
        now.at = start + timedelta(minutes=18)
        facts = await asked.fetch(since, now.at)
        assert {fact.over.start for fact in facts if isinstance(fact, Price)} == {start}
        assert {fact.point for fact in facts if isinstance(fact, Price)} == set(POINTS)
        assert all(fact.known_at == now.at for fact in facts)
        found.append(start)
        since = now.at
    assert len(found) == 12


async def test_energy_weighted_zone_is_another_point(feed: Feed, pages: ErcotPages) -> None:
    start = quarters(PLAIN)[40]
    pages.post_real_time([start], POINTS, lambda point, at: 40.0 if point.endswith("_EW") else 30.0)
    rows = await real_time(feed, start, start + timedelta(hours=1))
    assert {row[2]: row[3] for row in rows} == {"HB_WEST": 30.0, "LZ_WEST": 30.0, "LZ_WEST_EW": 40.0}


async def test_a_retried_document_replaces_its_first_try(feed: Feed, pages: ErcotPages) -> None:
    start = quarters(PLAIN)[41]
    pages.post_real_time([start], POINTS, lambda point, at: 30.0)
    pages.post_real_time([start], POINTS, lambda point, at: 31.0, suffix="_retry")
    rows = await real_time(feed, start, start + timedelta(hours=1))
    assert [row[3] for row in rows] == [31.0, 31.0, 31.0]


FAULTS = {
    "503": Reply(b"try later", 503),
    "html": Reply(b"<html><body>maintenance</body></html>", content_type="text/html"),
    "cut": Reply(b"x" * 2000, cut=700),
    "empty": Reply(b""),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["IceDocListJsonWS", "mirDownload"])
async def test_faults_of_the_web_surface(feed: Feed, pages: ErcotPages, fault: str, where: str) -> None:
    start = quarters(PLAIN)[0]
    pages.post_real_time([start], POINTS)
    pages.fault = lambda path: FAULTS[fault] if where in path else None
    with pytest.raises(Unreachable):
        await real_time(feed, start, start + timedelta(hours=1))
    pages.fault = lambda path: None
    assert len(await real_time(feed, start, start + timedelta(hours=1))) == 3


async def test_a_child_that_does_not_answer_is_killed_at_the_deadline(feed: Feed, pages: ErcotPages) -> None:
    start = quarters(PLAIN)[3]
    pages.post_real_time([start], POINTS)
    assert len(await real_time(feed, start, start + timedelta(hours=1))) == 3
    before = feed.pid
    pages.fault = lambda path: Reply(silent=True)
    feed.deadline_s = 0.8
    try:
        with pytest.raises(Unreachable, match="no answer within"):
            await real_time(feed, start, start + timedelta(hours=1))
    finally:
        feed.deadline_s = 30.0
    assert feed.pid is None
    pages.fault = lambda path: None
    assert len(await real_time(feed, start, start + timedelta(hours=1))) == 3
    assert feed.pid not in (None, before)


async def test_nothing_posted_is_not_published(feed: Feed, pages: ErcotPages) -> None:
    with pytest.raises(NotPublished):
        await feed.ask("day_ahead", points=["HB_WEST"], day=PLAIN.isoformat())
    with pytest.raises(NotPublished):
        await real_time(feed, quarters(PLAIN)[0], quarters(PLAIN)[4])


BAD_DOCUMENTS = {
    "nan": "08/20/2026,1,1,HB_WEST,HU,,N\n08/20/2026,1,1,LZ_WEST,LZ,30,N\n08/20/2026,1,1,LZ_WEST,LZEW,31,N\n",
    "infinite": "08/20/2026,1,1,HB_WEST,HU,inf,N\n08/20/2026,1,1,LZ_WEST,LZ,30,N\n08/20/2026,1,1,LZ_WEST,LZEW,31,N\n",
    "twice": "08/20/2026,1,1,HB_WEST,HU,30,N\n" * 2 + "08/20/2026,1,1,LZ_WEST,LZ,30,N\n08/20/2026,1,1,LZ_WEST,LZEW,31,N\n",
    "missing point": "08/20/2026,1,1,HB_WEST,HU,30,N\n08/20/2026,1,1,LZ_WEST,LZ,30,N\n",
    "no rows": "",
    "implausible": "08/20/2026,1,1,HB_WEST,HU,7500.01,N\n08/20/2026,1,1,LZ_WEST,LZ,30,N\n08/20/2026,1,1,LZ_WEST,LZEW,31,N\n",
    "too low": "08/20/2026,1,1,HB_WEST,HU,-500.01,N\n08/20/2026,1,1,LZ_WEST,LZ,30,N\n08/20/2026,1,1,LZ_WEST,LZEW,31,N\n",
    "text": "08/20/2026,1,1,HB_WEST,HU,thirty,N\n08/20/2026,1,1,LZ_WEST,LZ,30,N\n08/20/2026,1,1,LZ_WEST,LZEW,31,N\n",
}


@pytest.mark.parametrize("bad", BAD_DOCUMENTS)
async def test_a_bad_frame_is_refused_as_a_whole(feed: Feed, pages: ErcotPages, bad: str) -> None:
    head = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,SettlementPointPrice,DSTFlag\n"
    now = Now(datetime(2026, 8, 20, 5, 18, tzinfo=UTC))
    pages.post(ercot_pages.RT, "SPPHLZNP6905_20260820_0015", now.at - timedelta(minutes=1), head + BAD_DOCUMENTS[bad])
    asked = source(feed, now)
    asked.periodic = []
    with pytest.raises(Refused):
        await asked.fetch(now.at - timedelta(minutes=5), now.at)


async def test_missing_columns_are_refused(feed: Feed, pages: ErcotPages) -> None:
    pages.post(ercot_pages.RT, "SPPHLZNP6905_20260820_0015", datetime(2026, 8, 20, 5, 17, tzinfo=UTC), "A,B\n1,2\n")
    with pytest.raises(Refused):
        await real_time(feed, datetime(2026, 8, 20, 5, tzinfo=UTC), datetime(2026, 8, 20, 6, tzinfo=UTC))


async def test_a_whole_first_fetch(feed: Feed, pages: ErcotPages) -> None:
    """The first fetch brings all kinds of facts, the second nothing; a correction is a new fact of later vintage."""
    start = datetime(2026, 8, 20, 18, tzinfo=UTC)  # 13:00 CDT
    now = Now(start + timedelta(minutes=18))
    tomorrow = PLAIN + timedelta(days=1)
    pages.post_real_time([start - timedelta(minutes=15 * n) for n in range(4, -1, -1)], POINTS)
    for day in (PLAIN, tomorrow):
        pages.post_day_ahead(day, POINTS[:2])
        pages.post_reserve(day)
    pages.post_real_time_reserve([start - timedelta(minutes=15 * n) for n in range(4, -1, -1)])
    load = "OperDay,TimeEnding,Demand,DSTFlag\n" + "".join(f"08/20/2026,12:{m:02d},{70_000 + m}.5,N\n" for m in (15, 30, 45))
    pages.post(ercot_pages.LOAD, "SYSACTNP6235_20260820_130500", start + timedelta(minutes=5), load)
    zones = "DeliveryDate,HourEnding,North,South,West,Houston,SystemTotal,DSTFlag\n"
    zones += "".join(f"08/20/2026,{h:02d}:00,1,2,3,4,{60_000 + h},N\n" for h in range(1, 25))
    for report in (ercot_pages.FORECAST, 12311, ercot_pages.FORECAST_BY_ZONE, 15953, 14837):
        pages.post(report, "LFCNP3560_20260820_1230", start - timedelta(minutes=30), zones)
    asked = source(feed, now)
    facts = await asked.fetch(now.at - timedelta(hours=1), now.at)
    while asked._background is not None and not asked._background.done():  # a slow machine may need longer than the first fetch waits
        await asked._background
    facts = [*facts, *await asked.fetch(now.at, now.at)]
    assert list(asked.findings) == []
    prices = [fact for fact in facts if isinstance(fact, Price)]
    assert sum(price.market is PriceMarket.REAL_TIME_15_MIN for price in prices) == 5 * 3
    assert sum(price.market is PriceMarket.DAY_AHEAD_HOURLY for price in prices) == 2 * 48
    assert {price.point for price in prices if price.market is PriceMarket.DAY_AHEAD_HOURLY} == {"HB_WEST", "LZ_WEST"}
    check_facts(asked, facts, now.at - timedelta(hours=1), now.at)
    reserves = Counter(fact.market for fact in facts if isinstance(fact, ReservePrice))
    assert reserves == {"DAM": 5 * 48, "REAL_TIME_15_MIN": 5 * 5}
    assert [fact.load_mw for fact in facts if isinstance(fact, SystemLoad)] == [70_015.5, 70_030.5, 70_045.5]
    assert [fact.load_mw for fact in facts if isinstance(fact, LoadForecast)] == [60_000.0 + h for h in range(1, 25)]

    corrected = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,"
    corrected += "SPPOriginal,SPPCorrected,PriceCorrectionTime,DSTFlag\n"
    corrected += f"08/20/2026,13,4,HB_WEST,HU,{invented('HB_WEST', start - timedelta(minutes=15))},12.34,08/20/2026 13:40:00,N\n"
    pages.post(ercot_pages.RT_CORRECTIONS, "RTM_SPP_20260820_1340", start + timedelta(minutes=40), corrected)
    now.at += timedelta(minutes=31)
    pages.post_real_time([start + timedelta(minutes=15), start + timedelta(minutes=30)], POINTS)
    await asked.fetch(now.at, now.at)
    assert asked._background is not None
    await asked._background
    (again,) = [fact for fact in await asked.fetch(now.at, now.at) if isinstance(fact, Price)]
    assert (again.usd_per_mwh, again.point, again.known_at) == (12.34, "HB_WEST", now.at)
    assert again.over.start == start - timedelta(minutes=15)
    assert " changes " in asked.findings[-1]


async def test_proxies_and_certificates_come_from_the_environment(web: Web, pages: ErcotPages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source as a daemon makes it: nothing but environment variables lead gridstatus and the dashboard's client here."""
    for variable, value in web.env.items():
        monkeypatch.setenv(variable, value)
    start = datetime(2026, 8, 20, 15, tzinfo=UTC)
    now = Now(start + timedelta(minutes=17))
    starts = [start - timedelta(minutes=15), start]
    board = ercot_pages.dashboard(starts, PLAIN, sorted(dashboard.POINTS))
    pages.pages["/api/1/services/read/dashboards/system-wide-prices.json"] = Reply(json.dumps(board).encode())
    pages.post_real_time(starts, POINTS)
    asked = ErcotSource(POINTS, now, deadline_s=20.0)
    try:
        facts = await asked.fetch(now.at - timedelta(minutes=30), now.at)
    finally:
        await asked.aclose()
    check_facts(asked, facts, now.at - timedelta(minutes=30), now.at)
    real_time = {(f.point, f.over.start): f for f in facts if isinstance(f, Price) and f.market is PriceMarket.REAL_TIME_15_MIN}
    assert {key: price.usd_per_mwh for key, price in real_time.items()} == {(p, s): invented(p, s) for p in POINTS for s in starts}
    assert {point: price.source for (point, _), price in real_time.items()} == {
        "HB_WEST": "ercot-dashboard",
        "LZ_WEST": "ercot-dashboard",
        "LZ_WEST_EW": "ercot",
    }
    assert {agent.split("/")[0] for _, _, agent in web.seen} == {"python-requests", "Python-urllib", "python-httpx"}
    assert asked.feed.pid is None


async def test_a_restart_keeps_the_corrected_price(feed: Feed, pages: ErcotPages) -> None:
    """What the journal remembers is not told again, and a document from before its correction does not undo it."""
    start = datetime(2026, 8, 20, 15, tzinfo=UTC)
    now = Now(start + timedelta(minutes=17))
    pages.post_real_time([start], ["HB_WEST", "LZ_WEST"])
    told = [
        Price(source=by, known_at=now.at, point="HB_WEST", market=RT, over=Interval(start, start + timedelta(minutes=15)), usd_per_mwh=usd)
        for by, usd in (("ercot", invented("HB_WEST", start)), ("ercot-correction", 12.34))
    ]
    asked = source(feed, now, ["HB_WEST", "LZ_WEST"])
    asked.periodic = []
    asked.published.restore(told)
    found = await asked.fetch(now.at - timedelta(minutes=5), now.at)
    assert [price.point for price in found if isinstance(price, Price)] == ["LZ_WEST"]
    assert list(asked.findings) == []


async def test_real_documents(feed: Feed, pages: ErcotPages) -> None:
    """The documents that ERCOT served in April 2025, unmodified."""
    spp = real("raw_documents/NP6-905-CD_SPPHLZNP6905_20250410_HE19_int2.csv").read_text()
    dam = gzip.decompress(real("raw_documents/NP4-190-CD_DAMSPNP4190_20250411.csv.gz").read_bytes()).decode()
    pages.post(ercot_pages.RT, "SPPHLZNP6905_20250410_1830", datetime(2025, 4, 10, 23, 32, tzinfo=UTC), spp)
    pages.post(ercot_pages.DA, "DAMSPNP4190_20250410_1230", datetime(2025, 4, 10, 17, 30, tzinfo=UTC), dam)
    rows = await real_time(feed, datetime(2025, 4, 10, 22, tzinfo=UTC), datetime(2025, 4, 11, tzinfo=UTC))
    start = int(datetime(2025, 4, 10, 23, 15, tzinfo=UTC).timestamp())
    expected = {}
    for line in spp.splitlines():
        fields = line.split(",")
        if fields[3] in ("HB_WEST", "LZ_WEST"):
            expected[fields[3] + ("_EW" if fields[4] == "LZEW" else "")] = float(fields[5])
    assert len(expected) == 3
    assert {row[2]: row[3] for row in rows} == expected
    assert {row[0] for row in rows} == {start}
    raw = await feed.ask("day_ahead", points=["HB_WEST", "LZ_WEST"], day="2025-04-11")
    whole = OperatingDay(Market.ERCOT, date(2025, 4, 11)).grid(60)
    assert len(accept(raw, Shape(frozenset({"HB_WEST", "LZ_WEST"}), 3600, -500.0, grid=whole))) == 48
    published = sorted(float(line.split(",")[3]) for line in dam.splitlines() if line.split(",")[2] == "LZ_WEST")
    assert sorted(row[3] for row in raw if row[2] == "LZ_WEST") == published


async def test_the_load_of_todays_complete_quarter_hours_is_known_minutes_after_their_end(feed: Feed, pages: ErcotPages) -> None:
    today = OperatingDay.of(Market.ERCOT, datetime.now(UTC))
    steps = [today.start + timedelta(minutes=5 * n) for n in range(1, 8)]  # ends: two quarter hours, and five minutes of the next
    data = [{"epoch": int(end.timestamp() * 1000), "demand": 60_000 + n, "forecast": 0, "capacity": 1} for n, end in enumerate(steps)]
    data.append({"epoch": int((steps[-1] + timedelta(minutes=5)).timestamp() * 1000), "demand": 1.0, "forecast": 1, "capacity": 1})
    document = json.dumps({"lastUpdated": "", "data": data, "forecast": {}}).encode()
    pages.pages["/api/1/services/read/dashboards/supply-demand.json"] = Reply(document, content_type="application/json")
    asked = source(feed, Now(steps[-1]))
    facts = [f for f in await asked._load_of_today(steps[-1]) if isinstance(f, SystemLoad)]
    assert [(f.over.start, f.over.end, f.load_mw) for f in facts] == [
        (today.start + timedelta(minutes=15 * n), today.start + timedelta(minutes=15 * (n + 1)), 60_001.0 + 3 * n) for n in range(2)
    ]
    assert await asked._load_of_today(steps[-1]) == [], "what was read is not read again"
