"""Ancillary services: the worked examples to the cent and the fourth decimal, headroom, and the law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.facts import Award, Call, CallKind
from markets.grid import Grid, Interval
from markets.series import Series
from optimizer.domain.site import GroupNow, Hall, Mode
from optimizer.obligations.ancillary.blocks import ReserveBlock
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan, program_of
from optimizer.planning.plan_json import plan_to_json
from optimizer.settlement.settle import settle
from optimizer.solve import check
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, POINT, Dead, actuals, available, call, grid, group, outlook, random_prices, site, so_far
from tests.rule_cases import with_market_rules

BOOK = (Hashing(), Power(), Plant())
NOON = datetime(2026, 8, 20, 17, tzinfo=UTC)
HOUR = timedelta(hours=1)


def award(product, over, mw, mcpc, market="DAM", name="ancillary"):
    return Award(source="qse", known_at=over.start - HOUR, obligation=name, product=product, market=market, over=over, mw=mw,
                 mcpc_usd_per_mw_h=mcpc)  # fmt: skip


def reserves(ahead, **by):
    return replace(ahead, reserve={p: Series(ahead.grid, np.broadcast_to(np.asarray(v, float), len(ahead.grid)), "usd_per_mw_h")
                                   for p, v in by.items()})  # fmt: skip


# --- EX-LP: 15 and 25 J/TH, 50 MW each, four hours at 30, 80, 150, 20 ---------------------------------------------------------------------


def efficient(name, j_per_th):
    return group(name, rigs=10_000, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=5000 / j_per_th)))


TWO = site(efficient("a", 15), efficient("b", 25))
FOUR = Grid.regular(NOON, NOON + 4 * HOUR, 60)
EXAMPLE = outlook([30, 80, 150, 20], FOUR, hashprice=40.0)
FORTY = tuple(award("ECRS", over, 40, mcpc) for over, mcpc in zip(FOUR.intervals, (5, 40, 60, 2), strict=True))


def example(prices, awards=(), session=None, **options):
    contract = with_market_rules(Ancillary(products=("ECRS",), qualified_mw={"ECRS": options.pop("cap", 60)}, **options))
    ahead = reserves(EXAMPLE, ECRS=prices)
    return plan(TWO, (*BOOK, contract), ahead, so_far(NOON, awards=awards), session=session)


def test_lp1_reserve_and_energy_together():
    """18,075.5556: B runs 10 MW at 80 $/MWh and A 50 MW at 150 only to hold headroom."""
    made = example([5, 40, 60, 2])
    assert made.objective_usd == pytest.approx(18_075.5556, abs=1e-4)
    np.testing.assert_allclose(made.load_mw, [100, 60, 50, 100], atol=1e-6)
    np.testing.assert_allclose(made.groups["b"].load_mw, [50, 10, 0, 50], atol=1e-6)
    np.testing.assert_allclose(made.offers["ECRS"], [60, 60, 50, 60], atol=1e-6)
    assert [i["offers"] for i in plan_to_json(made)["intervals"]] == [{"ECRS": 60.0}, {"ECRS": 60.0}, {"ECRS": 50.0}, {"ECRS": 60.0}]


def test_lp2_a_day_ahead_award_is_a_forward():
    """18,165.5556, of which -480 is the award against the real-time prices, whatever is carried."""
    made = example([6, 35, 75, 3], FORTY)
    assert made.objective_usd == pytest.approx(18_165.5556, abs=1e-4)
    without = example([6, 35, 75, 3])
    assert made.objective_usd - without.objective_usd == pytest.approx(-480, abs=1e-6)
    np.testing.assert_allclose(made.load_mw, without.load_mw, atol=1e-6)


def test_lp3_a_hard_hold():
    """12,777.7778 of energy and hashing, and 4,280 for the capacity."""
    made = example([5, 40, 60, 2], FORTY, cap=40, hold="firm")
    capacity = sum(float(usd.sum()) for (name, _), usd in made.lines.items() if name == "ancillary")
    assert capacity == pytest.approx(4_280, abs=1e-6)
    assert made.objective_usd - capacity == pytest.approx(12_777.7778, abs=1e-4)


def test_milp4_a_block_over_four_hours():
    made = example([5, 40, 60, 2], kind="nclr", block=ReserveBlock(min_mw=10, hours=4))
    assert made.objective_usd == pytest.approx(17_842.2222, abs=1e-4)
    assert len(set(np.round(made.offers["ECRS"], 6))) == 1


def test_a_block_below_its_least_is_not_sold():
    small = site(efficient("a", 15).model_copy(update={"rigs": 1000}))
    contract = with_market_rules(Ancillary(products=("ECRS",), kind="nclr", block=ReserveBlock(min_mw=10)))
    made = plan(small, (*BOOK, contract), reserves(outlook([30] * 4, FOUR, hashprice=40.0), ECRS=50.0), so_far(NOON))
    np.testing.assert_allclose(made.offers["ECRS"], 0, atol=1e-9)


def test_other_solvers_agree():
    from optimizer.planning.plan import program_of

    contract = with_market_rules(Ancillary(products=("ECRS", "REGDN"), qualified_mw={"ECRS": 60, "REGDN": 20}))
    assert check(program_of(TWO, (*BOOK, contract), reserves(EXAMPLE, ECRS=[5, 40, 60, 2], REGDN=8.0), so_far(NOON)))["agree"]


def test_without_a_solver_nothing_is_offered_and_a_plan_is_there():
    made = example([6, 35, 75, 3], FORTY, session=Dead())
    assert made.solve.status == "merit order"
    np.testing.assert_allclose(made.offers.get("ECRS", np.zeros(4)), 0)
    (short,) = made.shortfalls
    assert (short.promise, short.mw) == ("ancillary ECRS", 40)


# --- EX-2, EX-3: the statement ------------------------------------------------------------------------------------------------------------

HE18 = datetime(2026, 7, 14, 22, tzinfo=UTC)
EX2 = Grid.regular(HE18, HE18 + 3 * HOUR, 15)
RT = {
    "ECRS": ([20, 20, 20, 20, 20, 8, 0, 12, 20, 20, 25, 25],
             [9.10, 9.42, 11.08, 14.75, 18.90, 220.35, 1450.00, 310.20, 7.77, 6.02, 5.10, 4.99]),
    "NSPIN": ([15, 15, 15, 15, 15, 0, 0, 15, 0, 0, 0, 5],
              [4.00, 4.10, 4.85, 6.60, 8.80, 140.25, 1050.00, 180.00, 2.50, 2.00, 1.75, 1.50]),
}  # fmt: skip
DA = {"ECRS": ((20, 12.34), (20, 45.67), (20, 8.90)), "NSPIN": ((15, 6.05), (15, 22.10), (0, 3.33))}
METERED = ["15"] * 4 + ["14.75", "8", "4", "9.5"] + ["15"] * 4
SPP = ["35.10", "36.42", "41.08", "55.75", "88.90", "612.35", "3350.00", "540.20", "45.77", "38.02", "33.10", "31.99"]


def ex2_awards(over=EX2):
    hours = [Interval(over.start + k * HOUR, over.start + (k + 1) * HOUR) for k in range(3)]
    ahead = [award(p, h, mw, mcpc) for p, by in DA.items() for h, (mw, mcpc) in zip(hours, by, strict=True)]
    real = [award(p, o, mw, mcpc, "RT") for p, (m, c) in RT.items() for o, mw, mcpc in zip(over.intervals, m, c, strict=True)]
    return (*ahead, *real)


def test_ex2_a_day_with_a_deployment():
    """ECRS +1,338.20 and -8,518.84, Non-Spin +422.25 and -4,461.56, energy -29,500.43: the statement foots to -40,720.38."""
    where = site(group("g", rigs=20_000))
    contract = with_market_rules(Ancillary(products=("ECRS", "NSPIN"), qualified_mw={"ECRS": 25, "NSPIN": 15}, lpc_mw=5))
    real = actuals(where, EX2, {"g": METERED}, {POINT: SPP}, awards=ex2_awards())
    statement = settle((Power(), contract), real)
    assert statement.totals == {
        ("power", "energy"): D("-29500.43"),
        ("ancillary", "ecrs_day_ahead"): D("1338.20"),
        ("ancillary", "ecrs_imbalance"): D("-8518.84"),
        ("ancillary", "nspin_day_ahead"): D("422.25"),
        ("ancillary", "nspin_imbalance"): D("-4461.56"),
    }
    assert sum(v for (name, _), v in statement.totals.items() if name == "ancillary") == D("-11219.95")
    assert statement.net_usd == D("-40720.38")
    imbalance = [line for line in statement.lines if line.charge_type == "ecrs_imbalance"]
    by_hour = [sum(line.amount_usd for line in imbalance if EX2.index(line.over.start) // 4 == k) for k in range(3)]
    assert [round(usd, 2) for usd in by_hour] == [0, D("-8531.45"), D("12.61")]
    flat = settle((Power(),), actuals(where, EX2, {"g": ["15"] * 12}, {POINT: SPP}))
    assert flat.net_usd == D("-73630.20")
    assert statement.totals[("power", "energy")] - flat.net_usd == D("44129.77")
    exact = sum(line.amount_usd for line in statement.of("power")) - flat.net_exact_usd
    assert exact == D("44129.775")


def test_without_real_time_awards_the_day_ahead_award_counts_as_carried():
    where = site(group("g", rigs=20_000))
    contract = with_market_rules(Ancillary(products=("ECRS",)))
    real = actuals(where, EX2, {"g": METERED}, {POINT: SPP}, awards=tuple(a for a in ex2_awards() if a.market == "DAM"))
    assert settle((contract,), real).totals == {("ancillary", "ecrs_day_ahead"): D("1338.20")}


def test_before_the_new_market_what_is_not_carried_costs_its_price_again():
    """20 MW awarded at 12.34, 45.67, 8.90 in 2025: carrying 8, 0 and 12 MW for a quarter hour fails 12, 20 and 8 of them."""
    over = Grid.regular(datetime(2025, 7, 14, 22, tzinfo=UTC), datetime(2025, 7, 15, 1, tzinfo=UTC), 15)
    where = site(group("g", rigs=20_000))
    contract = with_market_rules(Ancillary(products=("ECRS",)))
    statement = settle((contract,), actuals(where, over, {"g": METERED}, {POINT: SPP}, awards=ex2_awards(over)))
    failed = D("45.67") * (12 + 20 + 8) / 4
    assert statement.totals == {("ancillary", "ecrs_day_ahead"): D("1338.20"), ("ancillary", "ecrs_failure"): -failed}
    assert "failure" not in str(settle((contract,), actuals(where, EX2, {"g": METERED}, {POINT: SPP}, awards=ex2_awards())).totals)


def test_a_failure_to_provide_costs_the_higher_of_two_prices():
    """Half of 20 MW fails for two hours, bought again at 40.00 in the first and at 60.00 in the second; the day ahead paid 45.67."""
    over = Grid.regular(datetime(2025, 8, 20, 5, tzinfo=UTC), datetime(2025, 8, 20, 7, tzinfo=UTC), 60)

    def award_in(market, mw, usd, over):
        return Award(source="qse", known_at=over.start, obligation="ancillary", product="ECRS", market=market, over=over, mw=mw,
                     mcpc_usd_per_mw_h=usd)  # fmt: skip

    awards = (
        award_in("DAM", 20.0, 45.67, over.over), award_in("RT", 10.0, 0.0, over.over),
        *(award_in("SASM", 0.0, usd, hour) for usd, hour in zip((40.0, 60.0), over.intervals, strict=True)),
    )  # fmt: skip
    real = actuals(site(group("g", rigs=15_000)), over, {"g": ["30"] * 2}, {POINT: ["20"] * 2}, awards=awards)
    contract = with_market_rules(Ancillary(products=("ECRS",)))
    assert settle((contract,), real).totals[("ancillary", "ecrs_failure")] == -(D("456.70") + D("600.00"))
    alone = replace(real, awards=awards[:2])
    assert settle((contract,), alone).totals[("ancillary", "ecrs_failure")] == -2 * D("456.70")


@pytest.mark.parametrize(("side", "first"), [("generator", "-1010.38"), ("mirrored", "-33.00")])
def test_ex3_set_points(side, first):
    """40 MW and 12.9 MWh at 612.35: 1.65 MWh over; 200 MW and 54.1 MWh at 12.00: 1.6 MWh over, 32.00 by either rule."""
    contract = with_market_rules(Ancillary(products=("ECRS",)), ercot__set_point__side=side)
    where, over = site(group("g", rigs=90_000)), grid(1)
    for target, mwh, price, owed in ((40.0, "12.9", "612.35", first), (200.0, "54.1", "12.00", "-32.00"), (40.0, "11.25", "612.35", None)):
        point = Call(source="qse", known_at=AT, id="sp", version=1, obligation="ancillary", kind=CallKind.SET_POINT, notice_at=AT,
                     start_at=AT, end_at=None, mw_target=target)  # fmt: skip
        statement = settle((contract,), actuals(where, over, {"g": [mwh]}, {POINT: [price]}, calls=(point,)))
        assert statement.totals == ({("ancillary", "set_point_deviation"): D(owed)} if owed else {})


def test_under_consumption_is_the_other_side():
    point = Call(source="qse", known_at=AT, id="sp", version=1, obligation="ancillary", kind=CallKind.SET_POINT, notice_at=AT, start_at=AT,
                 end_at=None, mw_target=40.0)  # fmt: skip
    real = actuals(site(group("g", rigs=90_000)), grid(1), {"g": ["7.75"]}, {POINT: ["612.35"]}, calls=(point,))
    assert settle((with_market_rules(Ancillary(products=("ECRS",))),), real).net_usd == D("-612.35")
    assert settle((with_market_rules(Ancillary(products=("ECRS",)), ercot__set_point__side="generator"),), real).net_usd == D("-20.00")


# --- headroom -----------------------------------------------------------------------------------------------------------------------------


def sold(where, prices, state=None, ahead=None, n=4, **options):
    products = options.pop("products", tuple(prices))
    contract = with_market_rules(Ancillary(products=products, **options))
    ahead = ahead or outlook([20.0] * n)
    return plan(where, (*BOOK, contract), reserves(ahead, **prices), state or so_far())


def test_one_megawatt_is_sold_once_and_the_dearest_product_has_it():
    made = sold(site(group("g", "s21")), {"ECRS": 9.0, "NSPIN": 5.0, "RRS": 12.0}, qualified_mw={"RRS": 2.0})
    np.testing.assert_allclose([made.offers[p][0] for p in ("RRS", "ECRS", "NSPIN")], [2.0, 1.5, 0.0], atol=1e-6)


def test_standby_and_the_low_power_limit_are_not_for_sale():
    made = sold(site(group("g", "s21", standby=100.0)), {"ECRS": 9.0})
    np.testing.assert_allclose(made.offers["ECRS"], 3.4, atol=1e-6)
    made = sold(site(group("g", "s21", standby=100.0)), {"ECRS": 9.0}, lpc_mw=1.0)
    np.testing.assert_allclose(made.offers["ECRS"], 2.5, atol=1e-6)
    asleep = sold(site(group("g", "s21", standby=100.0)), {"ECRS": 9.0}, lpc_mw=1.0, ahead=outlook([900.0] * 4))
    np.testing.assert_allclose(asleep.load_mw, 0.1, atol=1e-6)
    np.testing.assert_allclose(asleep.offers["ECRS"], 0.0, atol=1e-6)


def test_rigs_that_wake_or_must_stay_on_give_none():
    """Half the rigs were woken five minutes ago and stay on for an hour; the rest are woken now."""
    where = site(group("g", "s21", min_on_min=60, wake_min=10))
    state = so_far(groups={"g": GroupNow({"normal": 500.0, "sleep": 500.0}, woken=((AT - timedelta(minutes=5), 300),))})
    made = sold(where, {"ECRS": 9.0}, state, n=8)
    np.testing.assert_allclose(made.load_mw, 3.5, atol=1e-6)
    np.testing.assert_allclose(made.offers["ECRS"], [0.7, 0.7, 0.7, 0.7, 3.5, 3.5, 3.5, 3.5], atol=1e-6)


def test_too_slow_rigs_and_ramps_limit_a_product():
    made = sold(site(group("g", "s21")), {"ECRS": 9.0, "NSPIN": 5.0}, shed_s=900.0)
    np.testing.assert_allclose([made.offers["ECRS"][0], made.offers["NSPIN"][0]], [0.0, 3.5], atol=1e-6)
    made = sold(site(group("g", "s21")), {"ECRS": 9.0, "NSPIN": 5.0}, ramp_mw_per_min=0.1)
    np.testing.assert_allclose([made.offers["ECRS"][0], made.offers["NSPIN"][0]], [1.0, 2.5], atol=1e-6)


def test_what_was_measured_to_shed_in_time_is_all_that_is_offered():
    """Of 3.5 MW, 60 % of the rigs were seen to shed within 10 minutes and 90 % within 30: ECRS 2.1 MW, and Non-Spin the rest of 3.15."""
    state = so_far(groups={"g": GroupNow({"normal": 1000.0}, shed=((300.0, 0.6), (1800.0, 0.9)))})
    made = sold(site(group("g", "s21")), {"ECRS": 9.0, "NSPIN": 5.0}, state)
    np.testing.assert_allclose([made.offers["ECRS"][0], made.offers["NSPIN"][0]], [2.1, 1.05], atol=1e-6)
    slower = so_far(groups={"g": GroupNow({"normal": 1000.0}, shed=((1800.0, 0.9),))})
    made = sold(site(group("g", "s21")), {"ECRS": 9.0, "NSPIN": 5.0}, slower)
    np.testing.assert_allclose([made.offers["ECRS"][0], made.offers["NSPIN"][0]], [0.0, 3.15], atol=1e-6)


def test_reg_down_needs_rigs_that_can_rise_and_room_above():
    slow = site(group("g", "s21", low=True, wake_min=10))
    made = sold(slow, {"REGDN": 400.0})
    np.testing.assert_allclose(made.offers["REGDN"], 1.05, atol=1e-6)  # all in low: 2.45 MW, 3.5 MW within reach
    quick = site(group("g", "s21", wake_min=1))
    made = sold(quick, {"REGDN": 400.0})
    np.testing.assert_allclose(made.offers["REGDN"], 3.5, atol=1e-6)
    np.testing.assert_allclose(made.load_mw, 0.0, atol=1e-6)
    tight = site(group("g", "s21", wake_min=1), halls=(Hall(name="a", meter="main", limit_mw=2.0),))
    np.testing.assert_allclose(sold(tight, {"REGDN": 400.0}).offers["REGDN"], 2.0, atol=1e-6)
    np.testing.assert_allclose(sold(quick, {"REGDN": 400.0}, mpc_mw=3.0).offers["REGDN"], 3.0, atol=1e-6)


def test_a_deployment_comes_first_and_uses_up_what_was_sold():
    where = site(group("g", "s21"))
    state = so_far(calls=(call("ancillary", AT + timedelta(minutes=30), AT + HOUR, mw_cap=1.0),))
    made = sold(where, {"ECRS": 9.0}, state, ahead=outlook([-50.0] * 6))
    assert made.load_mw[2:4].max() <= 1.0 + 1e-6
    np.testing.assert_allclose(made.offers["ECRS"], [3.5, 3.5, 1.0, 1.0, 3.5, 3.5], atol=1e-6)


def test_an_award_that_cannot_be_carried_is_named():
    where, over = site(group("g", "s21")), grid(4)
    state = so_far(awards=(award("ECRS", over.over, 5.0, 10.0),))
    made = sold(where, {"ECRS": 80.0}, state, hold="firm", ahead=outlook([20.0] * 4, over))
    short = next(s for s in made.shortfalls if s.promise == "ancillary ECRS")
    assert short.mw == pytest.approx(1.5)
    assert short.usd == pytest.approx(1.5 * 80)
    assert (short.hours, short.repair) == ("11-12", "release 1.5 MW")
    assert "ancillary ECRS 11-12: short by 1.5 MW ($120.00); release 1.5 MW" in reasons(made)


def test_the_cheapest_repair_of_an_award_whose_hall_is_in_maintenance():
    """600 of 1,000 rigs are out for two hours from noon: 2 MW were sold, 1.4 are left."""
    where, over = site(group("g", "s21")), Grid.regular(AT, AT + 4 * HOUR, 60)
    rigs = available(over, g=[1000, 400, 400, 1000])
    contract = with_market_rules(Ancillary(products=("ECRS",), hold="firm"))
    ahead = reserves(outlook([20.0] * 4, over), ECRS=30.0)
    made = plan(where, (*BOOK, contract), ahead, so_far(awards=(award("ECRS", over.over, 2.0, 10.0),)), rigs)
    (short,) = made.shortfalls
    assert (short.promise, short.hours, round(short.mw, 6), round(short.usd, 6)) == ("ancillary ECRS", "12-14", 0.6, 2 * 0.6 * 30)
    assert short.repair == "600 rigs of hall a cannot be used; release 0.6 MW or restore 172 rigs"
    assert plan_to_json(made)["shortfalls"][0]["hours"] == "12-14"


def test_awards_that_are_bought_back_and_instructions_that_are_missed_have_their_own_price():
    where = site(group("g", "s21", standby=100.0))
    told = (call("ancillary", AT, AT + HOUR, mw_cap=0.0),)
    made = sold(where, {"ECRS": 80.0}, so_far(calls=told))
    (short,) = made.shortfalls
    assert short.promise == "call ancillary" and short.usd == pytest.approx(0.1 * 80.0) and short.hours == "11-12"
    bought = sold(where, {"ECRS": 1.0}, so_far(awards=(award("ECRS", grid(4).over, 3.0, 10.0),)), ahead=outlook([900.0] * 4))
    (back,) = bought.shortfalls
    assert back.usd == pytest.approx(3.0) and back.repair == "carrying it costs more than buying it back; release 3 MW"


def test_options_that_do_not_fit():
    for bad in (
        {"products": ()},
        {"products": ("ECRS", "ECRS")},
        {"products": ("SPIN",)},
        {"products": ("ECRS",), "qualified_mw": {"RRS": 1.0}},
        {"products": ("REGDN",), "block": {"min_mw": 1.0}},
        {"products": ("ECRS",), "lpc_mw": 2.0, "mpc_mw": 1.0},
    ):
        with pytest.raises(ValidationError):
            Ancillary(**bad)
    with pytest.raises(LookupError, match="no market rules of that day"):
        sold_without = Ancillary(products=("ECRS",))
        program_of(site(group("g")), (*BOOK, sold_without), outlook([20.0] * 4), so_far())


# --- the law ------------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), old=st.booleans(), sold=st.booleans(), slow=st.booleans())
def test_the_program_says_what_the_bill_pays(seed, old, sold, slow):
    rng = np.random.default_rng(seed)
    more = {"min_on_min": 30, "wake_min": 8} if slow else {}
    where = site(group("g", "s21", rigs=800, low=True, standby=10.0, **more), group("h", "s19jpro", rigs=900))
    at = AT.replace(year=2025) if old else AT
    over = Grid.regular(at, at + 3 * HOUR, 15)
    ahead = reserves(outlook(random_prices(rng, 12), over), **{p: np.round(rng.uniform(0, 80, 12), 2) for p in ("ECRS", "NSPIN", "REGDN")})
    awards = tuple(award(p, Interval(at, at + 2 * HOUR), float(np.round(rng.uniform(0, 3), 1)), float(np.round(rng.uniform(1, 90), 2)))
                   for p in ("ECRS", "NSPIN"))  # fmt: skip
    contract = with_market_rules(Ancillary(products=("ECRS", "NSPIN", "REGDN"), qualified_mw={"ECRS": 2.0}))
    said, paid = kit.keeps_the_law(contract, where, ahead, rng, linear=True, state=so_far(at, awards=awards if sold else ()))
    assert np.isfinite(said).all()
    kit.speaks_for_itself(contract, where, ahead, rng)
    kit.honours_calls(contract, where, ahead)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_what_is_offered_can_be_dropped(seed):
    """Looked at from outside: in every interval the reserve is at most the draw over sleep of rigs that have been awake long enough."""
    rng = np.random.default_rng(seed)
    where = site(group("g", "s21", rigs=800, min_on_min=45, standby=20.0), group("h", "s19jpro", rigs=900, wake_min=20))
    n = 16
    ahead = reserves(outlook(random_prices(rng, n)), ECRS=np.round(rng.uniform(0, 60, n), 2), NSPIN=np.round(rng.uniform(0, 60, n), 2))
    woken = ((AT - timedelta(minutes=int(rng.integers(1, 40))), int(rng.integers(0, 300))),)
    state = so_far(groups={"g": GroupNow({"normal": 400.0, "sleep": 400.0}, woken=woken), "h": GroupNow({"normal": 900.0})})
    contract = with_market_rules(Ancillary(products=("ECRS", "NSPIN")))
    made = plan(where, (*BOOK, contract), ahead, state)
    edges = made.grid.edges
    ready = np.zeros(n)
    for g, minutes, before in ((where.group("g"), 45, 400.0), (where.group("h"), 20, 900.0)):
        up = made.groups[g.name].modes["normal"]
        for t in range(n):
            held = sum(k for at, k in (woken if g.name == "g" else ()) if at.timestamp() + minutes * 60 > edges[t])
            window = [up[s - 1] if s else before for s in range(t + 1) if edges[s] + minutes * 60 > edges[t]]
            old = min([up[t], *window])
            if held:  # rigs the past still binds are among those of before, unless the plan let some of those sleep
                old = max(0.0, old - held) if (up[: t + 1] >= before - 1e-6).all() else old
            ready[t] += old * (g.full.watts - g.modes[0].watts) / 1e6
    total = made.offers["ECRS"] + made.offers["NSPIN"]
    assert (total <= ready + 1e-5).all()
    assert total.max() > 0.1 or (ahead.reserve["ECRS"].values < 30).all()


# --- the day-ahead market's clock (before RTC+B reserve earned there alone) ---------------------------------------------------------------

SATURDAY = datetime(2024, 6, 15, 5, tzinfo=UTC)  # midnight in Texas
DAY_AHEAD = Grid.regular(SATURDAY, SATURDAY + 24 * HOUR, 60)


def on_saturday(at, rigs=1.0, awards=()):
    """All of Saturday at 80 $/MWh, over the breakeven of 66.67 of model B; RRS at 30 $ pays B for running. Planned at an instant."""
    contract = with_market_rules(Ancillary(products=("RRS",)))
    ahead = reserves(outlook([80.0] * 24, DAY_AHEAD, hashprice=40.0), RRS=30.0)
    have = available(DAY_AHEAD, a=[10_000.0] * 24, b=[10_000.0 * rigs] * 24)
    return plan(TWO, (*BOOK, contract), replace(ahead, at=at), so_far(at, awards=awards), have)


def test_reserve_can_be_sold_until_offers_are_due_and_counts_as_sold():
    """At 09:59 of the day before B runs for RRS: 100 MW x 24 h x 30 $, published as a day-ahead line, and the operator is told by when."""
    made = on_saturday(datetime(2024, 6, 14, 14, 59, tzinfo=UTC))
    np.testing.assert_allclose(made.load_mw, 100, atol=1e-6)
    assert made.lines[("ancillary", "rrs_day_ahead")].sum() == pytest.approx(100 * 24 * 30)
    assert "ancillary: up to 100 MW of RRS on Sat 15 Jun count as sold; offers are due on Fri 14 Jun at 10:00" in reasons(made)


@pytest.mark.parametrize("at", [datetime(2024, 6, 14, 15, tzinfo=UTC), SATURDAY])
def test_after_offers_were_due_reserve_that_nobody_awarded_does_not_steer_the_plan(at):
    """It kept B awake at a loss for reserve that nobody would buy, and half of B out earned more."""
    made = on_saturday(at)
    np.testing.assert_allclose(made.load_mw, 50, atol=1e-6)
    assert made.objective_usd == pytest.approx(24 * 50 * (40 / 24 / 0.015 - 80), rel=1e-6)
    assert on_saturday(at, rigs=0.5).objective_usd <= made.objective_usd + 0.01
    assert not any("count as sold" in reason for reason in reasons(made))


def test_what_was_awarded_counts_after_offers_were_due():
    """60 MW of RRS awarded for the first hour: B runs 10 MW of it then, and not later."""
    sold = (award("RRS", DAY_AHEAD.intervals[0], 60, 30.0),)
    made = on_saturday(SATURDAY, awards=sold)
    np.testing.assert_allclose(made.load_mw, [60] + [50] * 23, atol=1e-6)
    assert made.lines[("ancillary", "rrs_day_ahead")].sum() == pytest.approx(60 * 30)
