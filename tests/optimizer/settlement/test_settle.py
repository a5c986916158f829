"""The bill: exact lines, named gaps, cited sources; and from plan to bill by cause, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain.site import Hall, Overhead, Scope
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from optimizer.planning.plan_json import plan_to_json
from optimizer.settlement.counterfactuals import always_on, counterfactuals, last_published, perfect_foresight, value_of
from optimizer.settlement.settle import settle
from optimizer.settlement.variance import (
    FORESIGHT_GAP_CAUSES,
    VARIANCE_CAUSES,
    PlannedEnergy,
    foresight_gap_by_cause,
    planned_energy,
    variance_by_cause,
)
from tests.optimizer.fixtures import AT, POINT, Dead, actuals, call, grid, group, outlook, random_prices, site, so_far, three_models

BOOK = (Hashing(pool_fee=0.01), Power(adders_usd_per_mwh=6.15), Plant())


@settings(max_examples=30)
@given(data=st.data(), n=st.integers(1, 12))
def test_the_bill_equals_an_independent_sum(data, n):
    """Quantities and prices of any cents, in whole Decimals: revenue less fee, energy and adders, each rounded once."""
    cents = st.decimals(-300, 6000, places=2, allow_nan=False)
    mwh = data.draw(st.lists(st.decimals(0, 30, places=6), min_size=n, max_size=n))
    ph = data.draw(st.lists(st.decimals(0, 500, places=6), min_size=n, max_size=n))
    price = data.draw(st.lists(cents, min_size=n, max_size=n))
    real = actuals(site(group("g"), loss_factor=1.02), grid(n), {"g": mwh}, {POINT: price}, hash_ph_days={"g": ph}, hashprice=["45.5"] * n)
    statement = settle(BOOK, real)
    sums = {
        ("hashing", "hash_revenue"): sum(p * D("45.5") for p in ph),
        ("hashing", "pool_fee"): -sum(p * D("45.5") * D("0.01") for p in ph),
        ("power", "energy"): -sum(e * D("1.02") * p for e, p in zip(mwh, price, strict=True)),
        ("power", "adders"): -sum(e * D("1.02") * D("6.15") for e in mwh),
    }
    for key, exact in sums.items():
        printed = statement.totals.get(key, D(0))
        assert printed == exact.quantize(D("0.01"), "ROUND_HALF_UP")
    assert statement.net_usd == sum(statement.totals.values())
    assert abs(statement.net_exact_usd - sum(sums.values())) < D("1e-18")


def test_a_gap_is_named_and_never_counted_as_zero():
    real = actuals(site(group("g")), grid(3), {"g": ["1", "nan", "1"]}, {POINT: ["10", "10", "nan"]}, estimated=frozenset({1}))
    statement = settle((Power(),), real)
    assert [line.amount_usd for line in statement.lines] == [D(-10)]
    kinds = {f.kind: f.text for f in statement.findings}
    assert set(kinds) == {"missing-data", "estimated"}
    assert sum(f.kind == "missing-data" for f in statement.findings) == 2


def test_lines_cite_their_rule_and_the_source_of_the_price():
    real = actuals(site(group("g")), grid(1), {"g": ["1"]}, {POINT: ["10"]}, price_source={POINT: "NP6-905-CD, known 12:17"})
    energy, adders = settle((Power(adders_usd_per_mwh=1.0),), real).lines
    assert energy.rule.endswith(f"{POINT} by NP6-905-CD, known 12:17")
    assert "NP6" not in adders.rule
    assert "6.6.3.2" in energy.rule


def test_a_block_that_ends_in_the_middle_of_an_interval():
    """From 16:20 to 16:40, two thirds of two intervals: there the block settles the load, outside it is index energy."""
    block = Block(mw=12, usd_per_mwh=30, **{"from": AT + timedelta(minutes=20), "to": AT + timedelta(minutes=40)})
    real = actuals(site(group("g")), grid(4), {"g": ["3", "3", "3", "3"]}, {POINT: ["50"] * 4})
    statement = settle((Power(), block), real)
    assert statement.totals[("block", "block_cost")] == D("-120.00")  # 12 MW x 20 min = 4 MWh
    assert ("block", "block_settlement") not in statement.totals  # 4 MWh bought, 4 MWh used while it held
    assert statement.totals[("power", "energy")] == D("-400.00")


def test_a_block_above_the_load_and_a_block_at_another_settlement_point():
    real = actuals(site(group("g")), grid(2), {"g": ["1", "3"]}, {POINT: ["50", "50"], "HB": ["20", "20"]})
    lost = settle((Power(), Block(mw=8, usd_per_mwh=30, sell_back=None)), real)
    assert lost.totals[("block", "block_settlement")] == D("-50.00")  # 1 of 2 MWh lost, then 1 MWh bought
    hedge = settle((Power(), Block(mw=8, usd_per_mwh=30, settlement_point="HB")), real)
    assert hedge.totals == {
        ("power", "energy"): D("-200.00"),
        ("block", "block_cost"): D("-120.00"),
        ("block", "block_settlement"): D("80.00"),
    }


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_causes_add_up_to_the_last_digit(seed):
    """Whatever the contracts: planned plus the causes is the bill, exactly."""
    rng = np.random.default_rng(seed)
    n, where = 16, three_models()
    block = Block(mw=5, usd_per_mwh=35, sell_back=SellBack(haircut_usd_per_mwh=2, cap_mw=3))
    over, names = grid(n), [g.name for g in where.groups]

    def some(scale):
        return {name: [D(str(round(x, 6))) for x in rng.uniform(0, scale, n)] for name in names}

    planned = [
        None if rng.random() < 0.2 else PlannedEnergy(
            {k: v[i] for k, v in some(1.0).items()}, {k: v[i] for k, v in some(2.0).items()}, {POINT: D(str(round(p, 2)))}, D(44),
            frozenset(rng.choice(names, 1)),
        )
        for i, p in enumerate(random_prices(rng, n))
    ]  # fmt: skip
    real = actuals(
        where,
        over,
        some(1.0),
        {POINT: random_prices(rng, n)},
        hash_ph_days=some(2.0),
        hashprice=["45.5"] * n,
        calls=(call("plant", AT + timedelta(minutes=30), AT + timedelta(minutes=90), mw_cap=1.0),),
        estimated=frozenset({2, 9}),
    )
    for book in (BOOK, (*BOOK, block)):
        found = variance_by_cause(book, planned, real)
        assert tuple(found.causes) == VARIANCE_CAUSES
        assert found.planned_usd + sum(found.causes.values()) == found.actual_usd
        assert found.actual_usd == settle(book, real).net_exact_usd


def test_each_cause_has_its_own_dollars():
    """A plan of 1 MWh a quarter hour at 40 $/MWh; one thing goes otherwise in each interval."""
    where, n = site(group("g")), 5
    book = (Power(),)
    said = [PlannedEnergy({"g": D(1)}, {"g": D(0)}, {POINT: D(40)}, D(45), frozenset({"g"}) if i == 3 else frozenset()) for i in range(n)]
    real = actuals(
        where,
        grid(n),
        {"g": ["1", "0", "0.9", "0.5", "0.8"]},
        {POINT: ["50", "40", "40", "40", "40"]},
        hashprice=[45] * n,
        calls=(call("power", AT + timedelta(minutes=15), AT + timedelta(minutes=30), mw_cap=0.0),),
        estimated=frozenset({2}),
    )
    found = variance_by_cause(book, said, real)
    assert found.causes == {"price": D(-10), "call": D(40), "data": D(4), "wake": D(20), "device": D(8)}
    assert (found.planned_usd, found.actual_usd) == (D(-200), D(-138))


def test_the_gap_to_perfect_foresight_has_its_own_dollars():
    """Foresight would have slept at 50 $/MWh and run at 40; each interval goes otherwise for one reason. Hashing is worth 60 $ a MWh."""
    where, n = site(group("g")), 6
    book = (Hashing(pool_fee=0.0), Power())
    starts = [frozenset({"g"}) if i == 3 else frozenset() for i in range(n)]
    said = [PlannedEnergy({"g": D(1)}, {"g": D("1.25")}, {POINT: D(40)}, D(48), starts[i]) for i in range(n)]
    real = actuals(
        where,
        grid(n),
        {"g": ["1", "0", "0.9", "0.5", "0.8", "0"]},
        {POINT: ["70", "40", "40", "40", "40", "40"]},
        hash_ph_days={"g": ["1.25", "0", "1.125", "0.625", "1", "0"]},
        hashprice=[48] * n,
        calls=(call("power", AT + timedelta(minutes=15), AT + timedelta(minutes=30), mw_cap=0.0),),
        estimated=frozenset({2}),
    )
    best = replace(real, energy_mwh={"g": [D(0), *[D(1)] * 5]}, hash_ph_days={"g": [D(0), *[D("1.25")] * 5]})
    found = foresight_gap_by_cause(book, best, [*said[:5], None], real)
    assert tuple(found) == FORESIGHT_GAP_CAUSES
    assert found == {
        "forecast": D(-10),  # ran at 70 $/MWh what earns 60
        "obligation": D(-20),
        "device": D(-4),
        "ramp and wake": D(-10),
        "link and feed": D(-22),  # 2 $ not read, 20 $ without a plan
    }
    assert settle(book, best).net_exact_usd + sum(found.values()) == settle(book, real).net_exact_usd


def test_planned_energy_on_the_settlement_grid():
    """Two plans, the second from 16:20 on: energy is time-weighted, an interval beyond the last plan has none, a start is seen."""
    where = three_models()
    first = plan_to_json(plan(where, BOOK, outlook([20.0, 20.0, 900.0, 20.0]), so_far()))
    second = plan_to_json(plan(where, BOOK, outlook([20.0, 900.0, 900.0]), so_far()))
    said = planned_energy(grid(5), [(AT, first), (AT + timedelta(minutes=20), second)])
    assert said[0] is not None and said[1] is not None
    assert float(said[0].energy_mwh["s21"]) == pytest.approx(3.5 / 4)
    assert float(said[1].energy_mwh["s21"]) == pytest.approx(3.5 / 12)  # five minutes of the first plan, then asleep
    assert float(said[1].energy_price[POINT]) == pytest.approx((20 * 5 + 900 * 10) / 15)
    assert float(said[0].hash_ph_days["s21"]) == pytest.approx(200 / 96)
    assert said[3] is None and said[4] is None
    again = planned_energy(grid(4), [(AT, first)])
    assert again[3] is not None and again[3].waking == {"s19jpro", "s19xp", "s21"}
    assert again[0].waking == frozenset()


def test_a_plan_that_came_true_has_no_variance():
    where = site(*(group(m, m) for m in ("s19xp", "s21")), loss_factor=1.02,
                 halls=(Hall(name="a", meter="main", limit_mw=50, overhead=Overhead(share=0.03)),))  # fmt: skip
    price = random_prices(np.random.default_rng(4), 16)
    made = plan(where, BOOK, outlook(price), so_far())
    said = planned_energy(made.grid, [(AT, plan_to_json(made))])
    real = actuals(where, made.grid, {g: [i.energy_mwh[g] for i in said] for g in made.groups}, {POINT: price},
                   hash_ph_days={g: [i.hash_ph_days[g] for i in said] for g in made.groups})  # fmt: skip
    found = variance_by_cause(BOOK, said, real)
    assert set(found.causes.values()) == {D(0)}
    assert float(found.actual_usd) == pytest.approx(made.objective_usd, abs=1e-3)


def test_every_strategy_is_valued():
    """On a day of spikes: foresight earns most, a strike a model at least one strike, all more than running through 5,000 $/MWh."""
    where = three_models(interconnect_mw=9.0)
    price = [30.0] * 40 + [5000.0] * 8 + [75.0] * 8 + [30.0] * 40
    final = outlook(price)
    published = {POINT: last_published(final.energy[POINT])}
    found = counterfactuals(BOOK, perfect_foresight(where, BOOK, final, so_far()), published)
    usd = {name: value.net_usd for name, value in found.items()}
    assert set(usd) == {"always_on", "one_strike", "model_strike", "perfect_foresight"}
    assert usd["perfect_foresight"] > usd["model_strike"] > usd["one_strike"] > usd["always_on"]
    assert found["always_on"].energy_mwh == pytest.approx(9.0 * 24)
    assert float(usd["perfect_foresight"]) == pytest.approx(plan(where, BOOK, final, so_far()).objective_usd, abs=0.05)
    lines = found["one_strike"].lines
    assert sum(lines.values()) == found["one_strike"].net_usd
    assert {"hashing/hash_revenue", "power/energy"} <= set(lines)


def test_strategies_weigh_charges_of_a_period_as_plans_do():
    """The bill charges a month's demand whole. Beside each other strategies bear only this day's part, so that none beats foresight."""
    where, price = three_models(), [30.0] * 40 + [104.0] * 16 + [30.0] * 40
    book = (*BOOK, Transmission(name="demand", method="ncp", usd_per_kw_year=60.0))
    final = outlook(price)
    best = perfect_foresight(where, book, final, so_far())
    found = counterfactuals(book, best, {POINT: last_published(final.energy[POINT])})
    usd = {name: value.net_usd for name, value in found.items()}
    assert float(usd["perfect_foresight"]) == pytest.approx(best.objective_usd, abs=0.05)
    assert usd["perfect_foresight"] == max(usd.values()) > 0
    assert all(value.lines["demand/demand_carried"] > 0 and sum(value.lines.values()) == value.net_usd for value in found.values())


def test_a_strike_uses_only_published_prices():
    """A price is out two minutes after its interval: a spike of one interval is run through, and answered two intervals later."""
    final = outlook([30.0, 30.0, 5000.0, 30.0, 30.0, 30.0])
    known = last_published(final.energy[POINT])
    assert np.isnan(known[:2]).all()
    np.testing.assert_array_equal(known[2:], [30, 30, 5000, 30])
    found = counterfactuals(BOOK, perfect_foresight(site(group("g", rigs=1000)), BOOK, final, so_far()), {POINT: known})
    assert found["one_strike"].energy_mwh == pytest.approx(5 * 0.875)
    assert found["one_strike"].starts == 2000


def test_always_on_keeps_calls_and_limits():
    from optimizer.planning.plan import program_of

    state = so_far(calls=(call("plant", AT, AT + timedelta(minutes=30), mw_cap=2.0),))
    program = program_of(three_models(), BOOK, outlook([5000.0] * 4), state)
    value = value_of(BOOK, program, always_on(BOOK, program))
    assert value.energy_mwh == pytest.approx((2.0 * 2 + 9.578 * 2) / 4)


def test_reasons_are_sentences_for_an_operator():
    where = site(group("g", "s19jpro"), group("fast", "s21", rigs=1000), interconnect_mw=3.0)
    made = plan(where, BOOK, outlook([30.0] * 4 + [143.2] * 8 + [30.0] * 4), so_far())
    text = "\n".join(reasons(made))
    assert "fast (s21) runs 86% of its rigs until 12:00 (HE13): energy at LZ_WEST is $30.00/MWh, below its breakeven of $99.92/MWh" in text
    assert "limited by interconnect" in text
    # 84.7 of 1000 fast rigs more for each MW: $99.92/MWh less $30.00/MWh; it binds before the dear hours and after them
    assert "interconnect binds for 2 h (11-12, 14-15); one more MW there is worth $69.92 an hour" in text
    asleep = plan(where, BOOK, outlook([143.2] * 4 + [30.0] * 4), so_far())
    assert any(
        r.startswith("g (s19jpro) sleeps") and "energy at LZ_WEST is $143.20/MWh, above its breakeven of $56.77/MWh" in r
        for r in reasons(asleep)
    )
    assert any("g (s19jpro): no rig is available now" in r for r in reasons(plan(
        where, BOOK, outlook([30.0] * 2), so_far(), _none(2))))  # fmt: skip
    assert plan(where, BOOK, outlook([30.0] * 2), so_far(), session=Dead()).shadow_prices == {}


def _none(n: int):
    from tests.optimizer.fixtures import available

    return available(grid(n), g=[0.0] * n)


def test_a_plan_of_two_contracts_worked_out_by_hand():
    """Options are those of the contract's site file; what is not known is a fault."""
    block = Block.model_validate(
        {
            "mw": 60.0,
            "usd_per_mwh": 32.5,
            "sell_back": {"haircut_usd_per_mwh": 0.0, "cap_mw": 60.0},
            "from": "2026-01-01T00:00:00-06:00",
            "to": "2031-01-01T00:00:00-06:00",
            "scope": {"meter": "clr"},
        }
    )
    assert block.at_full_price and block.scope == Scope(meter="clr")
    assert block.over is not None and block.over.start.isoformat() == "2026-01-01T06:00:00+00:00"
    for wrong in ({"mw": -1, "usd_per_mwh": 1}, {"mw": 1, "usd_per_mwh": 1, "colour": 2}, {"mw": 1, "usd_per_mwh": float("nan")},
                  {"mw": 1, "usd_per_mwh": 1, "from": "2026-01-01T00:00:00"}, {"mw": 1, "usd_per_mwh": 1, "scope": {"metre": "x"}},
                  {"mw": 1, "usd_per_mwh": 1, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}):  # fmt: skip
        with pytest.raises(ValueError):
            Block.model_validate(wrong)


def test_the_shadow_price_of_a_start_limit_is_in_starts():
    """300 rigs may start a quarter hour. One that starts a quarter hour sooner hashes 3.5 kW for 0.25 h at 69.92 $/MWh more; the first
    quarter's start moves three of them up."""
    where = site(group("g", "s21"), halls=[Hall(name="a", meter="main", limit_mw=1000.0, max_starts_per_min=20.0)])
    made = plan(where, BOOK, outlook([30.0] * 8), so_far())
    a_quarter_sooner = 3.5 * 0.25 * 69.92
    said, worth = next(r for r in reasons(made) if r.startswith("starts hall a binds")).split(" are worth ")
    assert said == "starts hall a binds for 0.75 h (11-11:45); a thousand more starts then"
    least, most = (float(x.removeprefix("$")) for x in worth.split(" to "))
    assert (least, most) == pytest.approx((a_quarter_sooner, 3 * a_quarter_sooner), abs=0.02)
