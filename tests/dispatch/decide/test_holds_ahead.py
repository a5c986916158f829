"""Plans know what people hold: groups that are held asleep or to megawatts, and the load of the whole site."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import Hold, Seen
from dispatch.runtime.planner import make_plan
from dispatch.service.replay import run_started
from markets.grid import parse_instant
from tests.dispatch.decide.test_decide import folded, look
from tests.fakes import NOON, hashprice, prices
from tests.sites import document, group, small

HOUR = timedelta(hours=1)
UNTIL = NOON + 3 * HOUR


def hold(**more: Any) -> Hold:
    return Hold(**{"id": "h", "group": None, "mode": None, "mw_cap": None, "until": UNTIL, "by": "anna", **more})


def state_with(*holds: Hold, setup: Any = None) -> State:
    """Every rig hashing at a price under both breakevens."""
    setup = setup or small()
    facts = (*prices([20.0] * 8, NOON - HOUR), hashprice(45.0, NOON))
    return folded(setup, run_started("replay", setup, NOON, 1), Seen(at=NOON, fleet=look(setup), facts=facts, holds=holds))


def hashing(state: State, name: str | None = None) -> dict[datetime, float]:
    """By the start of each interval of the plan: rigs of a group that hash, or MW of the site."""
    plan = make_plan(inputs(state, NOON))
    assert plan["solve"]["status"] == "optimal", plan["findings"]
    rows = {parse_instant(i["start"]): i for i in plan["intervals"]}
    return {at: i["groups"][name]["modes"].get("normal", 0.0) if name else i["load_mw"] for at, i in rows.items()}


def test_a_group_that_is_held_asleep_sleeps_in_the_plan_until_the_hold_ends() -> None:
    state = state_with(hold(group="a-old", mode="sleep"))
    assert {at < UNTIL: rigs for at, rigs in hashing(state, "a-old").items()} == {True: 0.0, False: 40.0}
    assert set(hashing(state, "b-new").values()) == {40.0}


def test_a_hold_of_the_whole_site_asleep_without_an_end_leaves_no_load() -> None:
    state = state_with(hold(mode="sleep", until=None))
    assert max(hashing(state, "a-old").values()) == max(hashing(state, "b-new").values()) == 0.0


def test_megawatts_of_a_group_are_kept_in_the_plan() -> None:
    state = state_with(hold(group="b-new", mw_cap=0.0385))  # eleven rigs of 3,500 W
    assert {at < UNTIL: rigs for at, rigs in hashing(state, "b-new").items()} == {True: 11.0, False: 40.0}


def test_megawatts_of_the_site_are_kept_in_the_plan() -> None:
    load_mw = hashing(state_with(hold(mw_cap=0.1)))
    assert max(mw for at, mw in load_mw.items() if at < UNTIL) <= 0.1 + 1e-9
    assert min(mw for at, mw in load_mw.items() if at >= UNTIL) > 0.25


@pytest.mark.parametrize("mode", ["sleep", None])
def test_a_hold_outweighs_minimum_times_and_ramps(mode: str | None) -> None:
    groups = [group("a-old", "a", watts=3000.0, ths=100.0, min_on_min=120, min_off_min=60), group("b-new", "b", watts=3500.0, ths=200.0)]
    site = {**document()["site"], "max_ramp_down_mw_per_min": 0.0001}
    state = state_with(hold(group="a-old", mode=mode, mw_cap=None if mode else 0.03), setup=small(groups=groups, site=site))
    held = {rigs for at, rigs in hashing(state, "a-old").items() if at < UNTIL}
    assert held == {0.0} if mode else max(held) <= 10.0


def test_the_same_plan_comes_back_when_the_hold_is_released() -> None:
    held = state_with(hold(group="a-old", mode="sleep"))
    released = held.after(Seen(at=NOON, holds=(hold(group="a-old", mode="sleep", released=True),)), 3)
    assert hashing(released, "a-old") == hashing(state_with(), "a-old")
