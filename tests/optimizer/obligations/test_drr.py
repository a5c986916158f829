"""Demand response resources and emergency demand response of MISO: what is dispatched, what it pays against its baseline, the law."""

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
from markets.grid import Grid, Interval, Market
from markets.series import Series
from optimizer.domain.formula import Bounds
from optimizer.domain.site import Meter, Mode
from optimizer.obligations.drr import Drr
from optimizer.obligations.edr import Edr
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan, program_of
from optimizer.planning.plan_json import plan_to_json
from optimizer.settlement.settle import settle
from optimizer.solve import check
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import Dead, actuals, group, outlook, random_prices, site, so_far
from tests.rule_cases import with_market_rules

HUB = "INDIANA.HUB"
BOOK = (Hashing(), Power(), Plant())
NOON = datetime(2025, 7, 16, 17, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ONE = (Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=250))  # 20 J/TH: breakeven 93.75 at 45 $/PH/day
EIGHT = Grid.regular(NOON, NOON + 8 * HOUR, 60)


def miso(*groups, **more):
    """24 MW of rigs behind one meter at a hub of MISO."""
    meters = (Meter(id="main", settlement_point=HUB),)
    return site(*(groups or (group("g", rigs=4800, modes=ONE),)), market=Market.MISO, meters=meters, **more)


def drr(**more):
    return with_market_rules(Drr(**{"mw": 10.0, "baseline_mw": 24.0, "net_benefits_usd_per_mwh": 40.0, **more}))


def edr(**more):
    return with_market_rules(Edr(**{"mw": 20.0, "baseline_mw": 24.0, "offer_usd_per_mwh": 250.0, **more}))


def award(over, mw, price=0.0, product="ENERGY", market="RT", name="drr"):
    return Award(source="miso", known_at=over.start - HOUR, obligation=name, product=product, market=market, over=over, mw=mw,
                 mcpc_usd_per_mw_h=price)  # fmt: skip


def call(start, end, name="drr", notice=None, **mw):
    return Call(source="miso", known_at=notice or start, id="c1", version=1, obligation=name, kind=CallKind.DEPLOY,
                notice_at=notice or start, start_at=start, end_at=end, **(mw or {"mw_delta": 10.0}))  # fmt: skip


def real(load, prices, **more):
    return actuals(miso(), EIGHT, {"g": [D(str(v)) for v in load]}, {HUB: [str(p) for p in prices]}, **more)


def made_of(contract, prices, over=EIGHT, hashprice=45.0, session=None, **state):
    book = (*BOOK, contract) if contract else BOOK
    return plan(miso(), book, outlook({HUB: prices}, over, hashprice=hashprice), so_far(NOON, **state), session=session)


# --- the bill -----------------------------------------------------------------------------------------------------------------------------


def test_a_dispatch_is_paid_the_lmp_of_what_was_reduced_and_no_more():
    """Ten MW dispatched for three hours: full, over-delivered, two MW short."""
    told = award(Interval(NOON + HOUR, NOON + 4 * HOUR), 10)
    statement = settle((drr(),), real([24, 14, 2, 16, 24, 24, 24, 24], [50, 100, 200, 300, 50, 50, 50, 50], awards=(told,)))
    # missing beyond 8 % of ten: 1.2 MWh at 300
    assert statement.totals == {("drr", "drr_energy"): D("1000.00") + 2000 + 8 * 300, ("drr", "drr_deviation"): D("-360.00")}
    nothing = settle((drr(),), real([0] * 8, [500] * 8))
    assert nothing.net_usd == 0, "a load that is off without a dispatch is no reduction"


def test_below_the_net_benefits_price_nothing_is_paid():
    told = award(EIGHT.over, 10)
    load, prices = [14] * 8, [39.99, 40, 41, -5, 0, 30, 100, 39]
    assert settle((drr(),), real(load, prices, awards=(told,))).totals == {("drr", "drr_energy"): D(1810)}
    own = settle((drr(net_benefits_usd_per_mwh=None),), real(load, prices, awards=(told,)))
    assert own.totals == {("drr", "drr_energy"): D("39.99") * 10 + 400 + 410 + 300 + 1000 + 390}, (
        "25 stands in where the month is not known"
    )
    assert any("not verified" in line.rule for line in own.lines)


def test_what_was_cleared_day_ahead_is_a_forward():
    """10 MWh sold at 80 and bought back at 120; what was reduced earns 120."""
    hour = Interval(NOON, NOON + HOUR)
    sold = award(hour, 10, 80.0, market="DAM")
    kept = settle((drr(),), real([14] + [24] * 7, [120] * 8, awards=(sold,)))
    assert kept.net_usd == D("800.00")
    away = settle((drr(),), real([24] * 8, [120] * 8, awards=(sold,)))
    assert away.net_usd == D("800") - 1200 - D("1104.00"), "9.2 MWh are missing beyond the tolerance"
    cancelled = settle((drr(),), real([24] * 8, [120] * 8, awards=(sold, award(hour, 0))))
    assert cancelled.net_usd == D("-400.00")


def test_the_baseline_is_what_was_declared():
    """Against 24 MW a load of 18 is 6 MW less; MISO's own figure of 20 makes it 2."""
    told, said = award(EIGHT.over, 10), award(EIGHT.over, 20, product="BASELINE")
    by_file = settle((drr(),), real([18] * 8, [100] * 8, awards=(told,))).totals[("drr", "drr_energy")]
    by_miso = settle((drr(),), real([18] * 8, [100] * 8, awards=(told, said))).totals[("drr", "drr_energy")]
    assert (by_file, by_miso) == (D(4800), D(1600))


def test_a_call_dispatches_as_an_award_does():
    two = call(NOON + 30 * MINUTE, NOON + 2 * HOUR)
    totals = settle((drr(),), real([19, 14] + [24] * 6, [100] * 8, calls=(two,))).totals
    assert totals == {("drr", "drr_energy"): D(1500)}
    part = settle((drr(kind="II"),), real([24, 20] + [24] * 6, [100] * 8, calls=(call(NOON + HOUR, NOON + 2 * HOUR, mw_cap=20.0),)))
    assert part.totals == {("drr", "drr_energy"): D(400)}


def test_reserve_beside_energy():
    contract = drr(reserves=("SPIN", "SUPP"), qualified_mw={"SPIN": 8.0})
    hour = Interval(NOON, NOON + HOUR)
    awards = (award(hour, 5, 12.0, "SPIN", "DAM"), award(hour, 3, 20.0, "SPIN"), award(hour, 2, 4.0, "SUPP", "DAM"))
    assert settle((contract,), real([24] * 8, [30] * 8, awards=awards)).totals == {
        ("drr", "spin_day_ahead"): D(60), ("drr", "spin_imbalance"): D(-40), ("drr", "supp_day_ahead"): D(8),
    }  # fmt: skip


# --- the plan -----------------------------------------------------------------------------------------------------------------------------


def test_a_block_is_expected_where_twice_the_price_beats_hashing():
    """At 45 and 90 $/MWh rigs would run (breakeven 93.75); a reduction is paid the price again, so at 90 a block goes."""
    prices = [30, 39, 45, 60, 90, 60, 45, 30]
    made = made_of(drr(), prices)
    np.testing.assert_allclose(made.load_mw, [24, 24, 24, 14, 14, 14, 24, 24], atol=1e-6)
    np.testing.assert_allclose(made.offers["ENERGY"], [0, 0, 0, 10, 10, 10, 0, 0], atol=1e-6)
    assert made.lines[("drr", "drr_energy")].sum() == pytest.approx(10 * (60 + 90 + 60))
    assert any("a dispatch of 10.000 MW is expected for 3 h, first Wed 15:00; MISO decides" in r for r in reasons(made))
    assert plan_to_json(made)["intervals"][4]["offers"] == {"ENERGY": pytest.approx(10.0)}


def test_only_where_the_price_reaches_threshold_and_offer():
    prices = [60.0] * 4 + [80.0] * 4
    np.testing.assert_allclose(made_of(drr(offer_usd_per_mwh=70.0), prices).load_mw, [24] * 4 + [14] * 4, atol=1e-6)
    np.testing.assert_allclose(made_of(drr(net_benefits_usd_per_mwh=81.0), prices).load_mw, [24] * 8, atol=1e-6)


def test_a_block_is_all_or_nothing_and_a_type_ii_goes_as_far_as_it_pays():
    """The second group breaks even at 150, the first at 75; 12 MW each. At 60 only the first is worth giving up."""
    rigs = (group("old", rigs=2400, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=200))),
            group("new", rigs=2400, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=400))))  # fmt: skip
    ahead = outlook({HUB: [60.0] * 8}, EIGHT)
    whole = plan(miso(*rigs), (*BOOK, drr(mw=20.0)), ahead, so_far(NOON))
    part = plan(miso(*rigs), (*BOOK, drr(mw=20.0, kind="II")), ahead, so_far(NOON))
    np.testing.assert_allclose(part.load_mw[1:], 12, atol=1e-6)
    np.testing.assert_allclose(part.offers["ENERGY"][1:], 12, atol=1e-6)
    # a block of twenty: 12 x (75 - 120) gained, 8 x (150 - 120) lost
    np.testing.assert_allclose(whole.load_mw[1:], 4, atol=1e-6)
    most = plan(miso(*rigs), (*BOOK, drr(mw=23.9)), outlook({HUB: [52.0] * 8}, EIGHT), so_far(NOON))
    np.testing.assert_allclose(most.load_mw, 24, atol=1e-6)


@pytest.mark.parametrize(("minutes", "down"), [(0, 1), (60, 1), (120, 2), (240, 4)])
def test_a_block_stays_for_its_minimum_time_and_begins_only_where_the_price_is_reached(minutes, down):
    """One hour of 93 among hours of 70, under the threshold: the rest of the minimum time is unpaid, and worth it."""
    prices = [70.0] * 3 + [93.0] + [70.0] * 4
    made = made_of(drr(min_down_min=minutes, mw=24.0, net_benefits_usd_per_mwh=80.0), prices, hashprice=45.0)
    off = made.load_mw < 1e-6
    assert off.sum() == down and off[3 : 3 + down].all()
    assert made.lines[("drr", "drr_energy")].sum() == pytest.approx(24 * 93)


@pytest.mark.parametrize(("notice", "first"), [(0, 1), (15, 1), (30, 2), (50, 4), (120, 8)])
def test_nothing_is_dispatched_that_nobody_can_tell_of_any_more(notice, first):
    """A plan of quarter hours at a price where every block goes: what runs now runs on, and so does what the notice is too short for."""
    quarters = Grid.regular(NOON, NOON + 4 * HOUR, 15)
    made = made_of(drr(notice_min=notice), [60.0] * 16, quarters)
    np.testing.assert_allclose(made.load_mw, [24] * first + [14] * (16 - first), atol=1e-6)


def test_miso_decides_an_award_is_firm_and_a_zero_is_no_dispatch():
    prices = [-30.0] * 4 + [90.0] * 4
    awards = (award(Interval(NOON + HOUR, NOON + 3 * HOUR), 10), award(Interval(NOON + 4 * HOUR, NOON + 6 * HOUR), 0))
    made = made_of(drr(), prices, awards=awards)
    np.testing.assert_allclose(made.load_mw, [24, 14, 14, 24, 24, 24, 14, 14], atol=1e-6)
    assert any("MISO dispatches 10.000 MW from Wed 13:00" in r for r in reasons(made))


def test_a_call_is_firm_also_without_a_solver():
    calls = (call(NOON + HOUR, NOON + 3 * HOUR),)
    for session in (None, Dead()):
        made = made_of(drr(), [-30.0] * 8, calls=calls, session=session)
        np.testing.assert_allclose(made.load_mw, [24, 14, 14, 24, 24, 24, 24, 24], atol=1e-6)
    assert drr().bounds(miso(), drr().memory_from({}), calls, Interval(NOON, NOON + HOUR)) == Bounds()


def test_a_day_ahead_award_is_bought_back_where_that_pays():
    """Sold at 200; at 45 in real time hashing (93.75) is worth more than 45 saved, 45 not bought back and no deviation."""
    sold = award(Interval(NOON, NOON + HOUR), 10, 200.0, market="DAM")
    cheap = made_of(drr(net_benefits_usd_per_mwh=0.0), [20.0] * 8, awards=(sold,))
    np.testing.assert_allclose(cheap.load_mw, 24, atol=1e-6)
    dear = made_of(drr(), [60.0] * 8, awards=(sold,))
    assert dear.load_mw[0] == pytest.approx(14)
    assert sum(float(v[0]) for (name, _), v in dear.lines.items() if name == "drr") == pytest.approx(2000)


def test_what_was_sold_and_is_not_kept_is_named_with_its_price():
    hour = Interval(NOON, NOON + HOUR)
    sold = (award(hour, 10, 200.0, market="DAM"), award(hour, 30, 9.0, "SPIN", "DAM"))
    ahead = outlook({HUB: [20.0] * 8}, EIGHT)
    ahead = replace(ahead, reserve={"SPIN": Series(EIGHT, np.full(8, 5.0), "usd_per_mw_h")})
    made = plan(miso(), (*BOOK, drr(reserves=("SPIN",))), ahead, so_far(NOON, awards=sold))
    energy, spin = made.shortfalls
    assert (energy.promise, energy.mw, energy.usd, energy.hours) == ("drr ENERGY", 10, 200, "12-13")
    assert (spin.promise, spin.mw, spin.usd) == ("drr SPIN", pytest.approx(6), pytest.approx(30)), "24 of 30 MW can be dropped"
    assert "keeping it costs more than buying it back; buy 10 MW back" in energy.repair


def test_a_load_above_its_baseline_breaks_nothing():
    assert made_of(drr(baseline_mw=20.0), [30.0] * 8).shortfalls == ()


def test_a_dispatch_that_cannot_be_met_is_named():
    lazy = group("g", rigs=4800, modes=(Mode(name="sleep", watts=4000, ths=0), Mode(name="normal", watts=5000, ths=250)))
    told = award(Interval(NOON + HOUR, NOON + 2 * HOUR), 10)
    made = plan(miso(lazy), (*BOOK, drr()), outlook({HUB: [60.0] * 8}, EIGHT), so_far(NOON, awards=(told,)))
    (short,) = made.shortfalls
    assert (short.promise, short.hours) == ("call drr", "13-14")
    assert short.mw == pytest.approx(5.2) and short.usd == pytest.approx(5.2 * 60 + (9.2 - 4.8) * 60)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["I", "II"]))
def test_no_load_is_ever_raised_for_a_baseline(seed, kind):
    """With the contract no interval draws more than without it."""
    rng = np.random.default_rng(seed)
    prices = list(random_prices(rng, 8))
    without, with_ = made_of(None, prices), made_of(drr(kind=kind, offer_usd_per_mwh=float(rng.uniform(0, 150))), prices)
    assert (with_.load_mw <= without.load_mw + 1e-6).all()


@pytest.mark.parametrize("kind", ["I", "II"])
def test_no_dispatch_is_counted_of_rigs_that_are_off_for_their_price(kind):
    """The rigs break even at 93.75: at 120 and 150 they are off with or without the contract, so nothing is reduced and nothing paid."""
    made = made_of(drr(kind=kind), [30.0, 120.0, 150.0, 60.0, 30, 30, 30, 30])
    np.testing.assert_allclose(made.lines[("drr", "drr_energy")][:3], 0, atol=1e-9)
    assert made.lines[("drr", "drr_energy")][3] == pytest.approx(10 * 60)
    assert any("for 2 h rigs would be off for their price; that is no reduction" in r for r in reasons(made))


def test_of_a_fleet_of_two_models_only_rigs_that_would_run_are_reduced():
    """At 100 the model that breaks even at 75 is off; of the 12 MW that run a Type II resource reduces all, a block of 20 nothing."""
    rigs = (group("old", rigs=2400, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=200))),
            group("new", rigs=2400, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=400))))  # fmt: skip
    ahead = outlook({HUB: [30.0] + [100.0] * 7}, EIGHT)
    part = plan(miso(*rigs), (*BOOK, drr(mw=20.0, kind="II")), ahead, so_far(NOON))
    block = plan(miso(*rigs), (*BOOK, drr(mw=20.0)), ahead, so_far(NOON))
    np.testing.assert_allclose(part.offers["ENERGY"], [0] + [12] * 7, atol=1e-6)
    assert part.lines[("drr", "drr_energy")].sum() == pytest.approx(7 * 12 * 100)
    np.testing.assert_allclose(block.offers["ENERGY"], 0, atol=1e-6)


def test_a_megawatt_of_reserve_is_one_that_still_runs():
    contract = drr(mw=20.0, reserves=("SPIN",), offer_usd_per_mwh=40.0)
    ahead = outlook({HUB: [30.0] * 4 + [90.0] * 4}, EIGHT)
    ahead = replace(ahead, reserve={"SPIN": Series(EIGHT, np.full(8, 5.0), "usd_per_mw_h")})
    made = plan(miso(), (*BOOK, contract), ahead, so_far(NOON))
    np.testing.assert_allclose(made.load_mw, [24] * 4 + [4] * 4, atol=1e-6)
    np.testing.assert_allclose(made.offers["SPIN"], [24] * 4 + [4] * 4, atol=1e-6)
    slow = plan(miso(), (*BOOK, drr(mw=20.0, reserves=("SPIN",), shed_s=601)), ahead, so_far(NOON))
    np.testing.assert_allclose(slow.offers["SPIN"], 0, atol=1e-9)


@pytest.mark.parametrize("kind", ["I", "II"])
def test_other_solvers_agree(kind):
    contract = drr(kind=kind, min_down_min=120 if kind == "I" else 0, reserves=("SPIN",))
    ahead = outlook({HUB: [30.0, 60, 90, 45, 200, 41, 39, 80]}, EIGHT)
    assert check(program_of(miso(), (*BOOK, contract), ahead, so_far(NOON)))["agree"]


# --- the law ------------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000), kind=st.sampled_from(["I", "II"]), mw=st.floats(0.2, 3), base=st.floats(0, 4),
    down=st.sampled_from([0, 45]), offer=st.floats(0, 100), told=st.booleans(), sold=st.booleans(), called=st.booleans(),
    said=st.booleans(), reserve=st.booleans(),
)  # fmt: skip
def test_it_never_says_more_than_it_pays(seed, kind, mw, base, down, offer, told, sold, called, said, reserve):
    rng = np.random.default_rng(seed)
    where = miso(group("g", rigs=800, low=True, standby=10.0), group("h", "s19jpro", rigs=900))
    over = Grid.regular(NOON, NOON + 3 * HOUR, 15)
    ahead = outlook({HUB: random_prices(rng, 12)}, over, hashprice=float(rng.uniform(20, 80)))
    ahead = replace(ahead, reserve={"SPIN": Series(over, rng.uniform(0, 20, 12), "usd_per_mw_h")})
    contract = drr(kind=kind, mw=mw, baseline_mw=base + mw, offer_usd_per_mwh=offer, min_down_min=down if kind == "I" else 0,
                   reserves=("SPIN",) if reserve else ())  # fmt: skip

    def span(a, b):
        return Interval(NOON + a * 15 * MINUTE, NOON + b * 15 * MINUTE)

    awards = [award(span(2, 5), mw), award(span(5, 6), 0)] if told else []
    awards += [award(span(4, 8), mw, 70.0, market="DAM"), award(span(0, 4), 0.3, 9.0, "SPIN", "DAM")] if sold else []
    awards += [award(span(0, 9), base + mw / 2, product="BASELINE")] if said else []
    calls = (call(NOON + 100 * MINUTE, NOON + 130 * MINUTE, mw_delta=mw / 2),) if called else ()
    kit.holds(contract, where, ahead, rng, linear=False)

    class Unbound(Drr):
        """Without its firm bounds, so that a load drawn by chance may break its dispatch."""

        def bounds(self, site, memory, calls, over):
            return Bounds()

        def _told(self, program):
            told, known, firm = super()._told(program)
            return told, known, firm & False

    free = Unbound.model_validate(contract.model_dump()).with_rules(contract._rules)
    kit.keeps_the_law(free, where, ahead, rng, linear=False, state=so_far(NOON, awards=tuple(awards), calls=calls))


# --- EDR ----------------------------------------------------------------------------------------------------------------------------------


def test_an_emergency_reduction_is_paid_its_offer_while_it_is_due():
    """20 MW for two and a half hours at 250: what is more than offered earns nothing, what is less is not paid."""
    calls = (call(NOON + HOUR, NOON + 4 * HOUR, "edr", NOON + HOUR),)
    done = real([24, 14, 4, 0, 24, 24, 24, 24], [900] * 8, calls=calls)
    totals = settle((edr(shutdown_usd=100.0),), done).totals
    assert totals == {("edr", "edr_energy"): D(5 + 20 + 20) * 250, ("edr", "edr_shutdown"): D("100.00")}
    assert settle((edr(),), real([0] * 8, [900] * 8)).lines == ()
    made = made_of(edr(), [30.0] * 8, calls=calls)
    np.testing.assert_allclose(made.load_mw, [24, 4, 4, 4, 24, 24, 24, 24], atol=1e-6)
    assert made.lines[("edr", "edr_energy")].sum() == pytest.approx(2.5 * 20 * 250)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), mw=st.floats(0.2, 3), base=st.floats(0, 4), notice=st.floats(0, 90), stop=st.floats(0, 50))
def test_emergency_demand_response_says_what_it_pays(seed, mw, base, notice, stop):
    rng = np.random.default_rng(seed)
    where = miso(group("g", rigs=800, low=True, standby=10.0), group("h", "s19jpro", rigs=900))
    ahead = outlook({HUB: random_prices(rng, 12)}, Grid.regular(NOON, NOON + 3 * HOUR, 15))
    contract = edr(mw=mw, baseline_mw=base + mw, notice_min=notice, shutdown_usd=stop)
    kit.holds(contract, where, ahead, rng, linear=True)

    class Unbound(Edr):
        def bounds(self, site, memory, calls, over):
            return Bounds()

    free = Unbound.model_validate(contract.model_dump()).with_rules(contract._rules)
    calls = (call(NOON + 40 * MINUTE, NOON + 130 * MINUTE, "edr"),)
    kit.keeps_the_law(free, where, ahead, rng, linear=base + mw > 6.0, state=so_far(NOON, calls=calls))


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (drr, {"mw": 25.0}, "more than baseline_mw"),
        (drr, {"kind": "II", "min_down_min": 60}, "min_down_min does not apply to Type II"),
        (drr, {"kind": "III"}, "kind"),
        (drr, {"reserves": ("SPIN", "SPIN")}, "is listed twice"),
        (drr, {"qualified_mw": {"SUPP": 2.0}}, "SUPP is not among its reserves"),
        (edr, {"mw": 25.0}, "more than baseline_mw"),
    ],
)
def test_what_is_refused(make, options, words):
    with pytest.raises(ValidationError, match=words):
        make(**options)
