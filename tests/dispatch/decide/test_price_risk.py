"""The owner's weight of price risk reaches the plans of the running loop, and each says what it costs."""

from __future__ import annotations

import asyncio
import time
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch.decide.plan_inputs import inputs
from dispatch.decide.price_risk import risk_of_facts
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.runtime.history import facts_before
from dispatch.runtime.planner import InlinePlanner
from dispatch.runtime.price_sources import polled_sources
from dispatch.site_file.load import load_site_file, setup_from_document
from markets.factbook import FactBook
from markets.series import Series
from optimizer.obligations.ancillary.contract import Ancillary
from tests.markets.forecasting import test_scenarios

SITE = Path(__file__).parents[3] / "config" / "demo-site.toml"
AT = datetime(2026, 7, 8, 20, 2, tzinfo=UTC)


def state_of(risk_weight: float, days: float) -> State:
    """The demonstration as it has seen so many days of its market."""
    site = {**tomllib.loads(SITE.read_text("utf-8"))["site"], "risk_weight": risk_weight}
    setup = load_site_file(SITE, {"site": site})
    sources = [polled.source for polled in polled_sources(setup, lambda: AT)]
    facts = [fact for source in sources for fact in asyncio.run(facts_before(source, setup, (AT - timedelta(days=days), AT)))]
    return State.start(setup, setup_from_document).after(Seen(at=AT, facts=tuple(facts)), 1)


def findings(state: State) -> str:
    """What the loop's planner says beside its plan."""
    planner = InlinePlanner()
    planner.ask(AT, state.seq, state)
    made = planner.take()
    assert made is not None and made.plan is not None and made.plan["solve"]["status"] == "optimal"
    return str(made.plan["findings"])


def test_the_loop_weighs_scenarios_where_the_owner_gives_risk_a_weight() -> None:
    began = time.process_time()
    said = findings(state_of(0.5, days=8))
    assert "risk 0.5: what is decided now is weighed over 30 price scenarios" in said
    assert "at the outlook's own prices that earns" in said
    assert time.process_time() - began < 20.0


def test_the_loop_plans_by_expected_prices_where_risk_has_no_weight() -> None:
    state = state_of(0.0, days=8)
    assert inputs(state, AT).risk is None
    assert "risk" not in findings(state)


def test_a_weight_without_a_known_day_of_prices_is_a_finding() -> None:
    said = findings(state_of(0.5, days=0.5))
    assert "risk is not weighed: no complete day of real-time and day-ahead prices is known" in said


def test_a_point_that_scenarios_do_not_move_is_named() -> None:
    ahead, at = test_scenarios.ahead(), test_scenarios.AT
    risk = risk_of_facts(FactBook().after(test_scenarios.prices("HB")), ahead, at, 0.5, (), 3)
    assert [note.partition(":")[0] for note in risk.notes] == ["price scenarios do not move the prices of LZ"]
    both = [*test_scenarios.prices("HB"), *test_scenarios.prices("LZ")]
    assert risk_of_facts(FactBook().after(both), ahead, at, 0.5, (), 3).notes == ()


def test_the_reserve_products_that_the_book_sells_move_with_energy() -> None:
    """ECRS is sold and moves by the dates of energy; NSPIN is not sold, and keeps its price unsaid."""
    at, grid = test_scenarios.AT, test_scenarios.ahead().grid
    flat = Series.flat(grid, 50.0, "usd_per_mw_h")
    ahead = replace(test_scenarios.ahead(), reserve={"ECRS": flat, "NSPIN": flat})
    known = [*test_scenarios.prices("HB"), *test_scenarios.prices("LZ"), *test_scenarios.reserve_prices()]
    risk = risk_of_facts(FactBook().after(known), ahead, at, 0.5, (Ancillary(products=("ECRS",)),), 5)
    assert risk.notes == ()
    assert all((one.reserve["ECRS"].values > 50.0).all() and (one.reserve["NSPIN"].values == 50.0).all() for one in risk.scenarios)


def test_a_weight_is_a_share() -> None:
    with pytest.raises(Exception, match="risk_weight"):
        state_of(1.5, days=1)
