"""Make-whole payment of a Type I demand response resource: what the day's energy revenue leaves of the offered cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from pydantic import ValidationError

from markets.grid import Grid, Interval
from optimizer.obligations.drr.memory import DrrMemory
from optimizer.settlement.settle import settle
from tests.optimizer.fixtures import actuals
from tests.optimizer.obligations.test_drr import EIGHT, HOUR, HUB, NOON, award, call, drr, made_of, miso, real

THREE_HOURS = Interval(NOON + HOUR, NOON + 4 * HOUR)
KEPT = [24, 14, 14, 14, 24, 24, 24, 24]


def block(**more):
    """10 MW at 60 $/MWh, 200 $ a dispatch and 50 $ an hour of it."""
    return drr(**{"offer_usd_per_mwh": 60.0, "shutdown_usd": 200.0, "curtailment_usd_per_h": 50.0, **more})


def make_whole_usd(statement):
    return statement.totals.get(("drr", "drr_make_whole"), D(0))


def test_a_day_that_earns_less_than_its_offered_cost_is_made_whole():
    """200 + 3 x 50 + 30 MWh x 60 = 2,150 $ of cost; 10 MWh each at 100, 45 and 50 $/MWh earn 1,950 $."""
    statement = settle((block(),), real(KEPT, [50, 100, 45, 50, 50, 50, 50, 50], awards=(award(THREE_HOURS, 10),)))
    assert make_whole_usd(statement) == D(200)
    assert statement.net_usd == D(2150)
    (line,) = [line for line in statement.lines if line.charge_type == "drr_make_whole"]
    assert "not verified" in line.rule and line.over == EIGHT.over
    dear = settle((block(),), real(KEPT, [50, 100, 100, 100, 50, 50, 50, 50], awards=(award(THREE_HOURS, 10),)))
    assert make_whole_usd(dear) == 0, "3,000 $ cover it"
    called = settle((block(),), real(KEPT, [50, 100, 45, 50, 50, 50, 50, 50], calls=(call(THREE_HOURS.start, THREE_HOURS.end),)))
    assert called.totals == statement.totals, "a call dispatches as an award does"


def test_only_what_is_kept_is_made_whole():
    """In the third hour 5 of 10 MW are missing: its cost does not count, its revenue does."""
    load = [24, 14, 14, 19, 24, 24, 24, 24]
    statement = settle((block(),), real(load, [50, 100, 45, 50, 50, 50, 50, 50], awards=(award(THREE_HOURS, 10),)))
    assert make_whole_usd(statement) == 0
    cheap = settle((block(),), real(load, [50, 40, 40, 50, 50, 50, 50, 50], awards=(award(THREE_HOURS, 10),)))
    assert make_whole_usd(cheap) == D(200 + 100 + 1200 - 400 - 400 - 250)
    nothing = settle((block(),), real([24] * 8, [50] * 8, awards=(award(THREE_HOURS, 10),)))
    assert make_whole_usd(nothing) == 0
    sold = award(THREE_HOURS, 10, 60.0, market="DAM")
    failed = settle((block(),), real([24] * 8, [900] * 8, awards=(sold,)))
    assert make_whole_usd(failed) == 0, "what it costs to buy a sale back that was not kept is not paid"


def test_a_sale_of_the_day_before_is_revenue():
    """30 MWh sold at 70 earn 2,100 $ of 2,150, whatever the real-time price is."""
    sold = award(THREE_HOURS, 10, 70.0, market="DAM")
    for usd in (45, 80, 300):
        statement = settle((block(),), real(KEPT, [usd] * 8, awards=(sold,)))
        assert make_whole_usd(statement) == D(50)


def test_below_the_net_benefits_price_the_cost_counts_still():
    statement = settle((block(),), real(KEPT, [50, 30, 30, 30, 50, 50, 50, 50], awards=(award(THREE_HOURS, 10),)))
    assert statement.totals[("drr", "drr_make_whole")] == D(2150)
    assert ("drr", "drr_energy") not in statement.totals or statement.totals[("drr", "drr_energy")] == 0


@pytest.mark.parametrize("cuts", [(0, 3, 8), (0, 1, 2, 3, 4, 8), (0, 2, 8)])
def test_parts_of_a_day_add_up_to_it(cuts):
    """The memory holds the day so far: cheap hours first, dear ones that take the payment back after them."""
    contract, told = block(), award(Interval(NOON, NOON + 6 * HOUR), 10)
    prices = [45, 45, 45, 70, 200, 90, 50, 50]
    whole = real([14] * 6 + [24] * 2, prices, awards=(told,))
    once = settle((contract,), whole).net_exact_usd
    memory, parts = DrrMemory(), D(0)
    for a, b in zip(cuts, cuts[1:], strict=False):
        grid = Grid(EIGHT.edges[a : b + 1])
        part = actuals(miso(), grid, {"g": [str(v) for v in ([14] * 6 + [24] * 2)[a:b]]}, {HUB: [str(p) for p in prices[a:b]]},
                       awards=(told,), memory={"drr": memory})  # fmt: skip
        parts += settle((contract,), part).net_exact_usd
        memory = DrrMemory.from_json(contract.remember(memory, part).to_json())
    assert parts == once


def test_a_dispatch_over_midnight_begins_once_and_each_day_is_made_whole_by_itself():
    """MISO's day ends at 05:00 UTC: an hour at 45 before it and two at 100 after it. The shut-down counts in the day it begins in."""
    midnight = NOON.replace(hour=5) + timedelta(days=1)
    grid = Grid.regular(midnight - 2 * HOUR, midnight + 4 * HOUR, 60)
    told = award(Interval(midnight - HOUR, midnight + 2 * HOUR), 10)
    load, prices = [24, 14, 14, 14, 24, 24], [50, 45, 100, 100, 50, 50]
    real_days = actuals(miso(), grid, {"g": [str(v) for v in load]}, {HUB: [str(p) for p in prices]}, awards=(told,))
    statement = settle((block(),), real_days)
    assert make_whole_usd(statement) == D(200 + 50 + 600 - 450), "the second day earns 2,000 of 1,300"
    second = Grid(grid.edges[2:])
    after = actuals(miso(), second, {"g": ["14", "14", "24", "24"]}, {HUB: ["65", "65", "50", "50"]}, awards=(told,))
    memory = {"drr": DrrMemory(dispatched_until=midnight)}
    assert make_whole_usd(settle((block(),), replace(after, memory=memory))) == 0, "2 x 50 + 20 x 60 less 1,300"
    assert make_whole_usd(settle((block(),), after)) == D(200), "without that memory it begins here"


def test_costs_are_those_of_a_block_and_nothing_is_made_whole_without_any():
    for key in ("shutdown_usd", "curtailment_usd_per_h"):
        with pytest.raises(ValidationError, match=f"{key} does not apply to Type II"):
            drr(kind="II", **{key: 1.0})
    told = award(THREE_HOURS, 10)
    for contract in (drr(), drr(kind="II", offer_usd_per_mwh=60.0)):
        assert make_whole_usd(settle((contract,), real(KEPT, [45] * 8, awards=(told,)))) == 0
        assert contract.memory_days() == 0
    assert block().memory_days() == 1


def test_a_plan_publishes_it_and_says_no_more_than_the_bill():
    """A block that MISO has dispatched at 45 $/MWh: the planned lines hold the payment."""
    told = award(Interval(NOON, NOON + 3 * HOUR), 10)
    made = made_of(block(), [45.0] * 8, awards=(told,))
    assert made.lines[("drr", "drr_make_whole")].sum() == pytest.approx(200 + 3 * 50 + 30 * 60 - 30 * 45)
