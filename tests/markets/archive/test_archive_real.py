"""The maps of tests/maps on the real series they are for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from markets.archive.archive import Archive, ArchiveSource, ImportReport
from markets.facts import Price, PriceMarket
from markets.grid import Interval, Market, OperatingDay
from tests.conformance.source_kit import conforms
from tests.realdata import real

MAPS = Path(__file__).parents[2] / "maps"
RT, HOURLY, DAM = PriceMarket.REAL_TIME_15_MIN, PriceMarket.REAL_TIME_HOURLY, PriceMarket.DAY_AHEAD_HOURLY


def imported(folder: Path, *names: str) -> tuple[Archive, list[ImportReport]]:
    archive = Archive(folder)
    return archive, [archive.import_file(real(name), MAPS / f"{name.split('.')[0]}.toml") for name in names]


def span(first: str, last: str) -> Interval:
    return Interval(datetime.fromisoformat(first).replace(tzinfo=UTC), datetime.fromisoformat(last).replace(tzinfo=UTC))


def test_every_map_has_a_file_and_every_file_a_map() -> None:
    data = real("README.md").parent
    files = {p.name.split(".")[0] for p in data.iterdir() if p.is_file() and p.name != "README.md"}
    assert files == {p.stem for p in MAPS.glob("*.toml")}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return imported(
        tmp_path_factory.mktemp("uri"),
        "ercot_rt_spp_15min_lz_hb_feb_2019_2020_2021.parquet",
        "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet",
    )[0]


def test_prices_of_february_2021(uri: Archive) -> None:
    february = span("2021-02-01T06:00", "2021-03-01T06:00")
    real_time = uri.final_prices("HB_WEST", [RT], february)
    assert len(real_time) == 28 * 96
    assert 9310 <= max(p.usd_per_mwh for p in real_time) < 9320
    assert max(p.usd_per_mwh for p in uri.final_prices("LZ_WEST_EW", [DAM], february)) == 9026.99
    weighted = uri.final_prices("LZ_WEST_EW", [RT], february)
    assert len(weighted) == 28 * 96 and all(p.usd_per_mwh == round(p.usd_per_mwh, 2) for p in weighted)


async def test_nine_days_replay_as_a_source_tick_by_tick(uri: Archive) -> None:
    first = OperatingDay(Market.ERCOT, date(2021, 2, 12)).start
    source = ArchiveSource(uri, ["LZ_WEST_EW"], Market.ERCOT)
    await conforms(source, first, first + timedelta(days=2))
    ticks: list[Price] = []
    for k in range(9 * 288):
        at = first + k * timedelta(minutes=5)
        ticks += [f for f in await source.fetch(at - timedelta(minutes=5), at) if isinstance(f, Price)]
    real_time = [p for p in ticks if p.market is RT]
    assert len(real_time) == 9 * 96 and len([p for p in ticks if p.market is DAM]) == 9 * 24
    assert {p.point for p in real_time} == {"LZ_WEST_EW"}


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Archive, list[ImportReport]]:
    return imported(tmp_path_factory.mktemp("hubs"), "ercot_rt_spp_15min_hubs_2020_2024.parquet", "ercot_rt_spp_two_vintages_2024.csv.gz")


def test_hub_prices_of_ercot(hubs: tuple[Archive, list[ImportReport]]) -> None:
    archive, (report, _) = hubs
    july = archive.final_prices("HB_WEST", [RT], span("2022-07-13T05:00", "2022-07-14T05:00"))
    assert len(july) == 96 and 5500 <= max(p.usd_per_mwh for p in july) < 5510
    west = archive.read("price", ["HB_WEST"]).filter(~pl.col("correction"))
    assert west.height == 138477
    assert (west["value"] < 0).mean() == pytest.approx(0.098, abs=0.001)
    holes = [g for g in report.gaps if g.key == "HB_WEST" and g.over.overlaps(span("2022-10-10T05:00", "2022-10-28T05:00"))]
    assert sum(g.intervals for g in holes) > 15 * 96
    assert not archive.final_prices("HB_WEST", [RT], span("2022-10-15T05:00", "2022-10-16T05:00"))


def test_a_corrected_interval_keeps_both_vintages(tmp_path: Path) -> None:
    archive, _ = imported(tmp_path, "ercot_rt_spp_two_vintages_2024.csv.gz")
    over = span("2024-08-21T01:30", "2024-08-21T01:45")
    (first,) = archive.final_prices("HB_WEST", [RT], over, known_at=over.end + timedelta(minutes=2))
    (last,) = archive.final_prices("HB_WEST", [RT], over)
    assert (first.usd_per_mwh, last.usd_per_mwh) == (925.18, 353.16)


def test_first_published_prices_disagree_with_the_corrected_series(hubs: tuple[Archive, list[ImportReport]]) -> None:
    archive, (_, vintages) = hubs
    assert sum("HB_WEST" in finding for finding in vintages.findings) == 1
    (price,) = archive.final_prices("HB_WEST", [RT], span("2024-08-21T01:30", "2024-08-21T01:45"))
    assert price.usd_per_mwh == 353.16


def test_system_load_and_its_record(tmp_path: Path) -> None:
    archive, (report,) = imported(tmp_path, "ercot_native_load_hourly_2022_2025.parquet")
    record = archive.read("load").sort("value").tail(1)
    assert round(record["value"][0]) == 85199
    assert record["end"][0] == datetime(2024, 8, 20, 23, tzinfo=UTC)  # hour ending 18 CDT
    assert report.facts == 17544


def test_hashprice_of_every_day_is_the_files_own(tmp_path: Path) -> None:
    archive, (report,) = imported(tmp_path, "btc_daily.csv.gz")
    theirs = pl.read_csv(real("btc_daily.csv.gz"))
    assert report.facts == theirs.height == 1827
    for on, usd in theirs.select("date", "hashprice_usd_per_ph_day_difficulty").gather_every(30).iter_rows():
        ours = archive.hashprice_on(date.fromisoformat(on))
        assert ours is not None and ours.usd_per_ph_day == pytest.approx(usd, rel=1e-6)


def test_reserves_from_two_sources(tmp_path: Path) -> None:
    names = ("ercot_dam_as_mcpc_hourly_2022_2025.parquet", "ercot_dam_as_mcpc_hourly_2024_2026_derived.parquet")
    archive, (first, second) = imported(tmp_path, *names)
    assert any(g.key == "ECRS" and g.over.start.year == 2022 for g in first.gaps)
    assert second.facts < 50 and len(second.findings) == 4
    assert archive.read("reserve", ["ECRS"]).height == 8784


def test_day_ahead_hub_average_and_load_forecast(tmp_path: Path) -> None:
    archive, (report,) = imported(tmp_path, "ercot_dam_spp_hubavg_and_load_forecast_hourly_2024_2025.parquet")
    assert report.facts == 2 * 8784
    forecast = archive.read("load_forecast", over=span("2024-08-20T05:00", "2024-08-21T05:00"))
    assert forecast.height == 24 and set(forecast["known_at"].dt.hour()) == {18}
    assert 70_000 < forecast["value"].max() < 90_000  # type: ignore[operator]


def test_real_time_and_day_ahead_in_one_table(tmp_path: Path) -> None:
    archive, _ = imported(tmp_path, "ercot_rt_dam_hourly_all_points_2024_2026.parquet", "ercot_rt_spp_15min_hubavg_2024_2025.parquet")
    year = span("2024-01-01T06:00", "2025-01-01T06:00")
    zone, hub = (archive.final_prices(point, [HOURLY], year) for point in ("LZ_WEST", "HB_WEST"))
    assert sum(p.usd_per_mwh for p in zone) / len(zone) - sum(p.usd_per_mwh for p in hub) / len(hub) == pytest.approx(8.06, abs=0.05)
    assert len(archive.final_prices("HB_HUBAVG", [RT, HOURLY], year)) == 35136


def test_prices_of_miso(tmp_path: Path) -> None:
    archive, (report, of_five) = imported(
        tmp_path, "miso_rt_lmp_hourly_hubs_2020_2024.parquet", "miso_rt_lmp_hourly_mean_of_5min_2024.parquet"
    )
    (price,) = archive.final_prices("TEXAS.HUB", [HOURLY], span("2021-02-17T01:00", "2021-02-17T02:00"))
    assert price.usd_per_mwh == 3500.00
    uri = archive.final_prices("TEXAS.HUB", [HOURLY], span("2021-02-12T05:00", "2021-02-21T05:00"))
    assert len(uri) == 9 * 24
    assert set(archive.read("price")["iso"]) == {"miso"} and any(g.key == "TEXAS.HUB" for g in report.gaps)
    assert len(of_five.findings) == 8  # hourly prices are not means of five minutes
