"""Sources of what wind and solar plants can make: tables that another program writes, the archive, and a made-up sky."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from markets import SourceError
from markets.archive.archive import MARKET_KINDS, Archive, ArchiveSource
from markets.archive.tables import GENERATION_KINDS
from markets.factbook import FactBook
from markets.facts import GenerationForecast, MeasuredGeneration
from markets.forecasting.generation import available_generation
from markets.grid import Grid, Interval, Market
from markets.sources.fact_tables import FactTables
from markets.sources.synthetic_sun import SyntheticSun

AT = datetime(2026, 8, 20, 18, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MEASURED = """Interval Start,Interval End,Plant,Generation
2026-08-20T17:30:00Z,2026-08-20T17:45:00Z,solar,1.234567
2026-08-20T17:45:00Z,2026-08-20T18:00:00Z,solar,
"""
FORECAST = """Interval Start,Interval End,Publish Time,Plant,Generation Forecast
2026-08-20T18:00:00Z,2026-08-20T19:00:00Z,2026-08-19T12:00:00Z,solar,2.5
2026-08-20T18:00:00Z,2026-08-20T19:00:00Z,2026-08-20T12:00:00Z,solar,2.0
"""


async def test_tables_give_facts_once_and_a_late_forecast_too(tmp_path: Path) -> None:
    measured, forecast = tmp_path / "measured.csv", tmp_path / "forecast.csv"
    measured.write_text(MEASURED)
    forecast.write_text(FORECAST)
    source = FactTables("generation", [measured, forecast], GENERATION_KINDS)
    first = await source.fetch(AT - 48 * HOUR, AT)
    assert [type(f).__name__ for f in first] == ["GenerationForecast", "GenerationForecast", "MeasuredGeneration"]
    assert first[-1].mw == 1.234567 and first[-1].known_at == AT - timedelta(minutes=13)
    assert not await source.fetch(AT, AT + HOUR)
    forecast.write_text(FORECAST + "2026-08-20T19:00:00Z,2026-08-20T20:00:00Z,2026-08-20T12:00:00Z,solar,1.5\n")
    os.utime(forecast, ns=(1, 1))
    late = await source.fetch(AT + HOUR, AT + 2 * HOUR)
    assert [f.mw for f in late] == [1.5], "published before the last answer, written after it"
    assert not await source.fetch(AT + 2 * HOUR, AT + 3 * HOUR)
    forecast.write_text("a,b\n1,2\n")
    os.utime(forecast, ns=(2, 2))
    with pytest.raises(SourceError, match="forecast.csv"):
        await source.fetch(AT + 3 * HOUR, AT + 4 * HOUR)


async def test_the_archive_keeps_generation_to_the_watt_apart_from_market_facts(tmp_path: Path) -> None:
    table, folder = tmp_path / "plants.csv", tmp_path / "archive"
    table.write_text(MEASURED)
    report = Archive(folder).import_file(table)
    assert report.facts == 1 and [str(g) for g in report.gaps] == [
        "generation solar: nothing from 2026-08-20T17:45Z to 2026-08-20T18:00Z, 1 interval"
    ]
    table.write_text(FORECAST)
    assert Archive(folder).import_file(table).facts == 2, "each publication of a forecast is kept"
    wide = tmp_path / "wide.csv"
    wide.write_text("at_utc,mw\n2026-08-20T17:00:00,0.123456\n")
    Archive(folder).import_file(wide, {"fact": "generation", "time": "at_utc", "interval_min": 15, "columns": {"mw": "wind"}})
    found = await ArchiveSource(Archive(folder), (), Market.ERCOT, GENERATION_KINDS).fetch(AT - 48 * HOUR, AT)
    assert {f.plant: f.mw for f in found if isinstance(f, MeasuredGeneration)} == {"solar": 1.234567, "wind": 0.123456}
    assert sum(isinstance(f, GenerationForecast) for f in found) == 2
    assert not await ArchiveSource(Archive(folder), (), Market.ERCOT, MARKET_KINDS).fetch(AT - 48 * HOUR, AT)


def test_the_newest_forecast_is_used_then_the_newest_measurement_then_earlier_days_and_never_zero() -> None:
    def measured(start: datetime, mw: float) -> MeasuredGeneration:
        over = Interval(start, start + HOUR)
        return MeasuredGeneration(source="t", known_at=over.end, plant="solar", over=over, mw=mw)

    def foreseen(hours: int, mw: float, published: int) -> GenerationForecast:
        over = Interval(AT + hours * HOUR, AT + (hours + 1) * HOUR)
        return GenerationForecast(source="t", known_at=AT - published * HOUR, plant="solar", over=over, mw=mw)

    yesterday = [measured(AT - 24 * HOUR + k * HOUR, 3.0 + k) for k in range(3)]
    book = FactBook().after([foreseen(1, 9.0, 20), foreseen(1, 8.0, 5), measured(AT - HOUR, 2.0), *yesterday])
    grid = Grid.regular(AT, AT + 4 * HOUR, 60)
    found, notes = available_generation(book, AT, grid)
    np.testing.assert_equal(found["solar"].values, [2.0, 8.0, 5.0, np.nan])
    assert notes == [
        "No forecast of solar is known for 3 h of the horizon; its newest measurement and the same hours of earlier days are used."
    ]
    assert book.available_mw("solar", AT + 1.5 * HOUR) == 8.0 and book.available_mw("solar", AT + 3 * HOUR) is None
    assert available_generation(FactBook(), AT, grid) == ({}, [])


async def test_a_made_up_sky_is_the_same_in_any_windows_and_dark_at_night() -> None:
    sun, start = SyntheticSun(Market.ERCOT, 7, {"solar": 5.0}), datetime(2026, 8, 20, 5, 0, tzinfo=UTC)
    day = await sun.fetch(start, start + 24 * HOUR)
    pieces = [f for k in range(24) for f in await sun.fetch(start + k * HOUR, start + (k + 1) * HOUR)]
    assert day == pieces
    made = {f.over.start: f.mw for f in day if isinstance(f, MeasuredGeneration)}
    assert made[start + 2 * HOUR] == 0.0 and 2.0 < max(made.values()) <= 5.0
