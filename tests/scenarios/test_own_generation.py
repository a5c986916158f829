"""A generator behind a small grid connection, through the whole loop: planned, journaled, and billed by net load and its peak."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.settlement.day import settle_day
from dispatch.site_file.load import setup_from_document
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.rollups import read_rollups
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from markets.grid import Interval, Market, OperatingDay, parse_instant
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import document

HOUR = timedelta(hours=1)
BOOK: list[dict[str, Any]] = [
    {"type": "power", "adders_usd_per_mwh": 5.0},
    {"type": "generation", "name": "genset", "mw": 0.2, "min_mw": 0.05, "start_usd": 0.5, "min_up_min": 90, "fuel_usd_per_mmbtu": 2.0,
     "heat_rate_mmbtu_per_mwh": 10.0},
    {"type": "transmission", "method": "ncp", "usd_per_kw_year": 12.0},
]  # fmt: skip
METERS = [{"id": "main", "import_mw": 0.1}]


def test_own_generation_is_planned_journaled_and_billed(tmp_path: Path) -> None:
    """Energy at 10 $/MWh, then at 300 from 13:00 to 14:30, then at 10; gas at 20. The rigs draw 0.26 MW, the line brings 0.1."""
    setup = setup_from_document(document(obligations=BOOK, meters=METERS))
    usd = [10.0] * 52 + [300.0] * 6 + [10.0] * 14  # from midnight in Texas
    facts = [*prices(usd, NOON - 12 * HOUR), hashprice(45.0, NOON)]
    facts += prices(usd[::4] * 3, NOON - 12 * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - 24 * HOUR)
    engine = open_ledger(tmp_path)
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    telemetry = Telemetry(tmp_path / "telemetry", setup.site)
    made = world(setup, NOON, facts, telemetry=telemetry)
    journal = SqlJournal(engine, token)
    asyncio.run(
        loop.run(made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, token), NOON + 4 * HOUR)
    )
    telemetry.flush()
    state, planned = State.start(setup, setup_from_document), []
    for seq, entry in SqlJournal(engine).read():
        state = state.after(entry, seq)
        planned += [entry.plan] if isinstance(entry, Planned) and entry.plan else []
    for plan in planned:
        for interval in plan["intervals"]:
            net = interval["load_mw"] - interval["generation"]["genset"]["mw"]
            assert -1e-6 <= net <= 0.1 + 1e-6
    memory = inputs(state, NOON + 4 * HOUR).so_far.memory["genset"]
    assert memory.running_mw == pytest.approx(0.16, abs=0.01), "what the line does not bring"
    assert memory.since == parse_instant(planned[0]["intervals"][0]["generation"]["genset"]["since"]), "it ran from the first plan on"

    bill = settle_day(engine, telemetry, OperatingDay.of(Market.ERCOT, NOON), setup)
    kept = {r.over.start: r.energy_mwh for r in read_rollups(engine, Interval(NOON, NOON + 4 * HOUR), 15) if r.group == "genset"}
    fuel = {line["interval_start"]: Decimal(line["quantity"]) / 10 for line in bill["lines"] if line["charge_type"] == "fuel"}
    assert len(kept) == len(fuel) == len(bill["intervals"]) >= 15
    energy = {line["interval_start"]: Decimal(line["quantity"]) for line in bill["lines"] if line["charge_type"] == "energy"}
    for row in bill["intervals"]:
        at = row["start"]
        assert abs(Decimal(row["energy_mwh"]) - fuel[at] - energy.get(at, Decimal(0))) < Decimal("2e-6")
        if row in bill["intervals"][6:10]:  # a price is known two minutes after its quarter hour
            assert energy.get(at, Decimal(0)) * 4 < Decimal("0.01"), "dear energy is left on the line"
    assert [line["amount_usd"] for line in bill["lines"] if line["charge_type"] == "starts"] == ["-0.5"], "one start, remembered after"
    demand = sum(Decimal(line["quantity"]) for line in bill["lines"] if line["charge_type"] == "demand")
    assert demand == pytest.approx(max(energy.values()) * 4, abs=Decimal("1e-6")), "the demand charge is of what flows"
    assert any("where it is not metered" in note for note in bill["notes"])
