"""A tariff's demand charges: on-peak windows, net and gross; day-ahead purchases; what a block's minimum take leaves to sell."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.facts import Award
from markets.grid import Grid, Market
from optimizer.domain.own_peak import OwnPeakMemory
from optimizer.domain.site import Meter
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.generation import Generation
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, POINT, actuals, grid, group, outlook, random_prices, site, so_far
from tests.optimizer.settlement.test_examples import LMP, METERED

ON_PEAK = Transmission(name="on-peak", method="ncp", usd_per_kw_year=120.0, hours=(13, 14, 15, 16, 17, 18), weekdays=True, interval_min=60)
# Thursday 20 August 2026: 16:00Z is 11:00 in Texas.


def hours_of(start: datetime, n: int) -> Grid:
    return Grid.regular(start, start + timedelta(hours=n), 60)


def test_only_the_window_of_a_workday_counts():
    where, over = site(group("g", rigs=5000), market=Market.TARIFF), hours_of(AT, 12)
    load = ["9", "9", "3", "4", "2", "5", "1", "1", "9", "9", "9", "9"]  # from 13:00 on: 3 4 2 5 1 1
    real = actuals(where, over, {"g": load}, {POINT: ["40"] * 12})
    assert settle((ON_PEAK,), real).net_usd == D("-50000.00")  # 5 MW at 10 $ a kW
    saturday = actuals(where, hours_of(AT + timedelta(days=2), 12), {"g": load}, {POINT: ["40"] * 12})
    assert not settle((ON_PEAK,), saturday).lines
    holiday = ON_PEAK.model_copy(update={"holidays": (date(2026, 8, 20),)})
    assert not settle((holiday,), real).lines
    off = Transmission(method="ncp", usd_per_kw_year=12.0, weekdays=False, interval_min=60)
    assert settle((off,), saturday).net_usd == D("-9000.00")
    assert ON_PEAK.remember(ON_PEAK.memory_type(), real).own_peak_mw == 5.0
    rest = actuals(
        where, hours_of(AT, 12), {"g": load}, {POINT: ["40"] * 12}, memory={"on-peak": OwnPeakMemory(own_peak_mw=4.5, period=2026 * 12 + 7)}
    )
    assert settle((ON_PEAK,), rest).net_usd == D("-5000.00"), "only the raise is charged"


def test_a_plan_stays_low_in_the_window_when_the_demand_costs_more_than_it_earns():
    where = site(group("g", rigs=1000), market=Market.TARIFF)
    ahead = outlook([40.0] * 12, hours_of(AT, 12))
    made = plan(where, (Hashing(), Power(), ON_PEAK, Plant()), ahead, so_far())
    np.testing.assert_allclose(made.load_mw, [3.5, 3.5, 0, 0, 0, 0, 0, 0, 3.5, 3.5, 3.5, 3.5], atol=1e-6)


def test_the_demand_is_of_the_net_load_or_of_the_gross():
    where = site(group("g", rigs=5000), market=Market.TARIFF, meters=(Meter(id="main", settlement_point=POINT),))
    machine = Generation(mw=4.0, fuel_usd_per_mmbtu=2.0, heat_rate_mmbtu_per_mwh=10.0)
    real = actuals(where, hours_of(AT, 3), {"g": ["9", "9", "6"]}, {POINT: ["40"] * 3}, generated_mwh={"generation": [D(4), D(2), D(0)]})
    net = Transmission(method="ncp", usd_per_kw_year=12.0, interval_min=60)
    gross = net.model_copy(update={"load": "gross"})
    assert settle((net, machine), real).of("transmission").__next__() and settle((net,), real).net_usd == D("-9000.00")
    assert sum(line.amount_usd for line in settle((net, machine), real).of("transmission")) == D("-7000")
    assert sum(line.amount_usd for line in settle((gross, machine), real).of("transmission")) == D("-9000")


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_law_holds_for_a_window(seed):
    rng = np.random.default_rng(seed)
    where = site(group("g", rigs=1000, low=True), market=Market.TARIFF)
    kit.keeps_the_law(ON_PEAK, where, outlook(random_prices(rng, 12), hours_of(AT, 12)), rng, linear=False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "4cp", "hours": [13]}, "only a demand charge"),
        ({"method": "ncp", "holidays": ["2026-07-04"]}, "holidays need weekdays"),
        ({"method": "ncp", "hours": [24]}, "less than or equal to 23"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(ValidationError, match=words):
        Transmission.model_validate({"usd_per_kw_year": 10.0, **wrong})


def bought(mw: float, usd: float, over: Grid, name: str = "power") -> tuple[Award, ...]:
    return tuple(
        Award(source="t", known_at=AT, obligation=name, product="ENERGY", market="DAM", over=o, mw=mw, mcpc_usd_per_mw_h=usd)
        for o in over.intervals
    )


@pytest.mark.parametrize(("energy", "deviation", "total"), [(METERED, "2198.22", "867.42"), ([D("3.04")] * 12, "454.07", "-876.73")])
def test_ex6_energy_bought_day_ahead_is_an_award(energy, deviation, total):
    """EX-6: 40 MWh bought at 33.27 cost 1,330.80; what deviates settles at the five-minute price."""
    where, over = site(group("g", rigs=20_000), market=Market.MISO), grid(12, 5)
    real = actuals(where, over, {"g": energy}, {POINT: LMP}, awards=bought(40.0, 33.27, hours_of(AT, 1)))
    bill = settle((Power(),), real)
    assert bill.totals == {("power", "day_ahead"): D("-1330.80"), ("power", "energy"): D(deviation)}
    assert bill.net_usd == D(total)


def test_a_purchase_settles_at_the_zone_and_the_load_at_the_energy_weighted_one():
    where = site(group("g", rigs=20_000), meters=(Meter(id="main", settlement_point="LZ_WEST_EW", loss_factor=1.02),))
    prices = {"LZ_WEST_EW": ["50"], "LZ_WEST": ["45"]}
    real = actuals(where, hours_of(AT, 1), {"g": ["10"]}, prices, awards=bought(8.0, 40.0, hours_of(AT, 1)))
    bill = settle((Power(settlement_point="LZ_WEST", adders_usd_per_mwh=1.0),), real)
    assert bill.totals == {
        ("power", "energy"): D("-510.00"),
        ("power", "adders"): D("-10.20"),
        ("power", "day_ahead"): D("-320.00"),
        ("power", "day_ahead_return"): D("360.00"),
    }


def test_a_purchase_decides_nothing():
    where, over = site(group("g", rigs=1000)), hours_of(AT, 6)
    ahead, awards = outlook([20, 90, 120, 300, 40, 100], over), bought(50.0, 500.0, over)
    with_it = plan(where, (Hashing(), Power(), Plant()), ahead, so_far(awards=awards))
    without = plan(where, (Hashing(), Power(), Plant()), ahead, so_far())
    np.testing.assert_allclose(with_it.load_mw, without.load_mw)
    assert with_it.objective_usd == pytest.approx(without.objective_usd + 50 * (20 + 90 + 120 + 300 + 40 + 100) - 50 * 500 * 6)


def test_a_minimum_take_is_used_or_lost():
    where, over = site(group("g", rigs=20_000)), hours_of(AT, 2)
    block = Block(mw=10.0, usd_per_mwh=30.0, min_take_mw=6.0, sell_back=SellBack(haircut_usd_per_mwh=2.0))
    real = actuals(where, over, {"g": ["8", "1"]}, {POINT: ["100", "100"]})
    bill = settle((Power(), block), real)
    assert bill.totals == {("block", "block_cost"): D("-600.00"), ("block", "block_settlement"): D("588.00")}  # (2 + 4) x 98
    assert not Block(mw=10.0, usd_per_mwh=30.0, min_take_mw=1.0).at_full_price
    with pytest.raises(ValidationError, match="min_take_mw 11 is more than the block's 10 MW"):
        Block(mw=10.0, usd_per_mwh=30.0, min_take_mw=11.0)


def test_under_its_minimum_take_a_block_is_worth_running_for():
    """At 150 $/MWh the rigs would stop; what the take loses else keeps so many of them awake."""
    where = site(group("g", rigs=1000))
    free = Block(mw=3.0, usd_per_mwh=30.0)
    bound = Block(mw=3.0, usd_per_mwh=30.0, min_take_mw=2.0)
    ahead = outlook([150.0], hours_of(datetime(2026, 8, 20, 16, tzinfo=UTC), 1))
    assert plan(where, (Hashing(), Power(), free, Plant()), ahead, so_far()).load_mw[0] == pytest.approx(0.0)
    assert plan(where, (Hashing(), Power(), bound, Plant()), ahead, so_far()).load_mw[0] == pytest.approx(2.0)
