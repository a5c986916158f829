"""Real days replayed from the archive: one tick after a published price crosses a model's breakeven its megawatts have followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from markets.archive.archive import Archive
from markets.facts import PriceMarket
from markets.grid import Interval
from markets.hashmath import breakeven_usd_per_mwh
from tests.scenarios.archives import archive_of
from tests.scenarios.weeks import replayed

MODELS = {
    "s19jpro": ("antminer-s19j-pro", 3068.0, 104.0),
    "s19xp": ("antminer-s19-xp", 3010.0, 140.0),
    "s21": ("antminer-s21", 3500.0, 200.0),
}


def site_file(path: Path, market: str, point: str) -> Path:
    """A 100 MW site of thirds, at the day's hashprice, no minimum times, no overhead, no adders; starts cost nothing, so that prices alone
    decide."""
    lines = ["[site]", 'name = "Thirds"', f'market = "{market}"', f'settlement_point = "{point}"', "interconnect_mw = 101.0"]
    lines += ["[[meters]]", 'id = "main"', "[[halls]]", 'name = "a"', 'meter = "main"', "limit_mw = 101.0"]
    for name, (model, watts, _) in MODELS.items():
        lines += ["[[groups]]", f'name = "{name}"', 'hall = "a"', f'model = "{model}"', f"rigs = {round(100e6 / 3 / watts)}"]
    lines += ["[hash]", 'source = "archive"', "[[obligations]]", 'type = "transition"', "weight = 0.0", ""]
    path.write_text("\n".join(lines), "utf-8")
    return path


def settled_intervals(folder: Path, config: Path, archive: Path, first: str, last: str, midnight: str) -> Iterator[dict[str, Any]]:
    """The settled intervals of every day from first to last, as the statement shows them."""
    start, end = datetime.fromisoformat(f"{first}T{midnight}"), datetime.fromisoformat(f"{last}T{midnight}") + timedelta(days=1)
    for statement in replayed(folder / "data", config, archive, start, end):
        yield from statement["intervals"]


def check_load_follows_price(rows: list[dict[str, Any]], archive: Path, point: str, run: PriceMarket) -> dict[str, list[int]]:
    """Check the share of each model that ran in each settled interval against the prices that were published by then.

    A price is known two minutes after its interval and acted on at once, the hashprice of a day is made from the day before. Rigs
    come up within 1.3 minutes. Returns by model how often it crossed its breakeven down and up. Rows are left out only where an acting
    price was stale or stood within 1 % of the breakeven, or where the day-ahead price, towards which the last price is expected to go
    until the next is known, stood on the other side of it.
    """
    over = Interval(datetime.fromisoformat(rows[0]["start"]) - timedelta(hours=3), datetime.fromisoformat(rows[-1]["end"]))
    kept = Archive(archive)
    ahead = {p.over.start: p.usd_per_mwh for p in kept.final_prices(_day_ahead_point(point), (PriceMarket.DAY_AHEAD_HOURLY,), over)}
    acts = sorted((p.known_at, p) for p in kept.final_prices(point, (run,), over))
    stale = timedelta(minutes=20) if run is PriceMarket.REAL_TIME_15_MIN else timedelta(minutes=65)
    crossings: dict[str, list[int]] = {name: [0, 0] for name in MODELS}
    ran_before: dict[str, bool] = {}
    checked = 0
    for row in rows:
        slices = [datetime.fromisoformat(row["start"]) + timedelta(minutes=k) for k in range(int(_minutes(row)))]
        acting = [next((p for at, p in reversed(acts) if at <= s), None) for s in slices]
        for name, (_, watts, ths) in MODELS.items():
            full_mw = round(100e6 / 3 / watts) * watts / 1e6
            runs = [_should_run(kept, p, s, watts / ths, stale) for p, s in zip(acting, slices, strict=True)]
            if None in runs:
                ran_before.pop(name, None)
                continue
            drawn = [_should_run(kept, p, s, watts / ths, stale, ahead) for p, s in zip(acting, slices, strict=True)]
            if None not in drawn:
                share, expected = float(row["groups_mw"][name]) / full_mw, sum(map(bool, runs)) / len(runs)
                seen = (name, row["start"], share, expected, [p and p.usd_per_mwh for p in acting])
                assert abs(share - expected) * _minutes(row) < 1.3, seen
                checked += 1
            now = bool(runs[-1])
            if ran_before.get(name, now) != now:
                crossings[name][now] += 1
            ran_before[name] = now
    assert checked > 0.8 * len(rows) * len(MODELS)
    return crossings


def _minutes(row: dict[str, Any]) -> float:
    return (datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"])).total_seconds() / 60


def _day_ahead_point(point: str) -> str:
    return point.removesuffix("_EW")


def _should_run(
    kept: Archive, price: Any, at: datetime, j_per_th: float, stale: timedelta, ahead: Mapping[datetime, float] | None = None
) -> bool | None:
    """Whether a model of this efficiency should run on this price; None where that cannot be said to a hair, or where a day-ahead price
    is on the other side of its breakeven."""
    if price is None or at - price.over.end > stale:
        return None
    hashprice = _hashprice(kept, (at - timedelta(days=1)).date())
    breakeven = breakeven_usd_per_mwh(hashprice, j_per_th)
    runs = bool(price.usd_per_mwh < breakeven)
    day_ahead = (ahead or {}).get(at.replace(minute=0, second=0, microsecond=0), price.usd_per_mwh)
    return None if abs(price.usd_per_mwh - breakeven) < 0.01 * breakeven or (day_ahead < breakeven) != runs else runs


@cache
def _hashprice(kept: Archive, on: date) -> float:
    found = kept.hashprice_on(on)
    assert found is not None
    return found.usd_per_ph_day


def test_load_follows_price_at_hb_west_on_2022_07_13(tmp_path: Path) -> None:
    """2022-07-13: 5,500 $/MWh at HB_WEST."""
    archive = archive_of(
        tmp_path, "ercot_rt_spp_15min_hubs_2020_2024.parquet", "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet", "btc_daily.csv.gz"
    )
    config = site_file(tmp_path / "site.toml", "ercot", "HB_WEST")
    rows = list(settled_intervals(tmp_path, config, archive, "2022-07-13", "2022-07-13", "05:00:00+00:00"))
    assert len(rows) == 96 and max(float(r["price_usd_per_mwh"]["HB_WEST"]) for r in rows) > 5500.0
    crossed = check_load_follows_price(rows, archive, "HB_WEST", PriceMarket.REAL_TIME_15_MIN)
    assert all(down and up for down, up in crossed.values()), crossed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_load_follows_price_at_lz_west_in_winter_storm_uri(tmp_path: Path) -> None:
    """2021-02-12 to 02-20, the zone's energy-weighted price, 9,000 $/MWh for days."""
    archive = archive_of(
        tmp_path, "ercot_rt_spp_15min_lz_hb_feb_2019_2020_2021.parquet", "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet", "btc_daily.csv.gz"
    )
    config = site_file(tmp_path / "site.toml", "ercot", "LZ_WEST_EW")
    rows = list(settled_intervals(tmp_path, config, archive, "2021-02-12", "2021-02-20", "06:00:00+00:00"))
    assert len(rows) == 9 * 96
    crossed = check_load_follows_price(rows, archive, "LZ_WEST_EW", PriceMarket.REAL_TIME_15_MIN)
    assert all(down >= 3 and up >= 3 for down, up in crossed.values()), crossed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_load_follows_price_at_texas_hub_in_winter_storm_uri(tmp_path: Path) -> None:
    """The same nine days in MISO, hourly, EST."""
    archive = archive_of(tmp_path, "miso_rt_lmp_hourly_hubs_2020_2024.parquet", "btc_daily.csv.gz")
    config = site_file(tmp_path / "site.toml", "miso", "TEXAS.HUB")
    rows = list(settled_intervals(tmp_path, config, archive, "2021-02-12", "2021-02-20", "05:00:00+00:00"))
    crossed = check_load_follows_price(rows, archive, "TEXAS.HUB", PriceMarket.REAL_TIME_HOURLY)
    assert all(down and up for down, up in crossed.values()), crossed
