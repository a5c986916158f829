"""Hand-made ERCOT documents, shaped as the market information system serves them; every figure is invented."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from markets.grid import Market, OperatingDay
from markets.sources.feed import Feed
from tests.markets.sources.tls import Reply, Web

TZ = Market.ERCOT.tz
RT, DA, RESERVE, LOAD, FORECAST, RT_CORRECTIONS, DA_CORRECTIONS = 12301, 12331, 12329, 12340, 12312, 13045, 13044
RT_RESERVE, PRODUCTS = 24898, ("ECRS", "NSPIN", "REGDN", "REGUP", "RRS")
FORECAST_BY_ZONE = 14836
RUN, LOOK_AHEAD, RESERVE_RUN, RESERVE_LOOK_AHEAD = 12300, 13073, 24891, 24889
TYPES = {"HB": "HU", "LZ": "LZ", "EW": "LZEW"}
FIVE = timedelta(minutes=5)
_ids = itertools.count(900_000_001)

PriceOf = Callable[[str, datetime], float]  # point, interval start (UTC) -> $/MWh


def invented(point: str, start: datetime) -> float:
    """A price that tells point and instant apart, negative at times, with cents."""
    return round(sum(map(ord, point)) % 40 + (start.timestamp() // 300 % 97) * 0.83 - 20, 2)


@dataclass
class ErcotPages:
    """The document lists and documents by report; `route` serves them, `fault` may replace any answer."""

    reports: dict[int, list[dict[str, str]]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, Reply] = field(default_factory=dict)
    fault: Callable[[str], Reply | None] = lambda path: None

    def route(self, host: str, path: str) -> Reply | None:
        if (reply := self.fault(path)) is not None:
            return reply
        if "IceDocListJsonWS" in path:
            documents = self.reports.get(int(parse_qs(urlsplit(path).query)["reportTypeId"][0]), [])
            body = {"ListDocsByRptTypeRes": {"DocumentList": [{"Document": document} for document in documents]}}
            return Reply(json.dumps(body).encode(), content_type="application/json")
        if "mirDownload" in path:
            return Reply(self.bodies[path.rsplit("=", 1)[1]], content_type="application/zip")
        return self.pages.get(path)

    def post(self, report: int, friendly: str, published: datetime, text: str | bytes) -> str:
        """Puts a CSV document (and its XML twin, as ERCOT does) into a report's list; returns its id."""
        number = str(next(_ids))
        body = text if isinstance(text, bytes) else zipped(f"{friendly}.csv", text)
        for kind in ("xml", "csv"):
            name = f"{friendly}_{kind}"
            document = {"DocID": number if kind == "csv" else number + "9", "FriendlyName": name}
            document["ConstructedName"] = f"cdr.{report:08d}.0000000000000000.{published.astimezone(TZ):%Y%m%d.%H%M%S}.{name}.zip"
            document["PublishDate"] = published.astimezone(TZ).isoformat()
            self.reports.setdefault(report, []).insert(0, document)
        self.bodies[number] = body
        return number

    def post_real_time(self, starts: Iterable[datetime], points: Iterable[str], price: PriceOf = invented, suffix: str = "") -> None:
        points = list(points)
        for start in starts:
            local, end = start.astimezone(TZ), (start + timedelta(minutes=15)).astimezone(TZ)
            rows = [
                f"{local:%m/%d/%Y},{local.hour + 1},{local.minute // 15 + 1},{name(p)},{kind(p)},{price(p, start)},{flag(start)}"
                for p in points
            ]
            head = "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,SettlementPointPrice,DSTFlag"
            label = f"SPPHLZNP6905{suffix}_{end:%Y%m%d_%H%M}"
            self.post(RT, label, start + timedelta(minutes=17), "\n".join([head, *rows]) + "\n")

    def post_day_ahead(self, day: date, points: Iterable[str], price: PriceOf = invented) -> None:
        points = list(points)
        rows = [f"{d},{h},{p},{price(p, start):8.2f},{f}" for start, d, h, f in hours(day) for p in points]
        text = "\n".join(["DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag", *rows]) + "\n"
        published = datetime.combine(day - timedelta(days=1), datetime.min.time(), TZ) + timedelta(hours=13)
        self.post(DA, f"DAMSPNP4190_{published:%Y%m%d_%H%M}", published, text)

    def post_reserve(self, day: date) -> None:
        rows = [f"{d},{h},{p},{round(abs(invented(p, start)), 2)},{f}" for start, d, h, f in hours(day) for p in PRODUCTS]
        text = "\n".join(["DeliveryDate,HourEnding,AncillaryType,MCPC,DSTFlag", *rows]) + "\n"
        published = datetime.combine(day - timedelta(days=1), datetime.min.time(), TZ) + timedelta(hours=13)
        self.post(RESERVE, f"DAMCPCNP4188_{published:%Y%m%d_%H%M}", published, text)

    def post_real_time_reserve(self, starts: Iterable[datetime], price: PriceOf = invented, suffix: str = "") -> None:
        head = "DeliveryDate,DeliveryHour,DeliveryInterval,RepeatedHourFlag,ASType,MCPC"
        for start in starts:
            local, end = start.astimezone(TZ), (start + timedelta(minutes=15)).astimezone(TZ)
            when = f"{local:%m/%d/%Y},{local.hour + 1},{local.minute // 15 + 1},{flag(start)}"
            rows = [f"{when},{p},{round(abs(price(p, start)), 2)}" for p in PRODUCTS]
            label = f"RTMCPCNP6331{suffix}_{end:%Y%m%d_%H%M}{'xhr' if local.fold else ''}"
            self.post(RT_RESERVE, label, start + timedelta(minutes=17), "\n".join([head, *rows]) + "\n")

    def post_run(self, at: datetime, points: Iterable[str], price: PriceOf = invented, steps: int = 11) -> None:
        """What ERCOT posts of a dispatch run and of the look-ahead run made with it: energy and reserve, now and by five minutes ahead."""
        points, posted = list(points), at + timedelta(seconds=12)
        start = at.replace(second=0, microsecond=0)
        ahead = [start + n * FIVE for n in range(1, steps + 1)]
        ran, label = (
            f"{at.astimezone(TZ):%m/%d/%Y %H:%M:%S},{flag(at)}",
            f"{at.astimezone(TZ):%Y%m%d_%H%M%S}{'xhr' if at.astimezone(TZ).fold else ''}",
        )
        ends = [f"{(a + FIVE).astimezone(TZ):%m/%d/%Y %H:%M:%S}" for a in ahead]
        now = "".join(f"{ran},{p},{price(p, start)}\n" for p in points)
        self.post(RUN, f"LMPSROSNODENP6788_{label}", posted, "SCEDTimestamp,RepeatedHourFlag,SettlementPoint,LMP\n" + now)
        head = "RTDTimestamp,RepeatedHourFlag,IntervalId,IntervalEnding,IntervalRepeatedHourFlag,SettlementPoint,SettlementPointType,LMP\n"
        rows = "".join(
            f"{ran},{n + 1},{ends[n]},{flag(a + FIVE)},{p},{kind(p)},{price(p, a)}\n" for p in points for n, a in enumerate(ahead)
        )
        self.post(LOOK_AHEAD, f"RTDLMPRNLZHUBNP6970_{label}", posted, head + rows)
        rows = "".join(f"{ran},{p},{abs(price(p, start)):.2f}\n" for p in PRODUCTS)
        self.post(RESERVE_RUN, f"MCPCSCEDNP6332_{label}", posted, "SCEDTimestamp,RepeatedHourFlag,ASType,MCPC\n" + rows)
        head = "RTDTimestamp,RepeatedHourFlag,IntervalEnding,IntervalEndingRepeatedHourFlag," + ",".join(PRODUCTS) + "\n"
        rows = "".join(
            f"{ran},{ends[n]},{flag(a + FIVE)}," + ",".join(f"{abs(price(p, a)):.2f}" for p in PRODUCTS) + "\n" for n, a in enumerate(ahead)
        )
        self.post(RESERVE_LOOK_AHEAD, f"RTDMCPCNP6329_{label}", posted, head + rows)


def hours(day: date) -> list[tuple[datetime, str, str, str]]:
    """Start, delivery date, hour ending and DSTFlag of an operating day's hours, the repeated one flagged Y."""
    found = []
    for over in OperatingDay(Market.ERCOT, day).grid(60).intervals:
        local = over.start.astimezone(TZ)
        found.append((over.start, f"{local:%m/%d/%Y}", f"{local.hour + 1:02d}:00", flag(over.start)))
    return found


def quarters(day: date) -> list[datetime]:
    return [over.start for over in OperatingDay(Market.ERCOT, day).grid().intervals]


def flag(start: datetime) -> str:
    local = start.astimezone(TZ)
    return "Y" if local.fold else "N"


def name(point: str) -> str:
    return point.removesuffix("_EW")


def kind(point: str) -> str:
    return TYPES["EW" if point.endswith("_EW") else point[:2]] if point[:2] in TYPES else "RN"


def zipped(inside: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside, text)
    return buffer.getvalue()


def dashboard(starts: Iterable[datetime], day: date, points: Iterable[str], price: PriceOf = invented) -> dict[str, object]:
    """The price dashboard's document: `interval` is the END in epoch milliseconds."""
    points = list(points)

    def entry(start: datetime, minutes: int) -> dict[str, object]:
        end = start + timedelta(minutes=minutes)
        keys = {p[:2].lower() + p[3:].capitalize(): price(p, start) for p in points}
        return {
            "dstFlag": flag(start),
            **keys,
            "timestamp": f"{end.astimezone(TZ):%Y-%m-%d %H:%M:%S%z}",
            "interval": int(end.timestamp() * 1000),
        }

    return {
        "lastUpdated": f"{datetime(2026, 1, 1, tzinfo=UTC):%Y-%m-%d}",
        "rtSppData": [{"intervalEnding": "", **entry(start, 15)} for start in starts],
        "damSppData": [{"hourEnding": n + 1, **entry(start, 60)} for n, (start, *_) in enumerate(hours(day))],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feed(web: Web) -> AsyncIterator[Feed]:
    running = Feed("markets.sources.ercot_child", 30.0, env=web.env)
    yield running
    await running.aclose()


@pytest.fixture
def pages(web: Web) -> ErcotPages:
    served = ErcotPages()
    web.route = served.route
    web.seen.clear()
    return served
