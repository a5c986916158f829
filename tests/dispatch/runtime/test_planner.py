"""The planner's process may die, hang or fail: a plan within every bound is there at once, and the loop goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatch.clock import VirtualClock
from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Planned, RunStarted, Seen
from dispatch.runtime.planner import WorkerPlanner, make_plan, rule_based
from dispatch.runtime.redecide import redecide
from dispatch.service.replay import run_started
from dispatch.site_file.load import setup_from_document
from optimizer.lp.arrays import Arrays
from optimizer.solve import Session
from optimizer.solve.lexicographic import Solution
from tests.dispatch.decide.test_decide import call, folded, look
from tests.fakes import NOON, hashprice, prices
from tests.sites import small

ENOUGH_S = 120.0


@pytest.mark.parametrize("fraction_s", [0.0, 0.000001, 0.37, 0.999999])
def test_a_call_recalled_within_a_second_does_not_bind_the_next_plan(fraction_s: float) -> None:
    """The plan's grid begins at a whole second, the recall at a fraction of it: the first interval belongs to the plan again."""
    setup = small()
    recalled = NOON + timedelta(minutes=7, seconds=fraction_s)
    facts = (*prices([20.0] * 8, NOON - timedelta(hours=1)), hashprice(45.0, NOON), call(NOON, mw_cap=0.0))
    state = folded(setup, run_started("replay", setup, NOON, 1), Seen(at=NOON, fleet=look(setup), facts=facts))
    state = state.after(Seen(at=recalled, facts=(call(recalled, kind="recall", mw_cap=None, version=2),)), 3)
    plan = make_plan(inputs(state, recalled))
    assert plan["intervals"][0]["load_mw"] > 0.2


def seen() -> tuple[State, list[tuple[int, Any]]]:
    setup = small(site={"name": "Small", "market": "ercot", "settlement_point": "LZ_WEST", "interconnect_mw": 0.2, "horizon_h": 24})
    rows: list[tuple[int, Any]] = [(1, run_started("replay", setup, NOON, 1))]
    rows.append((2, Seen(at=NOON, facts=(*prices([30.0, 80.0, 200.0, 20.0], NOON), hashprice(45.0, NOON)), fleet=look(setup))))
    state = State.start(setup, setup_from_document)
    for seq, entry in rows:
        state = state.after(entry, seq)
    return state, rows


async def answers(planner: WorkerPlanner, state: State, count: int, harm: Any = None) -> list[Planned]:
    """What the planner says to one question, until it has said so many things."""
    working = asyncio.create_task(planner.work())
    told: list[Planned] = []
    try:
        planner.ask(NOON, 2, state)
        if harm is not None:
            await harm(planner)
        async with asyncio.timeout(ENOUGH_S):
            while len(told) < count:
                await planner.ready()
                if (planned := planner.take()) is not None:
                    told.append(planned)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return told


async def killed(planner: WorkerPlanner) -> None:
    """Its process, as soon as there is one: it is still importing."""
    while planner.worker_pid is None:
        await asyncio.sleep(0)
    os.kill(planner.worker_pid, signal.SIGKILL)


def within_limits(planned: Planned) -> bool:
    assert planned.plan is not None
    return all(interval["load_mw"] <= 0.2 + 1e-9 for interval in planned.plan["intervals"])


async def test_a_killed_planner_is_replaced_by_rules_and_then_asked_again() -> None:
    state, _ = seen()
    first, second = await answers(WorkerPlanner(VirtualClock(NOON)), state, 2, killed)
    assert first.plan is not None and second.plan is not None
    assert first.plan["solve"]["status"] == "merit order"
    assert any("the planner's process died" in f["text"] for f in first.plan["findings"])
    assert second.plan["solve"]["status"] == "optimal"
    assert within_limits(first) and within_limits(second)
    assert first.as_of == second.as_of == 2


async def test_a_planner_that_overruns_is_replaced_by_rules() -> None:
    state, _ = seen()
    (told,) = await answers(WorkerPlanner(VirtualClock(NOON), deadline_s=0.0), state, 1)
    assert told.plan is not None
    assert any("no answer within 0 s" in f["text"] for f in told.plan["findings"])
    assert within_limits(told)


def test_a_rule_based_plan_is_made_by_rules_again() -> None:
    state, rows = seen()
    made_from = inputs(state, NOON)
    assert isinstance(rows[0][1], RunStarted)
    by_rule = Planned(at=NOON, as_of=2, plan=rule_based(made_from, "the planner's process died"))
    assert redecide(iter([*rows, (3, by_rule)])).findings == []
    solved = make_plan(made_from)
    assert redecide(iter([*rows, (3, Planned(at=NOON, as_of=2, plan=solved))])).findings == []
    ended = {**solved, "solve": {**solved["solve"], "status": "feasible"}, "objective_usd": solved["objective_usd"] - 1.0}
    assert redecide(iter([*rows, (3, Planned(at=NOON, as_of=2, plan=ended))])).findings == []
    better = {**solved, "objective_usd": solved["objective_usd"] + 1.0}
    assert [f.kind for f in redecide(iter([*rows, (3, Planned(at=NOON, as_of=2, plan=better))])).findings] == ["plan"]


class RecordingSession(Session):
    """A session that tells how each run began."""

    def __init__(self) -> None:
        super().__init__()
        self.hot: list[bool] = []

    def _once(self, arrays: Arrays, budget_s: float, hot: bool, safe: bool) -> Solution:
        self.hot.append(hot)
        return super()._once(arrays, budget_s, hot, safe)


def test_a_session_kept_from_plan_to_plan_goes_on_when_only_prices_moved() -> None:
    """What the worker does: the price of now changed, nothing else, and the plan is as from nothing."""
    state, _ = seen()
    before, session = inputs(state, NOON), RecordingSession()
    energy = {point: series.with_values(series.values * 1.3) for point, series in before.outlook.energy.items()}
    after = replace(before, outlook=replace(before.outlook, energy=energy))
    make_plan(before, session)
    hot, cold = make_plan(after, session), make_plan(after)
    assert session.hot == [False, True]
    assert abs(hot["objective_usd"] - cold["objective_usd"]) <= 1e-9 * abs(cold["objective_usd"])
    for a, b in zip(hot["intervals"], cold["intervals"], strict=True):
        assert abs(a["load_mw"] - b["load_mw"]) < 1e-9
