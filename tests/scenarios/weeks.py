"""Shipped sites over real days: checked, planned, replayed, settled, verified, by the commands a user types."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dispatch.site_file.defaults import default_file
from tests.e2e.site import answer

A_DAY_OR_A_WEEK = [
    pytest.param(1, marks=[pytest.mark.slow(sample="only"), pytest.mark.timeout(900)], id="day"),
    pytest.param(7, marks=[pytest.mark.slow, pytest.mark.timeout(1800)], id="week"),
]
FEBRUARY = "ercot_rt_spp_15min_lz_hb_feb_2019_2020_2021.parquet"
DAY_AHEAD = "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet"
HASH = "btc_daily.csv.gz"


def site_file(name: str) -> Path:
    checked = answer("check", default_file(name))
    assert checked["faults"] == [], "a shipped site has no faults"
    return default_file(name)


def planned(config: Path, archive: Path, at: str) -> dict[str, Any]:
    plan: dict[str, Any] = answer("plan", "--config", config, "--archive", archive, "--at", at)
    assert plan["solve"]["status"] == "optimal" and plan["shortfalls"] == []
    return plan


def settled(folder: Path, config: Path, archive: Path, first: str, days: int) -> list[dict[str, Any]]:
    """The statements of `days` from the midnight `first` on, replayed. Whole, without a finding, and each foots."""
    start = datetime.fromisoformat(first)
    end, data = start + timedelta(days=days), folder / "data"
    span = ("--from", start.isoformat(), "--to", end.isoformat())
    answer("replay", "--config", config, "--archive", archive, *span, "--data", data, timeout=1500)
    assert answer("verify", data)["findings"] == []
    names = [(start + timedelta(days=n)).date().isoformat() for n in range(days)]
    found = [json.loads(sorted((data / "settlements" / name).glob("*.json"))[-1].read_text("utf-8")) for name in names]
    for bill in found:
        assert not bill["partial"] and bill["findings"] == [] and len(bill["intervals"]) == 96
        assert sum(map(Decimal, bill["totals"].values())) == Decimal(bill["net_usd"])
        assert float(bill["net_usd"]) >= float(bill["counterfactuals"]["always_on"]["net_usd"])
    return found


def of(bill: dict[str, Any], obligation: str, charge: str) -> dict[str, dict[str, Any]]:
    """The lines of a charge type by the start of their interval."""
    return {line["interval_start"]: line for line in bill["lines"] if (line["obligation"], line["charge_type"]) == (obligation, charge)}
