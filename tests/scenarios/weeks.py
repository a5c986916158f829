"""Shipped sites over real days: checked, planned, replayed, settled and verified by the commands a user types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dispatch.signals.watched_folder import post_file
from dispatch.site_file.defaults import default_file
from dispatch.site_file.load import load_site_file
from dispatch.store.inbox import Inbox
from dispatch.store.tables import open_ledger
from markets.grid import OperatingDay
from tests.e2e.site import run_json

A_DAY_OR_A_WEEK = [
    pytest.param(1, marks=[pytest.mark.slow(sample="only"), pytest.mark.timeout(900)], id="day"),
    pytest.param(7, marks=[pytest.mark.slow, pytest.mark.timeout(1800)], id="week"),
]
FEBRUARY = "ercot_rt_spp_15min_lz_hb_feb_2019_2020_2021.parquet"
DAY_AHEAD = "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet"
HASH = "btc_daily.csv.gz"


def checked_site_file(name: str) -> Path:
    checked = run_json("check", default_file(name))
    assert checked["faults"] == [], "a shipped site has no faults"
    return default_file(name)


def make_plan(config: Path, archive: Path, at: str) -> dict[str, Any]:
    plan: dict[str, Any] = run_json("plan", "--config", config, "--archive", archive, "--at", at)
    assert plan["solve"]["status"] == "optimal" and plan["shortfalls"] == []
    return plan


def replay_statements(folder: Path, config: Path, archive: Path, first: str, days: int) -> list[dict[str, Any]]:
    """The statements of `days` from the midnight `first` on, replayed. Complete, without a finding, each adds up, and all together earn at
    least what leaving every rig on would have."""
    start = datetime.fromisoformat(first)
    found = replayed(folder / "data", config, archive, start, start + timedelta(days=days))
    assert len(found) == days
    for bill in found:
        assert not bill["partial"] and bill["findings"] == [] and len(bill["intervals"]) == 96
        assert sum(map(Decimal, bill["totals"].values())) == Decimal(bill["net_usd"])
    earned = sum(float(bill["net_usd"]) for bill in found)
    assert earned >= sum(float(bill["counterfactuals"]["always_on"]["net_usd"]) for bill in found), "single days may fall behind"
    return found


def replay_with_calls(
    folder: Path, config: Path, archive: Path, days: Sequence[OperatingDay], calls: list[dict[str, Any]], awards: list[dict[str, Any]]
) -> dict[date, dict[str, Any]]:
    """The newest statement of each day from the first to the last of `days`, with calls and awards put into the inbox before the replay."""
    setup, engine = load_site_file(config), open_ledger(folder / "data")
    for kind, rows in (("call", calls), ("award", awards)):
        file = folder / f"{kind}s.json"
        file.write_text(json.dumps(rows), "utf-8")
        post_file(kind, file, Inbox(engine), setup, "desk")
    engine.dispose()
    found = replayed(folder / "data", config, archive, days[0].start, days[-1].end)
    return {date.fromisoformat(statement["date"]): statement for statement in found}


def replayed(data: Path, config: Path, archive: Path, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """The newest statement of every day, in their order; the journal verifies."""
    span = ("--from", start.isoformat(), "--to", end.isoformat())
    run_json("replay", "--config", config, "--archive", archive, *span, "--data", data, timeout=1500)
    assert run_json("verify", data)["findings"] == []
    folders = sorted(folder for folder in (data / "settlements").iterdir() if folder.is_dir())
    return [json.loads(sorted(folder.glob("*.json"))[-1].read_text("utf-8")) for folder in folders]


def lines_of(bill: dict[str, Any], obligation: str, charge: str) -> dict[str, dict[str, Any]]:
    """The lines of a charge type by the start of their interval."""
    return {line["interval_start"]: line for line in bill["lines"] if (line["obligation"], line["charge_type"]) == (obligation, charge)}
