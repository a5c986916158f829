"""A plan follows breakevens, keeps every limit, is the same twice, and is there even when the solver is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.grid import Grid
from markets.series import Series
from optimizer.domain.site import GroupNow, Hall, Overhead
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import breakevens, reasons
from optimizer.planning.plan import plan
from optimizer.planning.plan_json import plan_to_json
from optimizer.solve.lexicographic import SolveError
from tests.optimizer.fixtures import (
    AT,
    POINT,
    Dead,
    available,
    awake,
    broken_limits,
    grid,
    group,
    modes,
    outlook,
    random_prices,
    site,
    so_far,
    three_models,
)

BOOK = (Hashing(pool_fee=0.01), Power(adders_usd_per_mwh=6.15), Plant())


@settings(max_examples=40)
@given(
    price=st.lists(st.floats(-200, 400).map(lambda p: round(p, 2)), min_size=1, max_size=40),
    fee=st.sampled_from([0.0, 0.01, 0.025]),
    adders=st.sampled_from([0.0, 6.15]),
    overhead=st.sampled_from([0.0, 0.05]),
    loss=st.sampled_from([1.0, 1.0178]),
    low=st.booleans(),
)
def test_a_free_group_follows_its_breakeven_in_every_interval(price, fee, adders, overhead, loss, low):
    """Without minimum times or a limit that binds, a rig runs exactly when the price is under what it can pay: hash revenue per MWh that
    settles, less adders. Worked out here by hand."""
    where = site(
        group("old", "s19jpro", low=low),
        group("new", "s21", low=low),
        loss_factor=loss,
        halls=(Hall(name="a", meter="main", limit_mw=100, overhead=Overhead(share=overhead)),),
    )
    made = plan(where, (Hashing(pool_fee=fee), Power(adders_usd_per_mwh=adders), Plant()), outlook(price), so_far())
    for g in where.groups:
        normal = g.mode("normal")
        worth = 45.0 * (1 - fee) / 24 * normal.ths / normal.watts * 1000
        strike = worth / (1 + overhead) / loss - adders
        rigs = awake(made, g.name)
        for t, p in enumerate(price):
            if low:  # the low mode is the more efficient: its own strike is higher, and between the two it runs
                low_strike = worth * 0.75 / 0.7 / (1 + overhead) / loss - adders
                if abs(p - low_strike) > 0.01:
                    assert rigs[t] == (g.rigs if p < low_strike else 0)
            elif abs(p - strike) > 0.01:
                assert rigs[t] == (g.rigs if p < strike else 0)
        if not low:
            assert breakevens(made)[g.name] == pytest.approx(strike)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_limits_hold_on_random_sites(seed):
    rng = np.random.default_rng(seed)
    where, state = random_site(rng)
    over = grid(48)
    book = (*BOOK, Block(mw=3, usd_per_mwh=40, sell_back=SellBack(haircut_usd_per_mwh=3, cap_mw=2))) if seed % 3 == 0 else BOOK
    ahead = outlook(random_prices(rng, 48), over, celsius=float(rng.uniform(0, 42)))
    made = plan(where, book, ahead, state)
    assert made.solve.status == "optimal"
    assert broken_limits(where, made, state) == []
    assert not made.shortfalls
    fallback = plan(where, book, ahead, state, session=Dead())
    assert broken_limits(where, fallback, state) == []
    assert fallback.objective_usd <= made.objective_usd + 0.01


def random_site(rng: np.random.Generator):
    """Three models over two halls with limits, minimum times, wear and start limits drawn by chance; a state that keeps them."""
    groups = tuple(
        group(
            f"{model}-{hall}",
            model,
            rigs=int(rng.integers(100, 1500)),
            hall=hall,
            low=bool(rng.random() < 0.4),
            standby=float(rng.choice([0.0, 15.0])),
            min_on_min=float(rng.choice([0, 15, 30, 90])),
            min_off_min=float(rng.choice([0, 30, 60])),
            wear_usd_per_start=float(rng.choice([0.0, 0.05])),
        )
        for model in ("s19jpro", "s19xp", "s21")
        for hall in "ab"
    )
    full = {h: sum(g.rigs * g.full.watts for g in groups if g.hall == h) / 1e6 for h in "ab"}
    halls = tuple(
        Hall(
            name=h,
            meter="main",
            limit_mw=full[h] * float(rng.uniform(0.5, 1.3)),
            overhead=Overhead(share=0.03, share_per_c_above_25=0.002),
            max_starts_per_min=float(rng.integers(20, 200)) if rng.random() < 0.5 else None,
        )
        for h in "ab"
    )
    where = site(*groups, halls=halls, interconnect_mw=sum(full.values()) * float(rng.uniform(0.4, 1.2)), loss_factor=1.02)
    now = {}
    for g in groups:
        up = int(g.rigs * rng.uniform(0, 0.3))
        now[g.name] = GroupNow(
            {"sleep": float(g.rigs - up), "normal": float(up)},
            woken=((AT - timedelta(minutes=5), int(up * rng.uniform(0, 1))),),
            slept=((AT - timedelta(minutes=7), int((g.rigs - up) * rng.uniform(0, 0.2))),),
        )
    return where, so_far(groups=now)


def test_more_room_or_a_better_price_never_earns_less():
    rng = np.random.default_rng(5)
    where, state = random_site(rng)
    ahead = outlook(random_prices(rng, 48))
    base = plan(where, BOOK, ahead, state).objective_usd
    roomier = where.model_copy(update={"interconnect_mw": where.interconnect_mw * 1.2})
    assert plan(roomier, BOOK, ahead, state).objective_usd >= base - 1e-6
    richer = replace(ahead, hashprice=Series.flat(ahead.grid, 50.0, "usd_per_ph_day"))
    assert plan(where, BOOK, richer, state).objective_usd >= base - 1e-6
    cheaper = replace(ahead, energy={POINT: ahead.energy[POINT].with_values(ahead.energy[POINT].values - 5.0)})
    assert plan(where, BOOK, cheaper, state).objective_usd >= base - 1e-6
    fewer = available(ahead.grid, s21=[500.0] * 48)
    assert plan(three_models(), BOOK, ahead, so_far(), fewer).objective_usd <= plan(three_models(), BOOK, ahead, so_far()).objective_usd


def test_the_same_inputs_give_the_same_bytes():
    rng = np.random.default_rng(11)
    where, state = random_site(rng)
    ahead = outlook(random_prices(rng, 96))
    documents = []
    for _ in range(3):
        document = plan_to_json(plan(where, BOOK, ahead, state))
        document["solve"] = {k: v for k, v in document["solve"].items() if not k.endswith("_s")}
        documents.append(json.dumps(document, sort_keys=True, allow_nan=False))
    assert documents[0] == documents[1] == documents[2]


@pytest.mark.parametrize("flat", [False, True])
def test_a_replan_an_interval_later_moves_nothing(flat):
    """Unchanged prices, a horizon of the same end, the state the plan led to: 0 MWh move, even where many plans earn the same."""
    rng = np.random.default_rng(3)
    twins = tuple(group(f"{m}-{h}", m, rigs=700, hall=h, min_on_min=45, min_off_min=45) for m in ("s19jpro", "s19xp", "s21") for h in "abc")
    where = site(*twins, interconnect_mw=11.0, halls=tuple(Hall(name=h, meter="main", limit_mw=5.0, max_starts_per_min=50) for h in "abc"))
    over = grid(96)
    price = np.full(96, 40.0) if flat else random_prices(rng, 96)
    first = plan(where, BOOK, outlook(price, over), so_far())
    now = {}
    for g in where.groups:
        modes = {m: float(n[0]) for m, n in first.groups[g.name].modes.items()}
        now[g.name] = GroupNow(modes, woken=((AT, modes["normal"]),) if modes["normal"] else ())
    later = Grid(over.edges[1:])
    second = plan(where, BOOK, outlook(price[1:], later), so_far(later.start, groups=now))
    moved = sum(np.abs(second.groups[g.name].load_mw - first.groups[g.name].load_mw[1:]).sum() * 0.25 for g in where.groups)
    assert moved < 1e-3


@pytest.mark.parametrize("fault", [SolveError, RuntimeError, MemoryError])
def test_without_a_solver_there_is_a_plan_that_reports_it(fault):
    where = three_models()
    ahead = outlook(random_prices(np.random.default_rng(1), 96))
    dead = plan(where, BOOK, ahead, so_far(), session=Dead(fault))
    assert dead.solve.status == "merit order"
    assert any("merit order" in reason for reason in reasons(dead))
    assert [f.kind for f in dead.findings] == ["solver"]
    # nothing couples the hours of this site: merit order is the optimum
    assert dead.objective_usd == pytest.approx(plan(where, BOOK, ahead, so_far()).objective_usd, abs=0.01)


def test_merit_order_plans_a_hundred_models_in_few_steps():
    """The fallback has a second: it may look at each kind and hour once, not once for each other kind."""
    rng = np.random.default_rng(1)
    kinds = [group(f"g{k}", modes=modes(3000.0 + k, 100.0 + k), rigs=50, min_on_min=30, min_off_min=30) for k in range(100)]
    made = plan(site(*kinds, interconnect_mw=10.0), BOOK, outlook(random_prices(rng, 96)), so_far(), session=Dead())
    assert made.solve.status == "merit order"
    assert broken_limits(site(*kinds, interconnect_mw=10.0), made, so_far()) == []


def test_a_gap_in_prices_is_filled_and_reported():
    price = np.array([30.0, np.nan, 200.0, np.nan])
    made = plan(three_models(), BOOK, outlook(price), so_far())
    np.testing.assert_array_equal(made.prices[POINT], [30, 30, 200, 200])
    assert any("no price at LZ_WEST for 2 intervals" in reason for reason in reasons(made))


def test_no_deadline_is_too_short_for_a_plan():
    where, state = random_site(np.random.default_rng(8))
    made = plan(where, BOOK, outlook(random_prices(np.random.default_rng(8), 192)), state, deadline_s=0.0)
    assert broken_limits(where, made, state) == []
    assert made.solve.status in ("merit order", "optimal")


def test_unavailable_rigs_neither_run_nor_draw():
    where = three_models()
    over = grid(4)
    made = plan(where, BOOK, outlook([20.0] * 4, over), so_far(), available(over, s21=[1000, 600, 0, 1000]))
    np.testing.assert_allclose(awake(made, "s21"), [1000, 600, 0, 1000])
    np.testing.assert_allclose(made.groups["s21"].load_mw, [3.5, 2.1, 0, 3.5])


def test_the_plan_document_has_the_agreed_shape():
    made = plan(three_models(interconnect_mw=5.0), BOOK, outlook([20.0, 300.0]), so_far())
    document = json.loads(json.dumps(plan_to_json(made), allow_nan=False))
    assert {"objective_usd", "intervals", "lines", "shadow_prices", "shortfalls", "reasons", "solve", "at", "breakevens"} <= set(document)
    interval = document["intervals"][0]
    assert {"start", "end", "load_mw", "groups", "offers"} <= set(interval)
    assert set(interval["groups"]["s21"]) == {"load_mw", "hashrate_ph", "modes"}
    assert interval["load_mw"] == pytest.approx(sum(g["load_mw"] for g in interval["groups"].values()), abs=1e-6)
    assert document["objective_usd"] == pytest.approx(sum(document["lines"].values()), abs=1e-4)
    assert {"rows", "cols", "build_s", "solve_s", "status"} <= set(document["solve"])
    assert document["shadow_prices"]["interconnect"][0] > 0


def test_one_more_megawatt_is_worth_its_shadow_price():
    """The finite difference of the objective is the limit's worth."""
    ahead = outlook([20.0, 60.0, 300.0, -10.0])
    base = plan(three_models(interconnect_mw=5.0), BOOK, ahead, so_far())
    more = plan(three_models(interconnect_mw=5.01), BOOK, ahead, so_far())
    worth = float((base.shadow_prices["interconnect"] * 0.25).sum())
    assert (more.objective_usd - base.objective_usd) / 0.01 == pytest.approx(worth, rel=1e-3)


def test_a_block_at_full_price_changes_no_interval():
    """docs/rules.md#blocks: shutting down is decided by the price against breakeven, never by the block's own price."""
    ahead = outlook(random_prices(np.random.default_rng(2), 96))
    without = plan(three_models(), BOOK, ahead, so_far())
    with_block = plan(three_models(), (*BOOK, Block(mw=6, usd_per_mwh=32.5)), ahead, so_far())
    np.testing.assert_allclose(with_block.load_mw, without.load_mw, atol=1e-9)
    constant = (6 * 0.25 * (ahead.energy[POINT].values - 32.5)).sum()
    assert with_block.objective_usd - without.objective_usd == pytest.approx(constant)


@settings(max_examples=15)
@given(haircut=st.floats(0, 60), cap=st.floats(0, 8), seed=st.integers(0, 100))
def test_a_haircut_or_a_cap_applies_in_each_interval(haircut, cap, seed):
    """Against the best of a fine search over the site's load, by the contract's words: buy above the block, sell below it up to the cap."""
    price = np.append(random_prices(np.random.default_rng(seed), 6), [-20.0, 5.0])
    where = site(group("g", "s19xp", rigs=2000))
    block = Block(mw=5, usd_per_mwh=30, sell_back=SellBack(haircut_usd_per_mwh=haircut, cap_mw=cap))
    made = plan(where, (Hashing(), Power(), Plant(), block), outlook(price), so_far())
    load = np.unique(np.append(np.linspace(0, 6.02, 603), [5.0, max(0.0, 5.0 - cap)]))
    usd = load[:, None] * 140 / 3.010 / 24 * 45 - np.maximum(0, load - 5)[:, None] * price
    full = haircut == 0 and cap >= 5
    sold = (
        np.maximum(0, 5 - load)[:, None] * price
        if full
        else np.minimum(np.maximum(0, 5 - load), cap)[:, None] * np.maximum(0, price - haircut)
    )
    best = ((usd + sold - 5 * 30) * 0.25).max(axis=0).sum()
    assert made.objective_usd == pytest.approx(best, rel=1e-5, abs=0.05)
