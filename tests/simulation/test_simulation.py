"""The simulation: fixed seeds hold every invariant, one seed gives one journal, broken invariants are noticed (the chain, the third, by the
ledger's own tests), and a failing scenario is made small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.entries import Commanded, Order, Planned, Seen
from markets.facts import Call, CallKind
from tests.fakes import price
from tests.simulation.clock import SimulatedClock
from tests.simulation.faults import KINDS, ROWS, InjectedFault, Scenario, drawn
from tests.simulation.invariants import Invariants, Violated, settled_as_replayed
from tests.simulation.ports import InjectedFaults
from tests.simulation.run import Outcome, simulate
from tests.simulation.seeds import KeptResults
from tests.simulation.shrink import shrunk
from tests.simulation.site import POINT

# Seed, days and density: a long round; the next test runs a tiny one always.
FIXED = [(26, 0.2, 50.0), (40, 0.2, 50.0), (5, 1.0, 15.0), (8, 1.0, 15.0), (25, 1.0, 15.0)]
CALM = Scenario(0, 1.0, ())


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "days", "density"), FIXED)
def test_fixed_seeds_hold_every_invariant(seed: int, days: float, density: float) -> None:
    outcome = simulate(drawn(seed, days, density))
    again = f"python -m tests.simulation --seeds {seed}:{seed + 1} --days {days} --density {density}"
    assert not outcome.violation, f"{outcome.violation}; again: {again}"
    assert outcome.journal_rows > 20 and outcome.rows


def test_the_same_seed_gives_the_same_journal() -> None:
    first, second = (simulate(drawn(26, 0.1, 80.0)) for _ in range(2))
    assert first.journal_rows == second.journal_rows > 20 and first.head == second.head
    assert first.rows == second.rows and not first.violation


def test_every_row_of_the_matrix_has_a_kind_of_fault() -> None:
    assert {row for row, *_ in KINDS.values()} | {7} == set(ROWS), "row 7 fires by the calendar"


def test_a_scenario_is_read_back_as_it_was_written() -> None:
    scenario = drawn(3, 5.0)
    assert scenario.faults and Scenario.from_json(scenario.to_json()) == scenario


class Site:
    """The invariants of a run in which the load is what a test says."""

    def __init__(self) -> None:
        self.clock, self.mw = SimulatedClock(CALM.start), 0.05
        self.held = Invariants(InjectedFaults(CALM, self.clock), lambda: self.mw)
        self.seq = 0

    def append(self, make: Callable[..., Any], **more: Any) -> None:
        self.seq += 1
        self.held.appended(self.seq, make(at=self.clock.now(), **more))

    def call(self, **more: Any) -> Call:
        at = self.clock.now()
        made: dict[str, Any] = {"known_at": at, "notice_at": at, "start_at": at, "end_at": at + timedelta(hours=1), "mw_cap": 0.02}
        return Call(source="desk", id="c", version=1, obligation="plant", kind=CallKind.DEPLOY, **{**made, **more})


def order(id_: str, mode: str = "sleep") -> Order:
    return Order(id=id_, group="a-old", mode=mode, rigs="0-1", deadline_s=60.0, why="test")


def test_a_load_above_a_call_that_nobody_names_is_noticed() -> None:
    site = Site()
    site.append(Seen, facts=(site.call(),))
    site.clock.run_s += 500
    site.append(Seen)
    with pytest.raises(Violated, match="I1"):
        site.clock.run_s += 200
        site.append(Seen)


def test_a_load_above_a_call_that_is_named_is_no_violation() -> None:
    site = Site()
    site.append(Seen, facts=(site.call(),))
    site.clock.run_s += 500
    site.append(Commanded, round=1, orders=(), target_mw={}, shortfall_mw={"plant": 0.03})
    site.clock.run_s += 240
    site.append(Seen)


def test_an_order_without_a_row_or_with_a_second_effect_is_noticed() -> None:
    site = Site()
    site.append(Commanded, round=1, orders=(order("one"),), target_mw={})
    site.held.obeyed("a-old", [0], "sleep")
    with pytest.raises(Violated, match="I2"):
        site.held.obeyed("a-old", [0], "sleep")
    with pytest.raises(Violated, match="I2"):
        site.held.obeyed("b-new", [0], "sleep")
    site.held.violated = None
    with pytest.raises(Violated, match="given twice"):
        site.append(Commanded, round=2, orders=(order("one"),), target_mw={})


def test_a_fact_or_a_plan_of_a_price_that_was_not_known_is_noticed() -> None:
    site = Site()
    with pytest.raises(Violated, match="I4"):
        site.append(Seen, facts=(price(20.0, site.clock.now(), point=POINT),))
    plan = {"intervals": [{"price_usd_per_mwh": {POINT: 77.0}}]}
    with pytest.raises(Violated, match="I4"):
        site.append(Planned, as_of=site.seq + 1, plan=plan)
    with pytest.raises(Violated, match="77"):
        site.append(Planned, as_of=site.seq, plan=plan)


def test_a_statement_that_is_not_what_telemetry_says_is_noticed(tmp_path: Path) -> None:
    from tests.dispatch.settlement.fixtures import HandMadeDay

    day = HandMadeDay.of(tmp_path, CALM.start.date())
    day.read(day.day.start, "a", range(10), [3000.0] * 10, [150.0] * 10)
    day.telemetry.flush()
    row = {
        "start": day.day.start.isoformat(), "end": (day.day.start + timedelta(hours=1)).isoformat(), "energy_mwh": "0.030000",
        "price_usd_per_mwh": {POINT: "50"}, "hashprice_usd_per_ph_day": "45",
    }  # fmt: skip
    statement: dict[str, Any] = {"date": "2026-02-20", "intervals": [row], "totals": {"power/energy": "-1.50"}}
    settled_as_replayed(statement, tmp_path / "telemetry", ["a"])
    with pytest.raises(Violated, match="I5"):
        settled_as_replayed({**statement, "totals": {"power/energy": "-1.60"}}, tmp_path / "telemetry", ["a"])
    with pytest.raises(Violated, match="I5"):
        settled_as_replayed({**statement, "intervals": [{**row, "energy_mwh": "0.031"}]}, tmp_path / "telemetry", ["a"])


def test_a_failing_scenario_is_made_as_small_as_it_can_be() -> None:
    """It fails when a clock is set after a kill; what else happens does not matter."""
    faults = tuple(InjectedFault("call", float(at), 60.0, (0.0, 0.0, 0.0)) for at in range(0, 80_000, 4_000))
    guilty = (InjectedFault("killed", 30_000.0, 60.0, (0.0, 0.0, 0.0)), InjectedFault("clock_set", 50_000.0, 0.0, (0.0, 0.0, 0.0)))
    scenario = Scenario(7, 15.0, tuple(sorted((*faults, *guilty), key=lambda fault: fault.at_s)))

    def fails(tried: Scenario) -> Outcome:
        both = set(guilty) <= set(tried.faults)
        return Outcome(tried, violation="I1: 0.03 MW" if both else "", at_s=51_000.0)

    small = shrunk(fails(scenario), fails)
    assert small.scenario.faults == guilty and small.scenario.days < 0.7


def test_another_failure_does_not_count_as_the_same() -> None:
    faults = tuple(InjectedFault("call", float(at), 60.0, (0.0, 0.0, 0.0)) for at in range(4))
    scenario = Scenario(7, 1.0, faults)
    small = shrunk(
        Outcome(scenario, violation="I1: above", at_s=90_000.0),
        lambda tried: Outcome(tried, violation="I1: above" if len(tried.faults) == 4 else "I3: broken", at_s=90_000.0),
    )
    assert small.scenario.faults == faults


def test_results_are_kept_and_added_to(tmp_path: Path) -> None:
    file = tmp_path / "results" / "days.jsonl"
    KeptResults(file).add({"seed": 1, "violation": ""})
    kept = KeptResults(file)
    kept.add({"seed": 2, "violation": "I1"})
    assert set(KeptResults(file).found) == {1, 2} and replace(CALM, seed=2).seed == 2
