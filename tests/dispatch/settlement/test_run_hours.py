"""Bills and memories cover the hours that were run: not those before the first run, between two runs, or after a run ended."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from dispatch.entries import RunEnded, RunStarted, Seen
from dispatch.settlement.memories_before import memories_at_start, memories_before
from dispatch.settlement.run_hours import run_positions, run_stretches
from markets.grid import Interval, OperatingDay
from tests.dispatch.settlement.fixtures import HOSTING_AND_ERS, HandMadeDay

ON = date(2026, 7, 1)
HOUR = timedelta(hours=1)


def started(made: HandMadeDay, hours: float) -> None:
    at, setup = made.day.start + hours * HOUR, made.setup
    made.journal.append(RunStarted(at=at, world="live", version="t", config_hash=setup.hash_id, token=1, config=setup.document))


@pytest.fixture
def interrupted(tmp_path: Path) -> HandMadeDay:
    """Run in full load from 2:00 to 6:00, when the run ends, and from 12:00 to 20:00, when the process dies."""
    made = HandMadeDay.of(tmp_path / "interrupted", ON, extra=HOSTING_AND_ERS, runs=False)
    made.prices(lambda n: 20.0)
    for first, last in ((2, 6), (12, 20)):
        started(made, first)
        made.observed(Interval(made.day.start + first * HOUR, made.day.start + last * HOUR))
        if last == 6:
            made.journal.append(RunEnded(at=made.day.start + last * HOUR))
            made.seen(made.day.start + last * HOUR + timedelta(minutes=6))
        for half in range(2 * first, 2 * last + 1):
            made.read(made.day.start + half / 2 * HOUR, "a", range(10), [3000.0] * 10, [150.0] * 10)
            made.read(made.day.start + half / 2 * HOUR, "b", range(5), [20_000.0] * 5, [110.0] * 5)
    started(made, 30)
    made.journal.append(Seen(at=made.day.start + 30 * HOUR, facts=tuple(made.facts)))
    return made


def test_stretches_are_between_a_start_and_an_end_or_a_long_silence(interrupted: HandMadeDay) -> None:
    start = interrupted.day.start
    assert run_stretches(interrupted.engine, interrupted.day.over) == (
        Interval(start + 2 * HOUR, start + 6 * HOUR),
        Interval(start + 12 * HOUR, start + 20 * HOUR),
    )
    assert run_stretches(interrupted.engine, Interval(start + 4 * HOUR, start + 13 * HOUR)) == (
        Interval(start + 4 * HOUR, start + 6 * HOUR),
        Interval(start + 12 * HOUR, start + 13 * HOUR),
    )
    assert run_stretches(interrupted.engine, Interval(start + 6 * HOUR, start + 12 * HOUR)) == ()
    assert np.flatnonzero(
        run_positions((Interval(start + 2 * HOUR, start + timedelta(hours=2, minutes=23)),), interrupted.grid)
    ).tolist() == [8, 9]


def test_a_day_is_billed_for_the_hours_that_were_run(interrupted: HandMadeDay) -> None:
    bill = interrupted.settle()
    assert bill["partial"] and len(bill["intervals"]) == 12 * 4 and Decimal(bill["energy_mwh"]) == Decimal("0.13") * 12
    assert bill["totals"]["hosting/hosting_fee"] == "3.60", "12 h of 30 kW at 10 $"
    assert "hosting/uptime_credit" not in bill["totals"], "in full load whenever it was run"
    assert bill["totals"]["ers/ers_capacity"] == "12.00" and "ers/ers_factors" not in bill["totals"], "12 h of 0.1 MW at 10 $"
    uptime = next(figure for figure in bill["contract_progress"] if figure["name"] == "hosting: uptime so far")
    assert float(uptime["value"]) == pytest.approx(100.0)


def test_a_day_that_nobody_ran_has_no_statement(interrupted: HandMadeDay) -> None:
    interrupted.settle()
    interrupted.day = OperatingDay(interrupted.day.market, ON - timedelta(days=1))
    with pytest.raises(LookupError, match="nothing was run on 2026-06-30"):
        interrupted.settle()


def test_memory_is_read_from_the_ledger_and_made_from_telemetry_where_no_bill_was(interrupted: HandMadeDay) -> None:
    """The day was never settled: its roll-ups are made when a run starts."""
    until = interrupted.day.end + 6 * HOUR
    interrupted.telemetry.flush()
    found = memories_at_start(interrupted.engine, interrupted.telemetry, interrupted.setup, until + timedelta(minutes=7))
    assert found["hosting"].run_mwh == pytest.approx(12 * 0.03) and found["hosting"].promised_mwh == pytest.approx(12 * 0.03 * 0.95)
    assert (found["ers"].obligated_h, found["ers"].available_h) == (12.0, 12.0)
    assert found == memories_before(interrupted.engine, interrupted.telemetry, interrupted.setup, until, None)
    midday = memories_before(interrupted.engine, interrupted.telemetry, interrupted.setup, interrupted.day.start + 12 * HOUR, None)
    assert midday["ers"].obligated_h == 4.0
