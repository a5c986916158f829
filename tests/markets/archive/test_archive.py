from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from markets.archive.archive import Archive, ArchiveSource
from markets.archive.tablemap import HASH_FIGURES
from markets.archive.tables import TableFault, UnknownMarket
from markets.facts import (
    HashEconomics,
    IndicativePrices,
    IndicativeReservePrices,
    LoadForecast,
    Price,
    PriceMarket,
    ReservePrice,
    SystemLoad,
)
from markets.grid import Interval, Market
from tests.conformance.source_kit import conforms

RT, DAM = PriceMarket.REAL_TIME_15_MIN, PriceMarket.DAY_AHEAD_HOURLY
DAY = Interval(datetime(2024, 7, 1, 5, tzinfo=UTC), datetime(2024, 7, 2, 5, tzinfo=UTC))

PRICES = """Time,Interval Start,Interval End,Location,Location Type,Market,SPP
2024-07-01 00:00:00-05:00,2024-07-01 00:00:00-05:00,2024-07-01 00:15:00-05:00,LZ_WEST,Load Zone,REAL_TIME_15_MIN,21.504
2024-07-01 00:15:00-05:00,2024-07-01 00:15:00-05:00,2024-07-01 00:30:00-05:00,LZ_WEST,Load Zone,REAL_TIME_15_MIN,
2024-07-01 00:30:00-05:00,2024-07-01 00:30:00-05:00,2024-07-01 00:45:00-05:00,LZ_WEST,Load Zone,REAL_TIME_15_MIN,-3.10
2024-07-01 00:00:00-05:00,2024-07-01 00:00:00-05:00,2024-07-01 00:15:00-05:00,LZ_WEST_EW,Load Zone EW,REAL_TIME_15_MIN,22.00
"""
DAY_AHEAD = """Interval Start,Interval End,Location,Market,SPP
2024-07-01T05:00:00Z,2024-07-01T06:00:00Z,LZ_WEST,DAY_AHEAD_HOURLY,30.25
2024-11-03T06:00:00+00:00,2024-11-03T07:00:00+00:00,LZ_WEST,DAY_AHEAD_HOURLY,31.25
2024-07-01T05:00:00Z,2024-07-01T06:00:00Z,TEXAS.HUB,DAY_AHEAD_HOURLY,28.00
"""
RESERVES = """Interval Start,Interval End,AS Type,MCPC
2024-07-01 00:00:00-05:00,2024-07-01 01:00:00-05:00,ECRS,2.5
2024-07-01 00:00:00-05:00,2024-07-01 01:00:00-05:00,NSPIN,1.5
"""
LOADS = """Interval Start,Interval End,Load
2024-07-01 00:00:00-05:00,2024-07-01 00:05:00-05:00,60123.4
"""
FORECASTS = """Publish Time,Interval Start,Interval End,Load Forecast
2024-06-30 10:30:00-05:00,2024-07-01 00:00:00-05:00,2024-07-01 01:00:00-05:00,61000
2024-06-30 11:30:00-05:00,2024-07-01 00:00:00-05:00,2024-07-01 01:00:00-05:00,61500
"""
CORRECTIONS = """Price Correction Time,Interval Start,Interval End,Location,Location Type,SPP Original,SPP Corrected
2024-07-09 16:00:00-05:00,2024-07-01 00:00:00-05:00,2024-07-01 00:15:00-05:00,LZ_WEST,LZ,21.50,19.75
"""
ECONOMICS = """date,difficulty,btc_usd,fees_btc_per_block,subsidy_btc
2024-06-29,83675262295059.0,60800.5,0.05,3.125
2024-07-01,83675262295059.0,62850.0,0.06,3.125
"""


WIDE: dict[str, object] = {"time": "t", "interval_min": 15, "market": "REAL_TIME_15_MIN", "columns": {"A": "HB_WEST"}}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def known(archive: Archive, kind: str) -> list[str]:
    return [f"{at:%Y-%m-%dT%H:%MZ}" for at in archive.read(kind)["known_at"]]


def test_prices_round_to_the_cent_and_a_gap_stays_a_gap(archive: Archive, tmp_path: Path) -> None:
    report = archive.import_file(written(tmp_path, "july.csv", PRICES))
    assert (report.rows, report.facts, report.findings) == (3, 3, ())
    (gap,) = report.gaps
    assert str(gap) == "price LZ_WEST REAL_TIME_15_MIN: nothing from 2024-07-01T05:15Z to 2024-07-01T05:30Z, 1 interval"
    prices = archive.final_prices("LZ_WEST", [RT], DAY)
    assert [(p.usd_per_mwh, p.source) for p in prices] == [(21.50, "july"), (-3.10, "july")]
    assert prices[0].known_at == datetime(2024, 7, 1, 5, 17, tzinfo=UTC)
    assert [p.usd_per_mwh for p in archive.final_prices("LZ_WEST_EW", [RT], DAY)] == [22.00]


def test_implausible_prices_and_economics_settle_nothing(archive: Archive, tmp_path: Path) -> None:
    archive.import_file(written(tmp_path, "july.csv", PRICES.replace("-3.10", "90000.00")))
    assert [p.usd_per_mwh for p in archive.final_prices("LZ_WEST", [RT], DAY)] == [21.50]
    archive.import_file(written(tmp_path, "hash.csv", ECONOMICS.replace("62850.0", "9000000000.0")))
    assert archive.hashprice_on(date(2024, 7, 1)) is None


def test_each_market_publishes_by_its_own_clock(archive: Archive, tmp_path: Path) -> None:
    archive.import_file(written(tmp_path, "dam.csv", DAY_AHEAD))
    archive.import_file(written(tmp_path, "as.csv", RESERVES))
    archive.import_file(written(tmp_path, "load.csv", LOADS), market=Market.ERCOT)
    archive.import_file(written(tmp_path, "forecast.csv", FORECASTS), market=Market.ERCOT)
    # 13:30 Central daylight time; the day clocks fall back still has its day-ahead prices at 13:30 CDT; MISO at 13:30 EST
    assert known(archive, "price") == ["2024-06-30T18:30Z", "2024-11-02T18:30Z", "2024-06-30T18:30Z"]
    assert known(archive, "reserve") == ["2024-06-30T18:30Z"] * 2
    assert known(archive, "load") == ["2024-07-01T05:07Z"]
    assert known(archive, "load_forecast") == ["2024-06-30T15:30Z", "2024-06-30T16:30Z"]


def test_winter_day_ahead_prices_come_at_13_30_standard_time(archive: Archive, tmp_path: Path) -> None:
    text = "Interval Start,Interval End,Location,Market,SPP\n2024-01-02T06:00:00Z,2024-01-02T07:00:00Z,HB_WEST,DAY_AHEAD_HOURLY,1\n"
    archive.import_file(written(tmp_path, "dam.csv", text))
    assert known(archive, "price") == ["2024-01-01T19:30Z"]


def test_the_energy_weighted_zone_settles_day_ahead_at_its_zone(archive: Archive, tmp_path: Path) -> None:
    archive.import_file(written(tmp_path, "dam.csv", DAY_AHEAD))
    assert [p.usd_per_mwh for p in archive.final_prices("LZ_WEST_EW", [DAM], DAY)] == [30.25]
    assert archive.final_prices("LZ_WEST_EW", [RT], DAY) == ()


def test_importing_again_changes_nothing(archive: Archive, tmp_path: Path) -> None:
    for name, text in {"p": PRICES, "d": DAY_AHEAD, "r": RESERVES, "l": LOADS, "f": FORECASTS, "c": CORRECTIONS, "h": ECONOMICS}.items():
        archive.import_file(written(tmp_path, f"{name}.csv", text), market=Market.ERCOT)
    files = {path: path.read_bytes() for path in sorted(archive.folder.rglob("*.parquet"))}
    for name in "pdrlfch":
        assert archive.import_file(tmp_path / f"{name}.csv", market=Market.ERCOT).facts == 0
    assert {path: path.read_bytes() for path in sorted(archive.folder.rglob("*")) if path.is_file()} == files


def test_a_correction_is_a_later_vintage_and_what_was_known_before_stays(archive: Archive, tmp_path: Path) -> None:
    archive.import_file(written(tmp_path, "july.csv", PRICES))
    report = archive.import_file(written(tmp_path, "corrections.csv", CORRECTIONS))
    assert (report.facts, report.findings, report.gaps) == (1, (), ())
    assert archive.final_prices("LZ_WEST", [RT], DAY)[0].usd_per_mwh == 19.75
    before = archive.final_prices("LZ_WEST", [RT], DAY, known_at=datetime(2024, 7, 9, 20, 59, tzinfo=UTC))
    assert before[0].usd_per_mwh == 21.50
    (zone,) = [h for h in archive.show() if h.key == "LZ_WEST"]
    assert (zone.corrected, zone.disputed, zone.intervals, len(zone.gaps)) == (1, 0, 2, 1)


def test_sources_that_disagree_are_a_finding_and_the_first_is_served(archive: Archive, tmp_path: Path) -> None:
    archive.import_file(written(tmp_path, "july.csv", PRICES))
    for _ in range(2):
        report = archive.import_file(written(tmp_path, "other.csv", PRICES.replace("21.504", "23.00")))
        assert len(report.findings) == 1 and "21.50" in report.findings[0] and "23.00" in report.findings[0]
    assert archive.final_prices("LZ_WEST", [RT], DAY)[0].usd_per_mwh == 21.50
    (zone,) = [h for h in archive.show() if h.key == "LZ_WEST"]
    assert zone.disputed == 1 and archive.read("price", ["LZ_WEST"], disputed=True).height == 3


def test_two_values_for_one_interval_in_one_file_are_a_finding(archive: Archive, tmp_path: Path) -> None:
    text = PRICES + "x," + PRICES.splitlines()[1].split(",", 1)[1].replace("21.504", "99.00") + "\n"
    report = archive.import_file(written(tmp_path, "july.csv", text))
    assert len(report.findings) == 1 and archive.final_prices("LZ_WEST", [RT], DAY)[0].usd_per_mwh == 21.50


def test_hash_economics_make_the_days_hashprice(archive: Archive, tmp_path: Path) -> None:
    report = archive.import_file(written(tmp_path, "hash.csv", ECONOMICS))
    assert report.facts == 2 and [g.over.start.date() for g in report.gaps] == [date(2024, 6, 30)]
    day = archive.hashprice_on(date(2024, 7, 1))
    assert day is not None
    assert day.usd_per_ph_day == pytest.approx(1e15 * 86400 / (83675262295059.0 * 2**32) * 3.185 * 62850.0)
    assert archive.hashprice_on(date(2024, 6, 30)) is None
    again = archive.import_file(written(tmp_path, "other.csv", ECONOMICS.replace("62850.0", "62851.0")))
    assert again.facts == 0 and len(again.findings) == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("naive.csv", PRICES.replace("00:15:00-05:00,LZ", "00:15:00,LZ"), "naive.csv: column 'Interval End'"),
        ("market.csv", PRICES.replace("REAL_TIME_15_MIN", "RTM"), "column 'Market': 'RTM'"),
        ("columns.csv", "a,b\n1,2\n", "its columns match no known table"),
        ("words.csv", PRICES.replace("21.504", "n/a"), "column 'SPP'"),
        ("infinite.csv", PRICES.replace("21.504", "inf"), "infinite"),
        ("never.csv", PRICES.replace("2024-07-01 00:15:00-05:00,LZ_WEST,", "2024-13-01 00:15:00-05:00,LZ_WEST,"), "'2024-13-01"),
        ("backward.csv", PRICES.replace("2024-07-01 00:45:00-05:00", "2024-07-01 00:30:00-05:00"), "without an interval"),
        ("what.xlsx", "", "neither .csv"),
        ("empty.csv", "", "cannot be read"),
    ],
)
def test_a_faulty_table_is_named_and_leaves_nothing_behind(archive: Archive, tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(TableFault, match=name.split(".")[0]) as fault:
        archive.import_file(written(tmp_path, name, text))
    assert words in str(fault.value)
    assert not archive.folder.exists()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"time": "t", "interval_min": 15, "columns": {"A": "HB_WEST"}, "marker": 1}, "unknown key 'marker'"),
        ({"time": "t", "interval_min": 15, "columns": {"A": "HB_WEST"}}, "market"),
        (WIDE | {"columns": {"B": "HB_WEST"}}, "no column 'B'"),
        ({"time": "t", "market": "REAL_TIME_15_MIN", "columns": {"A": "HB_WEST"}}, "interval_min"),
        ({"time": "t", "interval_min": 15, "market": "REAL_TIME_15_MIN"}, "columns"),
        (WIDE | {"columns": {"A": 5}}, "columns.A"),
        (WIDE | {"columns": {"A": {"name": "HB_WEST", "fact": "hash"}}}, "fact 'hash'"),
        (WIDE | {"iso": "pjm"}, "'pjm'"),
        (WIDE | {"known": "never"}, "'never'"),
        (WIDE | {"correction": {"column": "A"}}, "correction"),
        (WIDE | {"interval_min": 0}, "interval_min"),
        ({"fact": "hash", "columns": dict.fromkeys(("date", *HASH_FIGURES), 5)}, "difficulty"),
        ({"fact": "weather", "columns": {"A": "x"}}, "'weather'"),
        ({"fact": "hash", "columns": {"date": "t"}}, "difficulty"),
        (WIDE | {"time": "bare"}, "column 'bare': '2024-07-01T05:00:00' has no UTC offset"),
    ],
)
def test_a_faulty_map_is_named(archive: Archive, tmp_path: Path, spec: dict[str, object], words: str) -> None:
    with pytest.raises(TableFault) as fault:
        archive.import_file(written(tmp_path, "wide.csv", "t,bare,A\n2024-07-01T05:00:00Z,2024-07-01T05:00:00,1.0\n"), spec)
    assert words in str(fault.value)


def test_system_load_is_never_filed_under_a_market_that_nothing_names(archive: Archive, tmp_path: Path) -> None:
    load, forecast = written(tmp_path, "load.csv", LOADS), written(tmp_path, "forecast.csv", FORECASTS)
    wide = {"fact": "load", "time": "Interval Start", "interval_min": 5, "columns": {"Load": "load"}}
    for path, spec in ((load, None), (forecast, None), (load, wide)):
        with pytest.raises(UnknownMarket, match="--market ercot or miso"):
            archive.import_file(path, spec)
    assert not archive.folder.exists()
    archive.import_file(load, wide | {"iso": "miso"})
    archive.import_file(forecast)  # the only market the archive holds
    assert {iso for kind in ("load", "load_forecast") for iso in archive.read(kind)["iso"]} == {"miso"}
    archive.import_file(load, market=Market.ERCOT)
    assert sorted(archive.read("load")["iso"]) == ["ercot", "miso"]
    with pytest.raises(UnknownMarket):
        archive.import_file(forecast)


def test_a_wide_table_with_its_map_either_way_round(archive: Archive, tmp_path: Path) -> None:
    times = pl.datetime_range(datetime(2024, 7, 1, 5), datetime(2024, 7, 1, 6), "15m", closed="left", eager=True)
    path = tmp_path / "wide.parquet"
    pl.DataFrame({"start_utc": times, "west": [1.0, 2.0, None, float("nan")], "north": [5.0] * 4}).write_parquet(path)
    spec = tmp_path / "wide.toml"
    spec.write_text('time = "start_utc"\ninterval_min = 15\nmarket = "REAL_TIME_15_MIN"\n[columns]\nwest = "HB_WEST"\nnorth = "HB_NORTH"\n')
    report = archive.import_file(path, spec)
    assert (report.rows, report.facts, [(g.key, g.intervals) for g in report.gaps]) == (6, 6, [("HB_WEST", 2)])
    turned = {"time": "start_utc", "interval_min": 15, "market": "REAL_TIME_15_MIN", "columns": {"HB_WEST": "west", "HB_NORTH": "north"}}
    assert archive.import_file(path, turned).facts == 0


async def test_the_archive_is_a_source(archive: Archive, tmp_path: Path) -> None:
    for name, text in {"p": PRICES, "d": DAY_AHEAD, "r": RESERVES, "l": LOADS, "f": FORECASTS, "c": CORRECTIONS, "h": ECONOMICS}.items():
        archive.import_file(written(tmp_path, f"{name}.csv", text), market=Market.ERCOT)
    since, until = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 12, 1, tzinfo=UTC)
    west = ArchiveSource(archive, ["LZ_WEST_EW", "LZ_WEST"], Market.ERCOT)
    facts = await conforms(west, since, until, [datetime(2024, 6, 30, 18, 30, tzinfo=UTC), datetime(2024, 7, 1, 5, 17, tzinfo=UTC)])
    assert west.name == "archive" and not west.synthetic
    kinds = [type(f) for f in facts]
    assert [kinds.count(k) for k in (Price, ReservePrice, SystemLoad, LoadForecast, HashEconomics)] == [6, 2, 1, 2, 2]
    assert {f.point for f in facts if isinstance(f, Price)} == {"LZ_WEST", "LZ_WEST_EW"}
    only_hash = await ArchiveSource(archive, [], Market.ERCOT, kinds=["hash"]).fetch(since, until)
    assert [type(f) for f in only_hash] == [HashEconomics, HashEconomics]
    assert await ArchiveSource(archive, ["TEXAS.HUB"], Market.MISO, kinds=["load", "reserve"]).fetch(since, until) == []
    assert await ArchiveSource(Archive(tmp_path / "nothing"), ["LZ_WEST"], Market.ERCOT).fetch(since, until) == []


RUNS = """Interval Start,Interval End,SCED Timestamp,Market,Location,Location Type,LMP
2024-07-01 00:00:00-05:00,2024-07-01 00:05:00-05:00,2024-07-01 00:00:14-05:00,REAL_TIME_SCED,LZ_WEST,LZ,31.5
2024-07-01 00:05:00-05:00,2024-07-01 00:10:00-05:00,2024-07-01 00:05:12-05:00,REAL_TIME_SCED,LZ_WEST,LZ,33.5
"""
LOOK_AHEAD = """RTD Timestamp,Interval Start,Interval End,Location,Location Type,LMP
2024-07-01 00:00:14-05:00,2024-07-01 00:05:00-05:00,2024-07-01 00:10:00-05:00,LZ_WEST,LZ,40
2024-07-01 00:00:14-05:00,2024-07-01 00:10:00-05:00,2024-07-01 00:15:00-05:00,LZ_WEST,LZ,41
2024-07-01 00:05:12-05:00,2024-07-01 00:10:00-05:00,2024-07-01 00:15:00-05:00,LZ_WEST,LZ,55
2024-07-01 00:05:12-05:00,2024-07-01 00:10:00-05:00,2024-07-01 00:15:00-05:00,HB_NORTH,HU,54
"""
RESERVE_RUNS = """SCED Timestamp,AS Type,MCPC,Uncapped MCPC
2024-07-01 00:05:12-05:00,ECRS,4.25,4.25
"""
RESERVES_AHEAD = """Interval Start,Interval End,RTD Timestamp,REGUP,REGDN,RRS,ECRS,NSPIN
2024-07-01 00:05:00-05:00,2024-07-01 00:10:00-05:00,2024-07-01 00:00:14-05:00,1,2,3,4,5
2024-07-01 00:10:00-05:00,2024-07-01 00:15:00-05:00,2024-07-01 00:00:14-05:00,1,2,3,6,5
"""


async def test_dispatch_and_look_ahead_runs_are_facts_from_just_after_each_run(archive: Archive, tmp_path: Path) -> None:
    for name, text in {"runs": RUNS, "ahead": LOOK_AHEAD, "as": RESERVE_RUNS, "as_ahead": RESERVES_AHEAD}.items():
        report = archive.import_file(written(tmp_path, f"{name}.csv", text))
        assert report.findings == () and report.facts == report.rows
    facts = await conforms(ArchiveSource(archive, ["LZ_WEST"], Market.ERCOT), DAY.start - timedelta(hours=1), DAY.end)
    prices = [f for f in facts if isinstance(f, Price)]
    assert [(p.market, p.usd_per_mwh) for p in prices] == [(PriceMarket.REAL_TIME_SCED, 31.5), (PriceMarket.REAL_TIME_SCED, 33.5)]
    assert [f"{p.known_at:%M:%S}" for p in prices] == ["00:44", "05:42"]
    ahead = [f for f in facts if isinstance(f, IndicativePrices)]
    assert [(f.point, f.usd_per_mwh, f"{f.over.start:%H:%M}") for f in ahead] == [
        ("LZ_WEST", (40.0, 41.0), "05:05"),
        ("LZ_WEST", (55.0,), "05:10"),
    ]
    (reserve,) = [f for f in facts if isinstance(f, ReservePrice)]
    assert (reserve.product, reserve.market, reserve.usd_per_mw_h) == ("ECRS", "REAL_TIME_SCED", 4.25)
    assert {f.product: f.usd_per_mw_h for f in facts if isinstance(f, IndicativeReservePrices)}["ECRS"] == (4.0, 6.0)
    assert not archive.final_prices("LZ_WEST", [RT], DAY), "nothing settles on a dispatch run"


def test_a_half_written_file_is_never_read(archive: Archive, tmp_path: Path) -> None:
    archive.import_file(written(tmp_path, "july.csv", PRICES))
    stray = archive.folder / "price" / ".2024-08.parquet.1.tmp"
    stray.write_bytes(b"half")
    assert archive.read("price").height == 3 and len(archive.show()) == 2
