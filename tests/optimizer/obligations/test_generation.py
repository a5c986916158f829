"""A generator behind the meter: fuel against the line, minimum load and starts, export or not, and one formula for the net load."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from optimizer.domain.generator import Generator, GeneratorMemory
from optimizer.domain.net_load import followed, greedy, net_mwh
from optimizer.domain.site import Hall, Meter, Scope
from optimizer.domain.site_limits import site_limits
from optimizer.obligations.block import Block
from optimizer.obligations.generation import Generation
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, POINT, Dead, actuals, call, grid, group, outlook, random_prices, site, site_of_two_meters, so_far

GAS = {"fuel_usd_per_mmbtu": 2.0, "heat_rate_mmbtu_per_mwh": 10.0}  # 20 $/MWh


def field(*, import_mw: float | None = None, export_mw: float = 0.0, rigs: int = 1000, loss_factor: float = 1.0, **more):
    """A thousand S21 (3.5 MW, breakeven 107.14 $/MWh at 45 $/PH/day) behind one line."""
    line = Meter(id="main", settlement_point=POINT, loss_factor=loss_factor, import_mw=import_mw, export_mw=export_mw)
    return site(group("rigs", "s21", rigs=rigs), meters=(line,), **more)


def book(*more, **of):
    return (Hashing(), Power(), Generation(mw=of.pop("mw", 3.0), **{**GAS, **of}), *more, Plant())


def test_it_runs_where_the_line_costs_more_than_its_fuel():
    made = plan(field(), book(), outlook([10.0, 30.0, 200.0], grid(3, 60)), so_far())
    np.testing.assert_allclose(made.generation["generation"], [0.0, 3.0, 3.0], atol=1e-6)
    # At 200 $/MWh the rigs run on gas alone: they earn 107 $ and cost 20.
    np.testing.assert_allclose(made.load_mw, [3.5, 3.5, 3.0], atol=1e-6)
    assert made.lines[("generation", "fuel")] == pytest.approx([0.0, -60.0, -60.0])
    assert made.lines[("power", "energy")] == pytest.approx([-35.0, -15.0, 0.0])
    dear = plan(field(), book(min_mw=1.0, start_usd=10.0), outlook([200.0, 200.0], grid(2, 60)), so_far())
    assert "above its breakeven of $107.14/MWh; it runs on power generated behind meter main" in reasons(dear)[0]
    assert not any(name.startswith("starts") for name in dear.shadow_prices)


def test_the_weak_line_holds_the_load_to_line_and_machine():
    where = field(import_mw=0.25)
    made = plan(where, book(mw=1.0), outlook([10.0, 30.0], grid(2, 60)), so_far())
    np.testing.assert_allclose(made.load_mw, [1.25, 1.25], atol=1e-6)
    net = made.load_mw - made.generation["generation"]
    assert net.max() <= 0.25 + 1e-6
    assert any("line main binds" in reason for reason in reasons(made)) or "line main" in made.shadow_prices
    assert any(reason.startswith("generation makes 1.000 MW") and "the line brings 0.250 MW of 0.25" in reason for reason in reasons(made))


def test_what_is_left_over_flows_out_only_where_it_may():
    dear = outlook([500.0], grid(1, 60))
    kept = plan(field(), book(), dear, so_far())
    assert kept.generation["generation"][0] == pytest.approx(3.0) and kept.load_mw[0] == pytest.approx(3.0)
    sold = plan(field(export_mw=2.0), book(), dear, so_far())
    assert sold.generation["generation"][0] == pytest.approx(3.0) and sold.load_mw[0] == pytest.approx(1.0, abs=1e-6)
    assert sold.lines[("power", "energy")][0] == pytest.approx(1000.0)


def test_adders_fall_on_what_is_drawn_and_the_haircut_on_what_flows_out():
    where, over = field(export_mw=2.0, loss_factor=1.02), grid(2, 60)
    power = Power(adders_usd_per_mwh=6.0, export_haircut_usd_per_mwh=5.0)
    contracts = (power, Generation(mw=3.0, **GAS))
    real = actuals(where, over, {"rigs": ["3.5", "1.0"]}, {POINT: ["100", "400"]}, generated_mwh={"generation": [D(3), D(3)]})
    bill = settle(contracts, real)
    assert bill.totals == {
        ("power", "energy"): D("749.00"),  # - 0.51 x 100 + 2 x 400: losses fall on what is drawn
        ("power", "adders"): D("-3.06"),  # on 0.51
        ("power", "export_haircut"): D("-10.00"),  # on 2
        ("generation", "fuel"): D("-120.00"),
    }


def test_minimum_load_no_load_fuel_and_starts_by_hand():
    contract = Generation(mw=3.0, min_mw=1.5, no_load_mmbtu_per_h=4.0, start_usd=75.0, maintenance_usd_per_mwh=1.5, **GAS)
    made = ["0", "1.5", "3", "0", "3"]
    real = actuals(field(), grid(5, 60), {"rigs": ["3.5"] * 5}, {POINT: ["30"] * 5}, generated_mwh={"generation": [D(m) for m in made]})
    assert settle((contract,), real).totals == {
        ("generation", "fuel"): D("-174.00"),  # 7.5 MWh x 10 and three hours of 4 MMBtu at 2 $
        ("generation", "maintenance"): D("-11.25"),
        ("generation", "starts"): D("-150.00"),
    }
    running = actuals(
        field(), grid(1, 60), {"rigs": ["3.5"]}, {POINT: ["30"]},
        generated_mwh={"generation": [D(3)]}, memory={"generation": GeneratorMemory(running_mw=3.0)},
    )  # fmt: skip
    assert ("generation", "starts") not in settle((contract,), running).totals, "it ran before: no start"


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_a_plan_earns_what_the_best_of_all_schedules_earns(seed):
    """Every on and off over six hours tried by hand, the load chosen best for each."""
    rng = np.random.default_rng(seed)
    n, start, no_load, least = 6, float(rng.choice([0, 40, 150])), float(rng.choice([0, 3])), float(rng.choice([0.2, 1.0, 2.5]))
    prices = np.round(rng.uniform(-20, 180, n), 2)
    line = None if rng.random() < 0.4 else float(rng.choice([0.5, 2.0]))
    out = float(rng.choice([0.0, 1.0]))
    where = field(import_mw=line, export_mw=out)
    made = plan(where, book(mw=3.0, min_mw=least, start_usd=start, no_load_mmbtu_per_h=no_load), outlook(prices, grid(n, 60)), so_far())
    worth = 45.0 * 200 / 24 / 3.5  # usd_per_mwh of hashing
    best = -np.inf
    for on in product((0, 1), repeat=n):
        usd, before = 0.0, 0
        for t, runs in enumerate(on):
            usd -= start * (runs > before)
            before = runs
            corners = []
            for generated in np.unique(
                [0.0] if not runs else [least, 3.0, *np.clip([3.5 - (line or 0), line or 0, 3.5 + out], least, 3.0)]
            ):
                for load in (0.0, 3.5, generated - out, generated + (line if line is not None else 9)):
                    load = min(max(load, 0.0), 3.5)
                    net = load - generated
                    if net >= -out - 1e-9 and (line is None or net <= line + 1e-9):
                        corners.append(worth * load - prices[t] * net - 20.0 * generated - runs * no_load * 2.0)
            usd = usd + max(corners) if corners else -np.inf
        best = max(best, usd)
    assert made.objective_usd == pytest.approx(best, abs=1e-3)


def test_minimum_times_keep_it_as_it_is_and_the_past_counts():
    over = grid(6, 60)
    running = so_far(memory={"generation": GeneratorMemory(running_mw=3.0, since=(AT - timedelta(minutes=30)))})
    cheap = outlook([1.0] * 6, over)
    assert plan(field(), book(min_mw=2.0), cheap, running).generation["generation"].max() == 0.0
    held = plan(field(), book(min_mw=2.0, min_up_min=120), cheap, running)
    assert (held.generation["generation"] > 1.9).tolist() == [True, True, False, False, False, False]
    dear = outlook([1.0, 90.0, 1.0, 1.0, 90.0, 1.0], over)
    rested = plan(field(), book(min_mw=2.0, min_down_min=300), dear, so_far())
    runs = rested.generation["generation"] > 1.9
    assert runs.sum() and np.count_nonzero(np.diff(runs.astype(int)) == 1) <= 1


def test_an_outage_leaves_the_line_alone():
    out = {"from": AT + timedelta(hours=1), "to": AT + timedelta(hours=2)}
    contract = Generation(mw=3.0, outages=(out,), **GAS)
    where = field(import_mw=0.5)
    made = plan(where, (Hashing(), Power(), contract, Plant()), outlook([30.0] * 3, grid(3, 60)), so_far())
    np.testing.assert_allclose(made.load_mw, [3.5, 0.5, 3.5], atol=1e-6)
    line = next(limit for limit in site_limits(where, (contract, Plant()), grid(3, 60)) if limit.name == "line main")
    assert line.most_mw.tolist() == [3.5, 0.5, 3.5]


def test_a_called_floor_or_cap_stands_above_the_machine():
    """A cap lets the machine turn down to what may flow out; a machine that must stay on gives way to it."""
    cap = call("plant", AT, AT + timedelta(hours=2), mw_cap=0.4)
    running = so_far(memory={"generation": GeneratorMemory(running_mw=3.0, since=AT)}, calls=(cap,))
    made = plan(field(), book(min_mw=2.0, min_up_min=240), outlook([90.0] * 4, grid(4, 60)), running)
    assert made.load_mw[:2].max() <= 0.4 + 1e-6
    assert (made.load_mw - made.generation["generation"]).min() >= -1e-6
    assert any(s.promise == "minimum up generation" for s in made.shortfalls)


def test_without_a_solver_the_machine_still_follows_the_line():
    where = field(import_mw=0.5)
    made = plan(where, book(mw=2.0), outlook([10.0, 90.0, 10.0], grid(3, 60)), so_far(), session=Dead())
    assert made.solve.status == "merit order"
    net = made.load_mw - made.generation["generation"]
    assert made.load_mw.min() == pytest.approx(2.5, abs=0.01) and net.min() >= -1e-6 and net.max() <= 0.5 + 1e-6


def test_the_block_settles_the_net_load_it_covers():
    where, over = field(loss_factor=1.01), grid(2, 60)
    machine = Generation(mw=3.0, **GAS)
    real = actuals(where, over, {"rigs": ["3.5", "3.5"]}, {POINT: ["100", "50"]}, generated_mwh={"generation": [D(3), D(1)]})
    index = settle((Power(), machine), real).net_exact_usd
    both = settle((Power(), Block(mw=2.0, usd_per_mwh=30.0), machine), real)
    assert ("power", "energy") not in both.totals
    assert both.net_exact_usd - index == D(2) * (100 - 30) + D(2) * (50 - 30)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_the_law_holds_for_net_load(seed):
    rng = np.random.default_rng(seed)
    where = site_of_two_meters(export_mw=float(rng.choice([0.0, 1.5])))
    ahead = outlook(random_prices(rng, 12))
    machine = Generation(
        mw=2.5, min_mw=float(rng.choice([0.3, 1.0])), start_usd=float(rng.choice([0.0, 60.0])), no_load_mmbtu_per_h=2.0,
        scope=Scope(meter="main"), fuel_usd_per_mmbtu=3.0, heat_rate_mmbtu_per_mwh=9.5,
    )  # fmt: skip
    kit.keeps_the_law(machine, where, ahead, rng, linear=False, beside=(Hashing(), Power()))
    power = Power(adders_usd_per_mwh=6.0, export_haircut_usd_per_mwh=3.0)
    kit.keeps_the_law(power, where, ahead, rng, linear=False, beside=(machine, Plant()))
    kit.keeps_the_law(Power(), where, ahead, rng, linear=True, beside=(machine, Plant()))
    kit.speaks_for_itself(machine, where, ahead, rng)
    kit.honours_calls(machine, where, ahead)


def test_a_generator_without_one_meter_is_left_out_and_named():
    halls = (Hall(name="a", meter="m", limit_mw=9), Hall(name="b", meter="n", limit_mw=9))
    lines = tuple(Meter(id=name, settlement_point=POINT) for name in ("m", "n"))
    where = site(group("a", rigs=100), group("b", rigs=100, hall="b"), meters=lines, halls=halls)
    made = plan(where, book(), outlook([30.0] * 2), so_far())
    assert made.load_mw.min() == pytest.approx(0.7)
    assert any(f.kind == "obligation" and "generation" in f.text and "the site has m, n" in f.text for f in made.findings)


def test_gross_and_net_are_kept_apart():
    """A scope of a part of a meter is gross; the whole meter is net."""
    where = site(group("a", rigs=1000), group("b", rigs=1000), meters=(Meter(id="main", settlement_point=POINT),))
    real = actuals(where, grid(1, 60), {"a": ["3"], "b": ["2"]}, {POINT: ["10"]}, generated_mwh={"generation": [D(4)]})
    machine = Generation(mw=5.0, **GAS)
    part = settle((Power(scope=Scope(groups=("a",))), machine), real)
    assert part.totals[("power", "energy")] == D("-30.00")
    assert settle((Power(), machine), real).totals[("power", "energy")] == D("-10.00")
    assert net_mwh.__doc__


@pytest.mark.parametrize(
    ("planned", "load", "made"),
    [("2", "3", "2"), ("2", "1", "1"), ("2", "5", "3"), ("0", "5", "0"), ("1", "4", "3"), ("NaN", "1", "NaN"), ("1", "NaN", "NaN")],
)
def test_a_machine_follows_the_load_within_the_line(planned, load, made):
    found = followed(Generator("g", "main", 3.0), D(planned), D(load), Meter(id="main", settlement_point=POINT, import_mw=1.0))
    assert str(found) == str(D(made)) or found == D(made)


def test_greedy_takes_the_cheapest_machine_first():
    where = field(rigs=3000, import_mw=1.0)
    two = (Generator("dear", "main", 5.0, usd_per_mwh=60.0), Generator("cheap", "main", 4.0, min_mw=2.0, usd_per_mwh=20.0))
    load, usd = {"main": np.array([10.0, 10.0, 1.5, 3.0])}, [30.0, 100.0, 30.0, 10.0]
    found = greedy(where, {"main": two}, load, {POINT: np.array(usd)}, outlook(usd, grid(4, 60)))
    np.testing.assert_allclose(found["cheap"], [4.0, 4.0, 0.0, 2.0])
    np.testing.assert_allclose(found["dear"], [5.0, 5.0, 0.5, 0.0])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_mw": 4.0}, "min_mw 4 is more than mw 3"),
        ({"start_usd": 10.0}, "need min_mw"),
        ({"scope": {"hall": "a"}}, "needs a meter alone"),
        ({"outages": [{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}]}, "is not after"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(ValidationError, match=words):
        Generation.model_validate({"mw": 3.0, **GAS, **wrong})
