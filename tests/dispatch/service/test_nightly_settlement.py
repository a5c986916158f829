"""Days are settled when they end, when they were missed, and when a price changes or a meter reading comes; the loop never waits."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dispatch.decide.state import State
from dispatch.imports.meter_readings import ACTUAL, MeterReading
from dispatch.service.nightly_settlement import SETTLE_AFTER, NightlySettlement
from dispatch.site_file.load import setup_from_document
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document
from dispatch.store.statements import kept_statement
from markets.facts import ReservePrice, SystemLoad
from markets.grid import OperatingDay
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)


def site_day(folder: Path) -> HandMadeDay:
    made = HandMadeDay.of(folder, ON)
    made.prices(lambda n: 20.0)
    made.run_all()
    made.seen()
    return made


def versions(here: HandMadeDay) -> int:
    found = kept_statement(here.engine, ON, here.day.market.value)
    return found.version if found else 0


async def ticks(nightly: NightlySettlement, here: HandMadeDay, *at: datetime) -> None:
    for moment in at:
        await nightly(moment, State.start(here.setup, setup_from_document))


async def test_a_day_is_settled_six_minutes_after_its_end(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=True)
    noon, end = here.day.start + timedelta(hours=12), here.day.end
    await ticks(nightly, here, noon, end, end + SETTLE_AFTER - timedelta(seconds=1))
    assert versions(here) == 0
    await ticks(nightly, here, end + SETTLE_AFTER)
    assert versions(here) == 1
    assert {f.suffix for f in (tmp_path / "settlements" / "2026-07-01").iterdir()} == {".html", ".pdf", ".xlsx", ".csv", ".json"}


async def test_a_missed_day_is_settled_at_the_start(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry)
    await ticks(nightly, here, here.day.end + timedelta(hours=9))
    await nightly.finish()
    assert versions(here) == 1


async def test_a_price_that_changes_makes_the_next_version_within_the_hour(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=True)
    start = here.day.end + timedelta(minutes=10)
    await ticks(nightly, here, start, start + timedelta(minutes=65))
    assert versions(here) == 1, "nothing changed"
    corrected = here.price(here.grid.intervals[40], 25.0, start + timedelta(minutes=66))
    here.seen(start + timedelta(minutes=67), corrected)
    await ticks(nightly, here, start + timedelta(minutes=70))
    assert versions(here) == 1, "looked less than an hour ago"
    await ticks(nightly, here, start + timedelta(minutes=126))
    assert versions(here) == 2
    assert (tmp_path / "settlements" / "2026-07-01" / "settlement-v2.pdf").is_file()


async def test_a_reserve_price_that_changes_makes_the_next_version(tmp_path: Path) -> None:
    """Nothing was sold, so nothing is owed; what perfect foresight would have sold is worth more."""
    here = HandMadeDay.of(tmp_path, ON, extra='[[obligations]]\ntype = "ancillary"\nproducts = ["ECRS"]\n')
    here.prices(lambda n: 20.0)
    here.run_all()
    over = here.grid.intervals[40]
    mcpc = {"source": "hand", "product": "ECRS", "market": "REAL_TIME_15_MIN", "over": over}
    here.facts.append(ReservePrice(**mcpc, known_at=over.end + timedelta(minutes=2), usd_per_mw_h=4.0))
    here.seen()
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=True)
    start = here.day.end + timedelta(minutes=10)
    await ticks(nightly, here, start)
    here.seen(start + timedelta(minutes=30), ReservePrice(**mcpc, known_at=start + timedelta(minutes=29), usd_per_mw_h=400.0))
    await ticks(nightly, here, start + timedelta(minutes=61))
    first, second = (json.loads(one.document) for n in (1, 2) if (one := kept_statement(here.engine, ON, here.day.market.value, n)))
    ahead = [Decimal(d["counterfactuals"]["perfect_foresight"]["lines"]["ancillary/ecrs_imbalance"]) for d in (first, second)]
    assert ahead[1] > ahead[0] and second["delta"]["totals"] == {}


async def test_meter_data_makes_the_next_version(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=True)
    start = here.day.end + timedelta(minutes=10)
    await ticks(nightly, here, start)
    readings = [MeterReading("main", over, Decimal("0.0115"), ACTUAL, n) for n, over in enumerate(here.grid.intervals)]
    assert keep_document(here.engine, ReceivedDocument(DocumentKind.METER, "meter.csv", b"as it came", start), readings)
    await ticks(nightly, here, start + timedelta(minutes=61))
    assert versions(here) == 2
    await ticks(nightly, here, start + timedelta(minutes=122))
    assert versions(here) == 2, "nothing new came"


async def test_a_peak_that_a_later_day_exceeds_is_settled_again(tmp_path: Path) -> None:
    """Both days would else keep a quarter of a year's charge for one month."""
    here = HandMadeDay.of(tmp_path, ON, extra='[[obligations]]\ntype = "transmission"\nmethod = "4cp"\nusd_per_kw_year = 60.0\n')
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=True)
    await ticks(nightly, here, here.day.start + timedelta(hours=1))
    charged = []
    for mw in (70_000.0, 75_000.0):
        here.prices(lambda n: 20.0)
        here.run_all()
        for over in here.grid.intervals:
            load = mw + (1000.0 if over == here.grid.intervals[68] else 0.0)
            here.facts.append(SystemLoad(source="hand", known_at=over.end, over=over, load_mw=load))
        here.seen()
        await ticks(nightly, here, here.day.end + SETTLE_AFTER)
        kept = [kept_statement(here.engine, ON + timedelta(days=n), "ercot") for n in (0, 1)]
        charged.append([json.loads(k.document)["totals"].get("transmission/coincident_peak", "none") for k in kept if k])
        here.day = OperatingDay(here.day.market, ON + timedelta(days=1))
    assert Decimal(charged[0][0]) < 0
    assert charged[1][0] == "none" and Decimal(charged[1][1]) < 0


async def test_a_day_that_cannot_be_settled_stops_nothing(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    (tmp_path / "settlements").write_text("in the way")
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry)
    await ticks(nightly, here, here.day.start + timedelta(hours=1), here.day.end + SETTLE_AFTER)
    await nightly.finish()
    assert versions(here) == 1, "the ledger has it, the folder not"
    await ticks(nightly, here, here.day.end + timedelta(hours=1))


@pytest.mark.parametrize("at_once", [True, False])
async def test_days_that_were_not_run_stop_nothing(tmp_path: Path, at_once: bool) -> None:
    here = HandMadeDay.of(tmp_path, ON)
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=at_once)
    await ticks(nightly, here, here.day.start, here.day.end + SETTLE_AFTER, here.day.end + timedelta(days=2))
    await nightly.finish()
    assert versions(here) == 0
