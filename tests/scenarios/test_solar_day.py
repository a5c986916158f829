"""A day with a solar plant behind the meter, through the whole loop: planned on its forecast, run on what the sky gives, and billed by an
independent bill from the rigs' telemetry, the measured sun and the contracts alone."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest

from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.reports.labels import footing
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.settlement.day import settle_day
from dispatch.settlement.document import DayStatement
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.rollups import read_rollups
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from markets.facts import Fact, GenerationForecast, MeasuredGeneration
from markets.grid import Interval, Market, OperatingDay
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import document

D = Decimal
DAY = OperatingDay.of(Market.ERCOT, NOON)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
# Cheap nights, an expensive evening, a quarter hour below zero at noon.
USD = [25.0] * 48 + [-12.5] + [35.0] * 15 + [180.0] * 16 + [40.0] * 16
EXPORT_MW, LOSSES = "0.2", "1.02"
BOOK: list[dict[str, Any]] = [
    {"type": "power", "adders_usd_per_mwh": 5.0, "export_haircut_usd_per_mwh": 3.0},
    {"type": "renewable", "name": "solar", "mw": 0.6, "usd_per_mwh": 14.0, "curtailed_usd_per_mwh": 4.0},
    {"type": "transmission", "name": "demand", "method": "ncp", "usd_per_kw_year": 12.0},
]  # fmt: skip
METERS = [{"id": "main", "loss_factor": float(LOSSES), "export_mw": float(EXPORT_MW)}]


def sky(at: datetime) -> float:
    """The sun's share at an instant of the day: dark before 7 and after 20 o'clock."""
    hour = (at - DAY.start) / HOUR
    return max(0.0, cos(pi * (hour - 13.5) / 13.0)) if abs(hour - 13.5) < 6.5 else 0.0


def sun(*, unmeasured: tuple[int, ...] = ()) -> list[Fact]:
    """Hourly forecasts of the day before, and what was measured each quarter hour: a tenth less than forecast, half in a cloud at 15:00.
    Quarter hours `unmeasured` are missing."""
    facts: list[Fact] = []
    for k in range(48):
        over = Interval(DAY.start + k * HOUR, DAY.start + (k + 1) * HOUR)
        mw = round(0.6 * sky(DAY.start + (k % 24) * HOUR + HOUR / 2), 6)
        facts.append(GenerationForecast(source="test", known_at=DAY.start - 12 * HOUR, plant="solar", over=over, mw=mw))
    for k in range(96):
        over = Interval(DAY.start + k * QUARTER, DAY.start + (k + 1) * QUARTER)
        share = 0.5 if 60 <= k < 64 else 0.9
        if k not in unmeasured:
            mw = round(0.6 * share * sky(over.start + QUARTER / 2), 6)
            facts.append(MeasuredGeneration(source="test", known_at=over.end + timedelta(minutes=1), plant="solar", over=over, mw=mw))
    return facts


def run(folder: Path, facts: list[Fact]) -> tuple[Setup, DayStatement, list[Any], dict[tuple[str, datetime], Decimal]]:
    """The statement of the day, its plans, and MWh of the roll-ups."""
    setup = setup_from_document(document(obligations=BOOK, meters=METERS))
    facts = [*facts, *prices(USD, DAY.start), hashprice(45.0, NOON)]
    facts += prices(USD[::4] * 2, DAY.start, minutes=60, market="DAY_AHEAD_HOURLY", known_at=DAY.start - 12 * HOUR)
    engine = open_ledger(folder)
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    telemetry = Telemetry(folder / "telemetry", setup.site)
    made, start = world(setup, DAY.start, facts, telemetry=telemetry), State.start(setup, setup_from_document)
    asyncio.run(loop.run(made, SqlJournal(engine, token), start, run_started("replay", setup, DAY.start, token), DAY.end + HOUR))
    telemetry.flush()
    plans = [entry.plan for _, entry in SqlJournal(engine).read() if isinstance(entry, Planned) and entry.plan]
    bill = settle_day(engine, telemetry, DAY, setup)
    return setup, bill, plans, {(r.group, r.over.start): r.energy_mwh for r in read_rollups(engine, DAY.over, 15)}


def independent_bill(loads_mwh: list[Decimal], could_mwh: list[Decimal]) -> dict[str, Decimal]:
    """The day's totals in Decimal from load and sun by quarter hour."""
    totals = dict.fromkeys(("power/energy", "power/adders", "power/export_haircut", "solar/generated", "solar/curtailed"), D(0))
    peak_mw = D(0)
    for load, could, usd in zip(loads_mwh, could_mwh, USD, strict=True):
        made = min(could, load + D(EXPORT_MW) / 4)
        drawn, out = max(D(0), load - made), max(D(0), made - load)
        totals["power/energy"] += -D(str(usd)) * (drawn * D(LOSSES) - out)
        totals["power/adders"] -= 5 * drawn * D(LOSSES)
        totals["power/export_haircut"] -= 3 * out
        totals["solar/generated"] -= 14 * made
        totals["solar/curtailed"] -= 4 * (could - made)
        peak_mw = max(peak_mw, drawn * 4)
    totals["demand/demand"] = -peak_mw * 1000  # 12 $ a kW and year, a twelfth each month
    return {name: usd.quantize(D("0.01"), ROUND_HALF_UP) for name, usd in totals.items()}


def test_a_sunny_day_is_planned_run_and_billed_to_the_cent(tmp_path: Path) -> None:
    setup, bill, plans, kept = run(tmp_path, sun())
    groups = [g.name for g in setup.site.groups]
    starts = [over.start for over in DAY.grid().intervals]
    measured = {f.over.start: D(str(f.mw)) / 4 for f in sun() if isinstance(f, MeasuredGeneration)}
    loads = [sum((kept[(g, at)] for g in groups), D(0)) for at in starts]
    could = [measured[at] for at in starts]
    expected = independent_bill(loads, could)
    assert {name: D(usd) for name, usd in bill["totals"].items() if usd is not None and name in expected} == expected
    assert min(loads) < D("0.02") and D(bill["totals"]["power/export_haircut"] or 0) < 0, "asleep in the expensive evening, it exported"

    row = bill["generation"]["main"]
    made = [min(c, load + D(EXPORT_MW) / 4) for c, load in zip(could, loads, strict=True)]
    exported = sum(max(D(0), m - load) for m, load in zip(made, loads, strict=True))
    assert (row["intervals"], row["of"]) == (96, 96)
    assert D(row["made_mwh"]) == sum(made) and D(row["exported_mwh"]) == exported > 0
    assert D(row["own_use_mwh"]) == sum(made) - exported
    assert D(row["plants"]["solar"]["curtailed_mwh"] or "NaN") == sum(could) - sum(made)
    assert any(line.startswith("Behind meter main: ") and "exported" in line for line in footing(bill))
    # Other strategies have the same sun: whoever runs always draws less than the rigs do.
    always = bill["counterfactuals"]["always_on"]
    assert D(always["lines"]["power/energy"]) > -sum(D(str(usd)) for usd in USD) / 4 * D("0.265") * D(LOSSES)
    assert {name for name in always["lines"] if name.startswith("solar/")} >= {"solar/generated"}

    evening = next(p for p in plans if datetime.fromisoformat(p["at"]) >= DAY.start + 16 * HOUR)
    now = evening["intervals"][0]
    assert now["generation"]["solar"]["mw"] > 0.2, "surplus power is planned"
    assert any(text.startswith("solar can make") for text in evening["reasons"])


def test_a_quarter_hour_without_measurement_is_a_gap_and_not_a_dark_one(tmp_path: Path) -> None:
    _, bill, _, _ = run(tmp_path, sun(unmeasured=(52, 53)))
    assert bill["gaps"]["intervals"] == 2
    assert any(f["kind"] == "missing-data" and "no generation solar for 2 of 96 intervals" in f["text"] for f in bill["findings"])
    assert bill["generation"]["main"]["intervals"] == 94
    at = (DAY.start + 52 * QUARTER).isoformat()
    assert not [line for line in bill["lines"] if line["interval_start"] == at]


@pytest.mark.parametrize("known", [(), (MeasuredGeneration,)], ids=["nothing known", "measured alone"])
def test_without_a_forecast_the_plan_says_what_it_counts_on(tmp_path: Path, known: tuple[type[Fact], ...]) -> None:
    _, bill, plans, _ = run(tmp_path, [f for f in sun() if isinstance(f, known)] if known else [])
    afternoon = next(p for p in plans if datetime.fromisoformat(p["at"]) >= DAY.start + 14 * HOUR)
    texts = " ".join([*afternoon["reasons"], *afternoon.get("notes", [])])
    assert "what solar can make is unknown for" in texts and "counts on none of it there" in texts
    if not known:
        assert bill["gaps"]["intervals"] == 96, "nothing is billed where nothing is known of the sun"
        assert not afternoon["intervals"][0]["generation"]["solar"]["mw"]
    else:
        assert afternoon["intervals"][0]["generation"]["solar"]["mw"] > 0.1, "the newest measurement holds for an hour"
        assert bill["gaps"]["intervals"] == 0
