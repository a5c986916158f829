"""A site with 4CP, a demand charge, a forward, a tenant and stillness: what if, and a day run, remembered and billed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dispatch.decide.state import State
from dispatch.entries import PriceBasisChanged, Seen
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.settlement.day import settle_day
from dispatch.site_file.load import setup_from_document
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from dispatch.what_if.base_plans import BasePlans
from dispatch.what_if.baseline import Baseline
from dispatch.what_if.compare import what_if
from dispatch.what_if.reference_day import ReferenceDayPrices
from markets.facts import LoadForecast, SystemLoad
from markets.grid import Interval, Market, OperatingDay, parse_instant
from markets.sources.synthetic import SyntheticSource
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import document, group, small

HOUR = timedelta(hours=1)
FOUR_CP = {"type": "transmission", "method": "4cp", "usd_per_kw_year": 70.0}
BOOK: list[dict[str, Any]] = [
    {"type": "power", "adders_usd_per_mwh": 6.15},
    FOUR_CP,
    {"type": "transmission", "name": "demand", "method": "ncp", "usd_per_kw_year": 12.0},
    {"type": "forward", "ph": 2.0, "usd_per_ph_day": 47.0, "damages_usd_per_ph_day": 5.0},
    {
        "type": "hosting",
        "scope": {"tenant": "guest"},
        "usd_per_mwh": 9.0,
        "pass_through": True,
        "strike_usd_per_mwh": 80.0,
        "uptime": 0.5,
        "credit_usd_per_mwh": 10.0,
    },
    {"type": "transition", "min_gain_usd_per_mw": 0.5},
]
GROUPS = [group("a-old", "a", watts=3000.0, ths=100.0), group("b-new", "b", watts=3500.0, ths=200.0, tenant="guest")]


def published_facts(hot: int) -> list[Any]:
    """Prices and a system that peaks `hot` hours from noon at 85 GW, 60 GW else."""
    spans = [Interval(NOON + k * HOUR, NOON + (k + 1) * HOUR) for k in range(-200, 36)]
    facts: list[Any] = [SystemLoad(source="t", known_at=o.end, over=o, load_mw=60_000.0) for o in spans[:200]]
    facts += [
        LoadForecast(source="t", known_at=NOON, over=o, load_mw=85_000.0 if k == hot else 60_000.0) for k, o in enumerate(spans[200:])
    ]
    facts += prices([30.0] * 48, NOON - 12 * HOUR)
    facts += prices([30.0] * 60, NOON - 12 * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - 24 * HOUR)
    return [*facts, hashprice(45.0, NOON)]


def test_what_if_transmission_is_billed_at_coincident_peaks() -> None:
    state = State.start(small(), setup_from_document).after(Seen(at=NOON, facts=tuple(published_facts(5))), 1)
    answer = what_if(BasePlans(Baseline.of(state, NOON, ReferenceDayPrices(state))), {"book": [{"add": FOUR_CP}]})
    by_hour = {i["start"][11:13]: i["load_mw"] for i in answer["case"]["intervals"][:24]}
    assert by_hour[f"{(NOON + 5 * HOUR).hour:02d}"] < 0.01 < by_hour[f"{(NOON + 7 * HOUR).hour:02d}"]
    assert answer["difference"]["energy_mwh"] == pytest.approx(-0.26, abs=0.02)
    assert all(i["load_mw"] > 0.2 for i in answer["base"]["intervals"])


def test_a_day_of_transmission_and_hosting_is_run_and_billed(tmp_path: Path) -> None:
    """The hottest day of a synthetic August: every contract has its lines; what the loop remembered, the ledger says too."""
    setup = setup_from_document(document(obligations=BOOK, groups=GROUPS, prices={"source": "synthetic", "seed": 11}))
    source = SyntheticSource(Market.ERCOT, 11, setup.settlement_points)
    august = asyncio.run(source.fetch(parse_instant("2026-08-01T05:00:00Z"), parse_instant("2026-09-01T06:00:00Z")))
    peak = max((f for f in august if isinstance(f, SystemLoad)), key=lambda f: f.load_mw)
    day = OperatingDay.of(Market.ERCOT, peak.over.start)
    facts = [f for f in august if day.start - timedelta(days=8) < f.known_at <= day.end + HOUR]
    # Without a hashprice the price basis is safe-state, and the safe state holds the rigs as they are, peak or not.
    facts.append(hashprice(45.0, day.start))
    engine = open_ledger(tmp_path)
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    telemetry = Telemetry(tmp_path / "telemetry", setup.site)
    made = world(setup, day.start, facts, telemetry=telemetry)
    start = State.start(setup, setup_from_document)
    asyncio.run(loop.run(made, SqlJournal(engine, token), start, run_started("replay", setup, day.start, token), day.end + HOUR))
    telemetry.flush()
    bill = settle_day(engine, telemetry, day, setup)
    held = [e.price_basis for _, e in SqlJournal(engine).read() if isinstance(e, PriceBasisChanged)]
    assert "safe-state" not in held
    at_peak = next(row for row in bill["intervals"] if row["start"] == peak.over.start.isoformat())
    assert Decimal(at_peak["load_mw"]) < Decimal("0.01"), "a fraction of a per cent of a peak is worth more than an hour's hashing"
    assert max(Decimal(row["load_mw"]) for row in bill["intervals"]) > Decimal("0.15"), "the quiet hours are hashed through"
    names = {line["obligation"] for line in bill["lines"]}
    assert {"hashing", "power", "transmission", "demand", "forward", "hosting"} <= names and "transition" not in names
    assert [line["interval_start"] for line in bill["lines"] if line["obligation"] == "transmission"] == [peak.over.start.isoformat()]
    state = _folded(setup, engine)
    demand = max(Decimal(row["load_mw"]) for row in bill["intervals"])
    assert state.contract_memories.by_contract["demand"].own_peak_mw == pytest.approx(float(demand), rel=0.05)
    assert setup_from_document(setup.document).book == setup.book


def _folded(setup: Any, engine: Any) -> State:
    state = State.start(setup, setup_from_document)
    for seq, entry in SqlJournal(engine).read():
        state = state.after(entry, seq)
    return state
