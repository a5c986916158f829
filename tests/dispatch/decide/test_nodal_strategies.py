"""From the day on which controllable loads settle at their node, everything that compares a price with a break-even takes the node's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.runtime.planner import make_plan
from dispatch.service.replay import run_started
from dispatch.sim.strategies import Strike
from tests.dispatch.decide.test_decide import folded, look
from tests.fakes import hashprice, prices
from tests.sites import small

NODE = "RN_MINE"
CLR = {"type": "ancillary", "name": "clr", "products": ["ECRS"], "qualified_mw": {"ECRS": 0.1}, "node": NODE}


def state_in(year: int) -> tuple[State, datetime]:
    """Energy at 20 $ in the load zone and 300 $ at the node, on 15 January."""
    setup, at = small(obligations=[CLR, {"type": "power"}]), datetime(year, 1, 15, 18, tzinfo=UTC)
    facts = [hashprice(45.0, at), *prices([20.0] * 8, at - timedelta(hours=2)), *prices([300.0] * 8, at - timedelta(hours=2), point=NODE)]
    seen = Seen(at=at, facts=tuple(facts), fleet=look(setup))
    return folded(setup, run_started("replay", setup, at, 1), seen), at


@pytest.mark.parametrize(("year", "share"), [(2026, 1.0), (2027, 0.0)])
def test_a_strike_follows_the_price_that_the_load_pays(year: int, share: float) -> None:
    state, at = state_in(year)
    plan, _ = Strike("model_strike").plan(at, state)
    assert plan is not None
    modes = [group["modes"] for group in plan["intervals"][0]["groups"].values()]
    assert [m.get("normal", 0.0) / sum(m.values()) for m in modes] == [share, share]


@pytest.mark.parametrize(("year", "point"), [(2026, "LZ_WEST is $20.00"), (2027, "RN_MINE is $300.00")])
def test_a_plan_gives_the_price_that_the_load_pays_as_its_reason(year: int, point: str) -> None:
    state, at = state_in(year)
    plan = make_plan(inputs(state, at))
    assert any(f"energy at {point}/MWh" in reason for reason in plan["reasons"]), plan["reasons"]
