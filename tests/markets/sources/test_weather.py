"""Outside temperature from JSON over real HTTP on loopback, from a sensor, from tables, and what becomes of it when a source is silent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from markets import NotPublished, Refused, SourceError, Stale, Unreachable
from markets.archive.archive import Archive, ArchiveSource
from markets.factbook import FactBook
from markets.facts import Fact, Temperature
from markets.forecasting.ladder import outlook, quarantine_notes
from markets.grid import Grid, Interval, Market
from markets.sources.fact_tables import FactTables
from markets.sources.weather import NationalWeather, OpenMeteo, TemperatureSensor
from tests.conformance.source_kit import check_facts

NOW = datetime(2026, 8, 20, 17, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Web:
    """One page on loopback, and the agents that asked for it."""

    def __init__(self) -> None:
        self.page, self.status, self.agents, self.url = "{}", 200, list[str](), ""

    def put(self, document: Any) -> None:
        self.page = json.dumps(document)


@pytest.fixture
def web() -> Iterator[Web]:
    served = Web()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.agents.append(self.headers["User-Agent"])
            self.send_response(served.status)
            self.send_header("Content-Length", str(len(served.page.encode())))
            self.end_headers()
            self.wfile.write(served.page.encode())

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1/forecast"
    yield served
    server.shutdown()
    server.server_close()


class Now:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


async def asked(source: OpenMeteo | NationalWeather, now: Now) -> list[Temperature]:
    facts = await source.fetch(now.at - HOUR, now.at)
    check_facts(source, facts, now.at - HOUR, now.at)
    return [fact for fact in facts if isinstance(fact, Temperature)]


def open_meteo(celsius: list[float | None], unit: str = "°C", offset_s: int = -18000) -> dict[str, Any]:
    """Hours from 12:00 local, as Open-Meteo writes them in the zone that the URL asked for."""
    times = [f"2026-08-20T{12 + n}:00" for n in range(len(celsius))]
    units = {"time": "iso8601", "temperature_2m": unit}
    return {"utc_offset_seconds": offset_s, "hourly_units": units, "hourly": {"time": times, "temperature_2m": celsius}}


async def test_hours_of_open_meteo_are_facts_until_they_change(web: Web) -> None:
    now = Now(NOW)
    source = OpenMeteo(web.url, now)
    web.put(open_meteo([34.1, None, 35.5, 36.0]))
    first = await asked(source, now)
    start = datetime(2026, 8, 20, 17, tzinfo=UTC)
    assert [(f.over.start - start, f.celsius) for f in first] == [(0 * HOUR, 34.1), (2 * HOUR, 35.5), (3 * HOUR, 36.0)]
    assert await asked(source, now) == []  # not due
    now.at += timedelta(minutes=15)
    web.put(open_meteo([34.2, None, 37.0, 36.4]))
    assert [f.celsius for f in await asked(source, now)] == [37.0]
    now.at += timedelta(minutes=15)
    web.put(open_meteo([93.2], unit="°F"))
    assert [f.celsius for f in await asked(OpenMeteo(web.url, now), now)] == [34.0]
    web.put(
        {"utc_offset_seconds": 0, "current_units": {"temperature_2m": "°C"}, "current": {"time": "2026-08-20T17:30", "temperature_2m": 33}}
    )
    (read,) = await asked(OpenMeteo(web.url, now), now)
    assert read.celsius == 33.0 and read.over == Interval(NOW.replace(minute=30), NOW.replace(minute=45))
    await source.aclose()


async def test_hours_and_observations_of_the_national_weather_service(web: Web) -> None:
    now = Now(NOW)
    hour = {"startTime": "2026-08-20T12:00:00-05:00", "endTime": "2026-08-20T13:00:00-05:00"}
    for given in ({"temperature": 95, "temperatureUnit": "F"}, {"temperature": {"value": 35, "unitCode": "wmoUnit:degC"}}):
        web.put({"properties": {"periods": [hour | given]}})
        (fact,) = await asked(NationalWeather(web.url, now), now)
        assert (fact.celsius, fact.over) == (35.0, Interval(NOW.replace(minute=0), NOW.replace(minute=0) + HOUR))
    observed = {"timestamp": "2026-08-20T16:53:00+00:00", "temperature": {"value": 31.1, "unitCode": "wmoUnit:degC"}}
    web.put({"properties": observed})
    (fact,) = await asked(NationalWeather(web.url, now), now)
    assert (fact.celsius, fact.over) == (31.1, Interval(NOW.replace(minute=0), NOW.replace(minute=15)))
    assert web.agents and all("loadstone" in agent for agent in web.agents)
    web.put({"properties": observed | {"temperature": {"value": None, "unitCode": "wmoUnit:degC"}}})
    with pytest.raises(NotPublished, match="has no temperature"):
        await asked(NationalWeather(web.url, now), now)
    now.at += 2 * HOUR
    web.put({"properties": observed})
    with pytest.raises(Stale, match="16:53Z"):
        await asked(NationalWeather(web.url, now), now)


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("<html>", Unreachable),
        ("{}", Refused),
        ("[]", Refused),
        ('{"utc_offset_seconds": 0, "hourly": {"time": ["x"], "temperature_2m": [1]}, "hourly_units": {"temperature_2m": "C"}}', Refused),
        ('{"utc_offset_seconds": 0, "hourly": {"time": [1], "temperature_2m": [1]}, "hourly_units": {"temperature_2m": "K"}}', Refused),
        ('{"utc_offset_seconds": 0, "hourly": {"time": [1], "temperature_2m": [NaN]}, "hourly_units": {"temperature_2m": "C"}}', Refused),
        ('{"utc_offset_seconds": 0, "hourly": {"time": [1, 2], "temperature_2m": [1]}, "hourly_units": {"temperature_2m": "C"}}', Refused),
        ('{"properties": {"periods": []}}', Refused),
        ('{"properties": {"timestamp": "2026-08-20T17:00:00", "temperature": {"value": 1, "unitCode": "wmoUnit:degC"}}}', Refused),
    ],
)
async def test_what_cannot_be_read_is_refused_and_asked_again(web: Web, page: str, kind: type[SourceError]) -> None:
    now, source = Now(NOW), (OpenMeteo if "properties" not in page else NationalWeather)
    web.page = page
    reader = source(web.url, now)
    for _ in range(2):
        with pytest.raises(kind):
            await asked(reader, now)
    web.page, web.status = "{}", 503
    with pytest.raises(Unreachable, match="503"):
        await asked(reader, now)


async def test_a_silent_sensor_makes_the_temperature_unknown() -> None:
    now, answers = Now(NOW), iter([31.27, None, 32.0])
    closed: list[bool] = []

    async def read() -> float | None:
        return next(answers)

    async def close() -> None:
        closed.append(True)

    sensor = TemperatureSensor("sensor", read, close, now)
    book = FactBook().after(await sensor.fetch(NOW - HOUR, NOW))
    assert await sensor.fetch(NOW - HOUR, NOW) == []  # one reading a quarter hour
    found = book.temperature(NOW)
    assert found is not None and found.celsius == 31.3
    now.at += timedelta(minutes=15)
    with pytest.raises(Unreachable):
        await sensor.fetch(NOW, now.at)
    assert book.temperature(now.at) is not None, "the next reading may still come"
    assert book.temperature(now.at + timedelta(minutes=30)) is None
    await sensor.aclose()
    assert closed


def facts_of(celsius: float, start: datetime) -> list[Fact]:
    return [Temperature(source="t", known_at=start, over=Interval(start, start + HOUR), celsius=celsius)]


def test_a_stale_temperature_is_not_held_for_ever() -> None:
    book = FactBook().after(facts_of(40.0, NOW - 5 * HOUR))
    ahead = Grid.regular(NOW, NOW + HOUR, 15)
    assert outlook(book, NOW - 3 * HOUR, ahead, ("LZ_WEST",), Market.ERCOT).temperature_c.values[0] == 40.0
    seen = outlook(book, NOW, ahead, ("LZ_WEST",), Market.ERCOT)
    assert seen.temperature_c.values.tolist() == [25.0] * 4
    assert "The newest outside temperature ended 4 h ago; 25 C is assumed." in seen.notes


def test_an_implausible_temperature_waits_for_a_second_source() -> None:
    book = FactBook().after(facts_of(200.0, NOW))
    assert book.temperature(NOW) is None
    assert "200 C from t is outside -60 to 60 C" in quarantine_notes(book)[0]
    again = Temperature(source="other", known_at=NOW, over=Interval(NOW, NOW + HOUR), celsius=200.0)
    assert book.after([again]).temperature(NOW) is not None


async def test_tables_and_the_archive_serve_temperatures_from_when_they_were_known(tmp_path: Path) -> None:
    table = tmp_path / "air.csv"
    span = "2026-08-20T17:00:00Z,2026-08-20T18:00:00Z"
    table.write_text(
        f"Interval Start,Interval End,Publish Time,Temperature\n{span},2026-08-20T06:00:00Z,30.5\n{span},2026-08-20T12:00:00Z,33.5\n"
    )
    archive = Archive(tmp_path / "archive")
    assert archive.import_file(table).facts == 2 and archive.import_file(table).facts == 0
    for source in (FactTables("weather", [table], {"temperature"}), ArchiveSource(archive, (), Market.ERCOT, ("temperature",))):
        early = await source.fetch(NOW - timedelta(days=1), NOW - 8 * HOUR)
        assert [f.celsius for f in early if isinstance(f, Temperature)] == [30.5]
        late = FactBook().after([*early, *await source.fetch(NOW - 8 * HOUR, NOW)])
        now = late.temperature(NOW)
        assert now is not None and now.celsius == 33.5
    assert [held.kind for held in archive.show()] == ["temperature"]
    with pytest.raises(SourceError, match="'temperature', not of generation"):
        await FactTables("generation", [table], {"generation"}).fetch(NOW - HOUR, NOW)
