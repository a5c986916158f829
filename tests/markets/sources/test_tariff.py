"""A utility's energy charge: which period holds when, what is told when, and what is wrong with a file."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dispatch import ConfigError
from dispatch.site_file.defaults import default_file
from dispatch.site_file.tariff_file import TariffPrices, read_tariff, tariff_file_faults
from markets.factbook import FactBook
from markets.facts import PriceMarket
from markets.forecasting.ladder import outlook, plan_grid
from markets.grid import Market, OperatingDay
from markets.outlook import Basis, PriceBasis
from markets.sources.tariff import Hourly, RateTable, TariffPeriod, TariffSource
from tests.conformance.source_kit import conforms
from tests.fakes import hashprice

TEXAS = ZoneInfo("America/Chicago")
NOON = datetime(2026, 7, 2, 17, 0, tzinfo=UTC)  # a Thursday, 12:00 in Texas


def shipped() -> RateTable:
    rates, _ = read_tariff(default_file("tariff-rate.toml"), TariffPrices(file="tariff-rate.toml"))
    assert isinstance(rates, RateTable)
    return rates


@pytest.mark.parametrize(
    ("local", "usd"),
    [
        ("2026-07-02T13:00", 118.40),  # a Thursday in July
        ("2026-07-02T12:59", 61.20),
        ("2026-07-02T19:00", 61.20),
        ("2026-07-02T21:00", 38.70),
        ("2026-07-03T15:00", 61.20),  # the holiday of the fourth
        ("2026-07-04T15:00", 61.20),  # a Saturday
        ("2026-10-01T15:00", 38.70),
        ("2026-12-01T06:30", 72.50),
        ("2026-12-05T06:30", 38.70),
    ],
)
def test_the_first_period_that_holds_is_the_price(local: str, usd: float) -> None:
    assert shipped().price(datetime.fromisoformat(local).replace(tzinfo=TEXAS)) == usd


def test_a_season_may_cross_the_end_of_the_year() -> None:
    winter = TariffPeriod("winter", 70.0, season=((11, 15), (3, 14)))
    table = RateTable((winter, TariffPeriod("else", 40.0)), TEXAS)
    days = {date(2026, 11, 14): 40.0, date(2026, 11, 15): 70.0, date(2027, 1, 1): 70.0, date(2027, 3, 14): 70.0, date(2027, 3, 15): 40.0}
    assert {d: table.price(datetime.combine(d, time(12), TEXAS)) for d in days} == days


async def test_it_keeps_the_protocol_of_sources() -> None:
    table = TariffSource(shipped(), ("RATE",), TEXAS)
    facts = await conforms(table, NOON - timedelta(days=2), NOON + timedelta(days=2))
    settles = [f for f in facts if f.market is PriceMarket.REAL_TIME_HOURLY]
    assert len(settles) == 96 and all(f.known_at == f.over.start for f in settles)
    hours = {NOON.replace(hour=h): 31.0 + h for h in range(24)}
    hourly = TariffSource(Hourly(hours, TEXAS, time(16)), ("RATE",), TEXAS)
    told = await conforms(hourly, NOON - timedelta(days=2), NOON + timedelta(days=1))
    ahead = [f for f in told if f.market is PriceMarket.DAY_AHEAD_HOURLY and f.over.start == NOON]
    assert [f.known_at for f in ahead] == [datetime(2026, 7, 1, 21, 0, tzinfo=UTC)], "published at 16:00 on the day before"


@pytest.mark.parametrize(("on", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 7, 1), 24)])
async def test_every_hour_of_a_day_of_daylight_saving_has_its_price(on: date, hours: int) -> None:
    day = OperatingDay(Market.TARIFF, on)
    facts = await TariffSource(shipped(), ("RATE",), TEXAS).fetch(day.start - timedelta(seconds=1), day.end - timedelta(seconds=1))
    settles = [f for f in facts if f.market is PriceMarket.REAL_TIME_HOURLY]
    assert len(settles) == hours
    assert settles[0].over.start == day.start and settles[-1].over.end == day.end


async def test_an_outlook_knows_the_tariff_to_its_end_and_holds_no_price_over_the_hour() -> None:
    at = NOON + timedelta(minutes=40)  # twenty minutes before the peak
    facts = await TariffSource(shipped(), ("RATE",), TEXAS).fetch(at - timedelta(days=2), at)
    book = FactBook().after([*facts, hashprice(45.0, NOON)])
    ahead = outlook(book, at, plan_grid(at, 15, 168), ["RATE"], Market.TARIFF)
    by_hour = {o.start.astimezone(TEXAS): usd for o, usd in zip(ahead.grid.intervals, ahead.energy["RATE"].values, strict=True)}
    assert all(usd == shipped().price(start) for start, usd in by_hour.items())
    assert len(set(by_hour.values())) == 3 and ahead.price_basis is PriceBasis.REAL_TIME
    assert set(ahead.basis["RATE"]) == {Basis.PUBLISHED} and ahead.notes == ("No outside temperature is known; 25 C is assumed.",)


def table_file(folder: Path, text: str) -> Path:
    path = folder / "rate.toml"
    path.write_text(text, "utf-8")
    return path


ALL = '[[periods]]\nname = "all"\nusd_per_mwh = 40\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\n', ["periods: is missing"]),
        (f'name = "x"\ntimezone = "Texas"\n{ALL}', ["timezone: 'Texas' is not a time zone"]),
        (f'name = "x"\nholiday = []\n{ALL}', ["holiday: is not a key here; did you mean holidays?"]),
        (f'name = "x"\n{ALL}hours = [24]\n', ["periods.all.hours#1: must be at most 23, not 24"]),
        (f'name = "x"\n{ALL}from = "06-15"\n', ["from and to need each other"]),
        (f'name = "x"\n{ALL}from = "06-31"\nto = "07-01"\n', ["'06-31' is not a day of the year such as 06-15"]),
        (f'name = "x"\n{ALL}{ALL.replace("all", "late")}', ["period 'late' never applies: periods before it cover all its hours"]),
        (f'name = "x"\n{ALL}weekdays = false\nmonths = [1]\n', ["no period holds on a Monday in January from 0:00"]),
        ("name = ", ["Invalid value"]),
    ],
)
def test_faults_of_a_table_are_named(tmp_path: Path, text: str, said: list[str]) -> None:
    found = tariff_file_faults(table_file(tmp_path, text), TariffPrices(file="rate.toml"))
    assert all(line.startswith("rate.toml: ") for line in found)
    for words in said:
        assert any(words in line for line in found), found


def test_a_year_without_a_price_names_the_first_hour_of_each_month(tmp_path: Path) -> None:
    path = table_file(tmp_path, f'name = "x"\n{ALL}hours = [0, 1, 2]\n')
    assert (
        tariff_file_faults(path, TariffPrices(file="rate.toml"))[0]
        == "rate.toml: periods: no period holds on a Monday in January from 3:00"
    )
    assert len(tariff_file_faults(path, TariffPrices(file="rate.toml"))) == 12


def test_hourly_prices_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rtp.csv"
    path.write_text("start,usd_per_mwh\n2026-07-02T00:00:00-05:00,31.25\n2026-07-02T01:00:00-05:00,29.5\n", "utf-8")
    rates, zone = read_tariff(path, TariffPrices(file="rtp.csv", timezone="America/New_York", published=time(17)))
    assert rates.price(datetime(2026, 7, 2, 6, tzinfo=UTC)) == 29.5 and rates.price(datetime(2026, 7, 2, 7, tzinfo=UTC)) is None
    assert (
        rates.published_on(date(2026, 7, 1)) == (datetime(2026, 7, 1, 21, tzinfo=UTC), (date(2026, 7, 2),))
        and zone.key == "America/New_York"
    )


def test_every_fault_of_an_hourly_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rtp.csv"
    rows = [
        "2026-07-02T00:00:00,31",
        "2026-07-02T01:00:00Z,inf",
        "2026-07-02T02:15:00Z,30",
        "2026-07-02T03:00:00Z,30",
        "2026-07-02T03:00:00Z,30",
    ]
    path.write_text("\n".join(["start,usd_per_mwh", *rows, "x,", ""]), "utf-8")
    with pytest.raises(ConfigError) as fault:
        read_tariff(path, TariffPrices(file="rtp.csv"))
    assert [line.partition("line ")[2][:1] for line in fault.value.faults] == ["2", "3", "4", "6", "7"]
    path.write_text("at,price\n", "utf-8")
    assert tariff_file_faults(path, TariffPrices(file="rtp.csv")) == [
        "rtp.csv: has no column 'start'",
        "rtp.csv: has no column 'usd_per_mwh'",
    ]
    path.write_text("start,usd_per_mwh\n", "utf-8")
    assert tariff_file_faults(path, TariffPrices(file="rtp.csv")) == ["rtp.csv: has no price"]
