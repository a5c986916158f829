"""A self-miner in ERCOT through a real week: the record load of August 2024, reserve sold day-ahead, a deployment and an ERS test."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from dispatch.site_file.defaults import default_file
from markets.archive.archive import Archive
from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.money import cents
from tests.e2e.site import run_json
from tests.scenarios.archives import archive_of
from tests.scenarios.weeks import replay_with_calls

ERCOT, POINT = Market.ERCOT, "HB_WEST"
TABLES = (
    "ercot_rt_spp_15min_hubs_2020_2024.parquet",
    "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet",
    "ercot_dam_as_mcpc_hourly_2022_2025.parquet",
    "ercot_native_load_hourly_2022_2025.parquet",
)
# 2024-08-20: the highest system load of the year, 85,199 MW in the hour ending 18.
PEAK, FIRST, LAST = date(2024, 8, 20), date(2024, 8, 18), date(2024, 8, 24)
ECRS_MW, HOUR = 8.0, timedelta(hours=1)


def local(on: date, hour: int, minute: int = 0) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=ERCOT.tz) + timedelta(hours=hour, minutes=minute)


def site_file(folder: Path) -> Path:
    """The shipped site at a hub: its zone's quarter hours of these days are not kept."""
    path = folder / "site.toml"
    path.write_text(default_file("ercot-miner.toml").read_text("utf-8").replace("LZ_WEST_EW", POINT), "utf-8")
    return path


def calls_and_awards(archive: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """ECRS sold in every hour at its published price; deployed for an hour on the day of the peak; ERS tested the day after."""
    week = Interval(OperatingDay(ERCOT, FIRST).start, OperatingDay(ERCOT, LAST).end)
    paid = Archive(archive).read("reserve", ["ECRS"], week).sort("start")
    awards = [
        {
            "obligation": "ancillary", "product": "ECRS", "market": "DAM", "mw": ECRS_MW, "mcpc_usd_per_mw_h": round(row["value"], 2),
            "interval_start": row["start"].isoformat(), "interval_end": (row["start"] + HOUR).isoformat(),
        }
        for row in paid.iter_rows(named=True)
    ]  # fmt: skip
    calls = [
        {"id": "ecrs", "obligation": "ancillary", "kind": "deploy", "mw_cap": 2.0, "start_at": local(PEAK, 20), "end_at": local(PEAK, 21)},
        {"id": "drill", "obligation": "ers", "kind": "test", "mw_cap": 0.5, "start_at": local(PEAK, 34), "end_at": local(PEAK, 36)},
    ]
    instants = {"notice_at": "start_at", "start_at": "start_at", "end_at": "end_at"}
    return [{**c, "authority": "QSE", **{k: c[of].isoformat() for k, of in instants.items()}} for c in calls], awards


def replay_days(folder: Path, first: date, last: date) -> dict[date, dict[str, Any]]:
    """The newest statement of each day from first to last."""
    archive, config = archive_of(folder, *TABLES), site_file(folder)
    return replay_with_calls(folder, config, archive, [OperatingDay(ERCOT, first), OperatingDay(ERCOT, last)], *calls_and_awards(archive))


def load_mw(statement: dict[str, Any], start: datetime, end: datetime, *groups: str) -> list[float]:
    rows = [r for r in statement["intervals"] if start <= datetime.fromisoformat(r["start"]) < end]
    return [sum(float(r["groups_mw"][g]) for g in groups or r["groups_mw"]) for r in rows]


def charged_usd(statement: dict[str, Any], obligation: str, charge: str) -> D:
    lines = [line for line in statement["lines"] if (line["obligation"], line["charge_type"]) == (obligation, charge)]
    return cents(sum((D(line["amount_usd"]) for line in lines), D(0)))


def check_reserve_block_and_ers(statement: dict[str, Any], archive: Path, on: date) -> None:
    """Reserve, block and stand-by pay equal an independent calculation from prices and loads alone."""
    day = OperatingDay(ERCOT, on)
    paid = Archive(archive).read("reserve", ["ECRS"], Interval(day.start, day.end))
    sold = cents(sum((D(str(round(row["value"], 2))) * 8 for row in paid.iter_rows(named=True)), D(0)))
    assert charged_usd(statement, "ancillary", "ecrs_day_ahead") == sold
    block = D(0)
    for row in statement["intervals"]:
        mwh = sum(D(row["groups_mw"][g]) for g in ("a-s21", "a-s19jpro")) / 4 * D("1.0178")
        block += (5 - mwh) * D(row["price_usd_per_mwh"][POINT])
    assert charged_usd(statement, "block", "block_cost") == D("-15600.00"), "20 MW x 24 h at 32.50 $/MWh"
    assert float(charged_usd(statement, "block", "block_settlement")) == pytest.approx(float(block), abs=0.02 + 1e-5 * abs(float(block)))
    weekday = on.weekday() < 5
    assert charged_usd(statement, "ers", "ers_capacity") == (cents(D("3.5") * D("7.25") * 10) if weekday else 0)


def check_peak_day(statement: dict[str, Any]) -> None:
    """In the hour of the year's peak only the rigs of the ERS and reserve contracts run; in the cheap morning all hash."""
    assert max(load_mw(statement, local(PEAK, 17), local(PEAK, 18), "a-s21", "a-s19jpro")) < 0.5
    assert min(load_mw(statement, local(PEAK, 2), local(PEAK, 6), "a-s21")) > 17.0
    down = load_mw(statement, local(PEAK, 20, 15), local(PEAK, 21), "b-s21")
    assert max(down) <= 2.0 + 1e-6, "deployed reserve is gone within ten minutes"


def check_plan_has_reasons(folder: Path) -> None:
    at = local(PEAK, 12).isoformat()
    assert run_json("plan", "--config", folder / "site.toml", "--archive", folder / "archive", "--at", at)["reasons"]


@pytest.mark.slow(sample="only")
@pytest.mark.timeout(600)
def test_peak_load_day_of_august_2024(tmp_path: Path) -> None:
    statement = replay_days(tmp_path, PEAK, PEAK)[PEAK]
    check_reserve_block_and_ers(statement, tmp_path / "archive", PEAK)
    check_peak_day(statement)
    check_plan_has_reasons(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_peak_load_week_of_august_2024(tmp_path: Path) -> None:
    week = replay_days(tmp_path, FIRST, LAST)
    for on, statement in week.items():
        check_reserve_block_and_ers(statement, tmp_path / "archive", on)
    check_peak_day(week[PEAK])
    check_plan_has_reasons(tmp_path)
    test = week[PEAK + timedelta(days=1)]
    assert max(load_mw(test, local(PEAK, 34, 45), local(PEAK, 36), "c-s19xp")) <= 0.5 + 1e-6
    assert [charged_usd(s, "transmission", "coincident_peak") for s in week.values() if s["date"] != PEAK.isoformat()][-1] == 0
