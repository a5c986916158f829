"""Load-modifying resources of MISO: credit by season, what an instruction binds and what missing it costs, tests, memory, and the law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dispatch.what_if.apply import under_rules_of
from markets.facts import Award, Call, CallKind
from markets.grid import Grid, Interval, Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.capacity_seasons import season, season_start
from optimizer.domain.site import Hall, Meter, Mode
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.lmr import Lmr
from optimizer.obligations.lmr.memory import LmrMemory, LoadAtTest
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import Dead, actuals, group, outlook, random_prices, site, so_far
from tests.rule_cases import with_market_rules

EST = Market.MISO.tz
HUB = "INDIANA.HUB"
BOOK = (Hashing(), Power(), Plant())
NOON = datetime(2025, 7, 16, 17, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ONE = (Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=250))


def miso(*groups, **more):
    """24 MW of rigs behind one meter at a hub of MISO."""
    return site(*(groups or (group("g", rigs=4800, modes=ONE),)), market=Market.MISO,
                meters=(Meter(id="main", settlement_point=HUB),), **more)  # fmt: skip


def lmr(**more):
    options = {"mw": 20.0, "firm_service_mw": 4.0, "zone": 6, **more}
    # The days below are of 2025; what a test must begin from is a rule of planning year 2026/2027.
    return with_market_rules(Lmr(**options), miso__lmr__test__before_share=0.8)


def est(month, day, hour, minute=0, year=2025):
    return datetime(year, month, day, hour, minute, tzinfo=EST).astimezone(UTC)


def call(start, end, *, notice=None, kind=CallKind.DEPLOY, id_="e1", **mw):
    notice = notice or start - HOUR
    return Call(source="miso", known_at=notice, id=id_, version=1, obligation="lmr", kind=kind, notice_at=notice,
                start_at=start, end_at=end, **(mw or {"mw_cap": 4.0}))  # fmt: skip


def flat(over, mw, *, price="30", **more):
    """A load by interval, MW, or one for all."""
    values = mw if isinstance(mw, list) else [mw] * len(over)
    energy = [D(str(v)) * int((o.end - o.start).total_seconds()) / 3600 for v, o in zip(values, over.intervals, strict=True)]
    prices = price if isinstance(price, list) else [price] * len(over)
    return actuals(more.pop("where", None) or miso(), over, {"g": energy}, {HUB: prices}, **more)


# --- credit -------------------------------------------------------------------------------------------------------------------------------


def test_ex9_a_planning_year_of_credit():
    """EX-9: 666.50 x 92 + 91.60 x 91 + 33.20 x 90 + 69.88 x 92 = 79,070.56 $/MW-year; 10 MW are 790,705.60; in the South 212.27 a day."""
    year = Grid.regular(est(6, 1, 0), est(6, 1, 0, year=2026), 60)
    ten = flat(year, "0")
    for zone, usd in ((1, "790705.60"), (7, "790705.60")):
        statement = settle((lmr(mw=10, zone=zone),), ten)
        assert statement.totals == {("lmr", "lmr_capacity"): D(usd)}
    assert settle((lmr(mw=1, zone=4),), ten).net_usd == D("79070.56")
    assert (settle((lmr(mw=1, zone=9),), ten).net_usd / 365).quantize(D("0.01")) == D("212.27")
    assert settle((lmr(mw=1, zone=9),), ten).net_usd == D("666.50") * 92 + D("74.09") * 91 + D("33.20") * 90 + D("69.88") * 92


@pytest.mark.parametrize(
    ("zone", "on", "usd"),
    [(5, date(2024, 10, 1), "719.81"), (5, date(2024, 8, 31), "30.00"), (5, date(2025, 4, 1), "719.81"), (6, date(2024, 10, 1), "15.00"),
     (2, date(2024, 12, 1), "0.75"), (2, date(2025, 5, 31), "34.10"), (2, date(2026, 6, 1), "424.30"), (9, date(2026, 7, 1), "123.12"),
     (10, date(2026, 7, 1), "116.06"), (7, date(2028, 1, 1), "126.19")],
)  # fmt: skip
def test_a_day_is_paid_what_its_season_cleared_at_in_its_zone(zone, on, usd):
    day = OperatingDay(Market.MISO, on).grid(60)
    (total,) = settle((lmr(mw=1, zone=zone),), flat(day, "0")).totals.values()
    assert total == D(usd)


def test_credits_and_prices_of_ones_own_by_season():
    day = OperatingDay(Market.MISO, date(2025, 7, 1)).grid(60)
    own = lmr(mw=10, zrc={"summer": 10.5}, usd_per_mw_day={"summer": 700.0})
    (line, *_) = settle((own,), flat(day, "0")).lines
    assert settle((own,), flat(day, "0")).net_usd == D("7350.00")
    assert "price of the contract" in line.rule
    winter = OperatingDay(Market.MISO, date(2025, 12, 1)).grid(60)
    assert settle((own,), flat(winter, "0")).net_usd == D("332.00")


def test_seasons():
    assert [season(date(2025, m, 1)) for m in (12, 1, 2, 3, 5, 6, 8, 9, 11)] == [
        "winter", "winter", "winter", "spring", "spring", "summer", "summer", "fall", "fall",
    ]  # fmt: skip
    assert season_start(date(2026, 1, 15)) == season_start(date(2025, 12, 1)) == date(2025, 12, 1)
    assert season_start(date(2025, 11, 30)) == date(2025, 9, 1)


# --- an instruction -----------------------------------------------------------------------------------------------------------------------


def test_what_an_hour_missed_costs_by_hand():
    """Two of four hours at 9 MW instead of 4: 10 MWh at 500 $/MWh, and 10 of 80 MWh of a day's credit of 20 MW at 666.50."""
    day = OperatingDay(Market.MISO, date(2025, 7, 16)).grid(60)
    load = ["24"] * 14 + ["9", "9", "4", "3"] + ["24"] * 6
    real = flat(day, load, price="500", calls=(call(est(7, 16, 14), est(7, 16, 18)),))
    statement = settle((lmr(),), real)
    assert statement.totals == {
        ("lmr", "lmr_capacity"): D("13330.00"),
        ("lmr", "lmr_shortfall"): D("-5000.00"),
        ("lmr", "lmr_forfeit"): D("-1666.25"),
    }
    assert settle((lmr(rsg_usd_per_mwh=10.0),), real).totals[("lmr", "lmr_shortfall")] == D("-5100.00")
    below_zero = replace(real, energy_price={HUB: [D(-20)] * 24})
    assert ("lmr", "lmr_shortfall") not in {k for k, v in settle((lmr(),), below_zero).totals.items() if v}


def test_it_is_due_when_the_registered_notice_is_over():
    """Told at 14:00 to be down at 14:30, with two hours' notice: due from 16:00 on."""
    day = OperatingDay(Market.MISO, date(2025, 7, 16)).grid(60)
    real = flat(day, "24", price="100", calls=(call(est(7, 16, 14, 30), est(7, 16, 20), notice=est(7, 16, 14)),))
    missed = {line.over.start: line.quantity for line in settle((lmr(notice_min=120),), real).lines if line.charge_type == "lmr_shortfall"}
    assert missed == {est(7, 16, h): D(20) for h in (16, 17, 18, 19)}
    gone = flat(day, "24", price="100", calls=(call(est(7, 16, 14), est(7, 16, 15), notice=est(7, 16, 14)),))
    assert all(line.charge_type == "lmr_capacity" for line in settle((lmr(notice_min=120),), gone).lines)


def test_bounds_from_a_little_before_it_is_due_to_the_recall():
    contract, where = lmr(notice_min=60), miso()
    calls = (call(NOON, None, notice=NOON, mw_cap=10.0),)

    def at(minute):
        over = Interval(NOON + minute * MINUTE, NOON + (minute + 5) * MINUTE)
        return contract.bounds(where, contract.memory_from({}), calls, over).cap_mw

    assert [at(m) for m in (-5, 0, 50, 55, 60, 600)] == [float("inf"), 10.0, 10.0, 4.0, 4.0, 4.0]
    assert contract.bounds(where, contract.memory_from({}), calls, Interval(NOON, NOON + HOUR)).cap_mw == 10.0, (
        "a far hour is not given up for five minutes"
    )
    recall = Call(source="miso", known_at=NOON + 3 * HOUR, id="e1", version=2, obligation="lmr", kind=CallKind.RECALL,
                  notice_at=NOON + 3 * HOUR, start_at=NOON + 3 * HOUR)  # fmt: skip
    after = Interval(NOON + 3 * HOUR, NOON + 4 * HOUR)
    assert contract.bounds(where, contract.memory_from({}), (*calls, recall), after).cap_mw == float("inf")


def test_on_a_baseline_the_market_says_what_it_is():
    """20 MW from a declared 26 MW: 6 MW may stay; the site's own load never counts."""
    day = OperatingDay(Market.MISO, date(2025, 7, 16)).grid(60)
    called = (call(est(7, 16, 14), est(7, 16, 18)),)
    contract = lmr(method="baseline", baseline_mw=24.0, firm_service_mw=None)
    said = Award(
        source="miso", known_at=NOON, obligation="lmr", product="BASELINE", market="RT", over=day.over, mw=26.0, mcpc_usd_per_mw_h=0
    )
    real = flat(day, "7", price="100", calls=called)
    assert settle((contract,), real).totals[("lmr", "lmr_shortfall")] == D("-1200.00")
    assert settle((contract,), replace(real, awards=(said,))).totals[("lmr", "lmr_shortfall")] == D("-400.00")


def test_a_plan_comes_down_whatever_the_price_and_stays_down_without_a_solver():
    over = Grid.regular(NOON, NOON + 8 * HOUR, 15)
    cheap = outlook({HUB: [-40.0] * 32}, over)
    calls = (call(NOON + 2 * HOUR, NOON + 6 * HOUR),)
    for session in (None, Dead()):
        made = plan(miso(), (*BOOK, lmr()), cheap, so_far(NOON, calls=calls), session=session)
        np.testing.assert_allclose(made.load_mw, [24] * 8 + [4] * 16 + [24] * 8, atol=1e-6)
        assert not made.shortfalls
    assert any("call e1 is due from Wed 14:00 until Wed 18:00: at most 4.000 MW" in r for r in reasons(made))


def test_what_cannot_be_shed_is_named_and_costs_what_the_bill_says():
    """5 MW of rigs draw 1 kW each asleep: 4.8 MW stay where 4 may."""
    lazy = (Mode(name="sleep", watts=1000, ths=0), Mode(name="normal", watts=5000, ths=250))
    over = Grid.regular(NOON, NOON + 8 * HOUR, 60)
    calls = (call(NOON + 2 * HOUR, NOON + 6 * HOUR),)
    made = plan(miso(group("g", rigs=4800, modes=lazy)), (*BOOK, lmr()), outlook({HUB: [50.0] * 8}, over), so_far(NOON, calls=calls))
    (short,) = made.shortfalls
    assert short.mw == pytest.approx(0.8)
    assert made.lines[("lmr", "lmr_shortfall")].sum() == pytest.approx(-0.8 * 4 * 50)
    assert (short.promise, short.hours) == ("call lmr", "14-18")
    assert short.usd == pytest.approx(0.8 * 4 * 50 + 0.8 / 20 * 20 * 666.5), "and its part of a day's credit of 20 MW"


# --- memory, calls and tests --------------------------------------------------------------------------------------------------------------


def folded(contract, real, hours=1, memory=None):
    """Memory after every stretch of so many hours, as the loop or the ledger would hand them in."""
    memory = memory or LmrMemory()
    per = hours * 12
    for a in range(0, len(real.grid), per):
        piece = slice(a, a + per)
        memory = contract.remember(memory, Actuals(
            real.site, Grid(real.grid.edges[a : a + per + 1]), {k: v[piece] for k, v in real.energy_mwh.items()},
            {k: v[piece] for k, v in real.hash_ph_days.items()}, {k: v[piece] for k, v in real.energy_price.items()},
            real.hashprice[piece], calls=real.calls,
        ))  # fmt: skip
    return memory


def a_day(load, calls, on=date(2025, 7, 16)):
    grid = OperatingDay(Market.MISO, on).grid()
    return flat(grid, [mw for mw in load for _ in range(12)], calls=calls)


def test_it_remembers_the_calls_of_the_season_and_forgets_them_with_it():
    load = ["24"] * 14 + ["4"] * 4 + ["24"] * 6
    contract = lmr()
    memory = folded(contract, a_day(load, (call(est(7, 16, 14), est(7, 16, 18)),)))
    assert (memory.season, memory.called, memory.highest_mw) == (date(2025, 6, 1), ("e1",), 24.0)
    memory = folded(contract, a_day(load, (call(est(7, 17, 14), est(7, 17, 18), id_="e2"),), date(2025, 7, 17)), 24, memory)
    assert memory.called == ("e1", "e2")
    made = plan(
        miso(), (*BOOK, contract), outlook({HUB: [30.0]}, Grid.regular(NOON, NOON + HOUR, 60)), so_far(NOON, memory={"lmr": memory})
    )
    assert "lmr: 2 of 5 calls of this summer used, 2 answered, 3 left" in reasons(made)
    fall = folded(contract, a_day(["20"] * 24, (), date(2025, 9, 1)), 24, memory)
    assert (fall.season, fall.called, fall.highest_mw) == (date(2025, 9, 1), (), 20.0)


@pytest.mark.parametrize(("load", "answered"), [("4", 1), ("4.19", 1), ("4.3", 0), ("24", 0)])
@pytest.mark.parametrize("hours", [1, 24])
def test_a_call_counts_as_answered_at_or_below_the_level_only(load, answered, hours):
    """20 MW registered, 4 may stay; a fiftieth of a MW over that is within a hundredth of what was promised."""
    mw = ["24"] * 14 + ["4", load, "4", "4"] + ["24"] * 6
    memory = folded(lmr(), a_day(mw, (call(est(7, 16, 14), est(7, 16, 18)),)), hours)
    (left, *_) = lmr().progress(memory, OperatingDay(Market.MISO, date(2025, 7, 16)))
    assert (left.value, left.how) == (4, f"1 of 5 of the summer used, {answered} answered")


@pytest.mark.parametrize("hours", [1, 3, 24])
@pytest.mark.parametrize(
    ("before", "during", "failed"),
    [("24", "4", False), ("20", "4", False), ("18", "4", True), ("24", "4.03", False), ("24", "4.2", True)],
    ids=["passed", "from four fifths", "not from enough", "within the meter", "not down far enough"],
)
def test_a_real_test_goes_from_four_fifths_of_the_highest_demand_to_the_firm_service_level(hours, before, during, failed):
    load = ["24"] * 13 + [before] + [during] * 4 + ["24"] * 6
    test = call(est(7, 16, 14), est(7, 16, 18), kind=CallKind.TEST, id_="t1")
    memory = folded(lmr(), a_day(load, (test,)), hours)
    assert memory.failed is failed
    day = OperatingDay(Market.MISO, date(2025, 7, 16))
    said = "lmr: test t1 was failed; the credit does not count until one is passed or the summer ends"
    assert [(f.kind, f.text) for f in lmr().findings(LmrMemory(), memory, day)] == [("strike", said)] * failed
    assert not list(lmr().findings(memory, memory, day)), "it is said once"
    later = replace(flat(OperatingDay(Market.MISO, date(2025, 7, 17)).grid(60), "24"), memory={"lmr": memory})
    assert settle((lmr(),), later).net_usd == (D("0.00") if failed else D("13330.00"))
    fall = replace(flat(OperatingDay(Market.MISO, date(2025, 9, 1)).grid(60), "24"), memory={"lmr": memory})
    assert settle((lmr(),), fall).net_usd == D("1832.00"), "a new season begins from nothing"
    again = call(est(7, 18, 14), est(7, 18, 18), kind=CallKind.TEST, id_="t2")
    assert folded(lmr(), a_day(["24"] * 14 + ["4"] * 4 + ["24"] * 6, (again,), date(2025, 7, 18)), hours, memory).failed is False


def test_on_a_baseline_a_test_shows_all_of_the_registered_reduction():
    contract = lmr(method="baseline", baseline_mw=24.0, firm_service_mw=None)
    test = call(est(7, 16, 14), est(7, 16, 18), kind=CallKind.TEST, id_="t1")
    assert not folded(contract, a_day(["5"] * 14 + ["4"] * 4 + ["5"] * 6, (test,))).failed
    assert folded(contract, a_day(["24"] * 14 + ["5"] * 4 + ["24"] * 6, (test,))).failed


def test_a_plan_runs_the_hour_before_a_known_test_and_earns_the_pass():
    """At 150 $/MWh it would sleep; the test begins from 0.8 x 24 MW."""
    over = Grid.regular(NOON, NOON + 8 * HOUR, 60)
    dear = outlook({HUB: [150.0] * 8}, over)
    test = call(NOON + 3 * HOUR, NOON + 7 * HOUR, kind=CallKind.TEST, id_="t1")
    memory = LmrMemory(season=date(2025, 6, 1), highest_mw=24.0)
    made = plan(miso(), (*BOOK, lmr()), dear, so_far(NOON, calls=(test,), memory={"lmr": memory}))
    np.testing.assert_allclose(made.load_mw, [0, 0, 19.2, 0, 0, 0, 0, 0], atol=1e-6)
    weak = plan(miso(group("g", rigs=3000, modes=ONE)), (*BOOK, lmr()), dear, so_far(NOON, calls=(test,), memory={"lmr": memory}))
    (short,) = weak.shortfalls
    assert (short.promise, round(short.mw, 6), short.hours) == ("before test lmr", 4.2, "14-15")
    assert short.usd == pytest.approx(20 * 666.5 * 47), "20 MW of credit from 16 July to the end of August"
    without = plan(miso(), (*BOOK, lmr()), dear, so_far(NOON, calls=(test,)))
    np.testing.assert_allclose(without.load_mw, 0, atol=1e-6)


def test_how_the_season_stands():
    """Five calls in summer: one was answered. In the fall none was, and no test either."""
    tests = {"t1": LoadAtTest(20.0, 9.0)}
    memory = LmrMemory(season=date(2025, 6, 1), called=("e1",), tests=tests, failed=True)
    found = {s.name: s for s in lmr().progress(memory, OperatingDay(Market.MISO, date(2025, 7, 16)))}
    assert (found["lmr: calls left"].value, found["lmr: calls left"].how) == (4, "1 of 5 of the summer used, 1 answered")
    assert found["lmr: last test"].value == 0
    (fall,) = lmr().progress(memory, OperatingDay(Market.MISO, date(2025, 9, 2)))
    assert (fall.value, fall.how) == (3, "0 of 3 of the fall used, 0 answered")


# --- the law, and what is refused ---------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10_000), mw=st.floats(0.2, 6), base=st.floats(0, 3), notice=st.floats(0, 120), firm=st.booleans(),
    begins=st.integers(-4, 10), lasts=st.integers(1, 12), open_=st.booleans(), twice=st.booleans(), failed=st.booleans(),
)  # fmt: skip
def test_it_says_what_it_pays(seed, mw, base, notice, firm, begins, lasts, open_, twice, failed):
    rng = np.random.default_rng(seed)
    where = miso(group("g", rigs=800, low=True, standby=10.0), group("h", "s19jpro", rigs=900),
                 halls=(Hall(name="a", meter="main", limit_mw=1000.0),))  # fmt: skip
    over = Grid.regular(NOON, NOON + 3 * HOUR, 15)
    ahead = outlook({HUB: random_prices(rng, 12)}, over, hashprice=float(rng.uniform(20, 80)))
    way = {"firm_service_mw": base} if firm else {"method": "baseline", "firm_service_mw": None, "baseline_mw": base + mw}
    contract = lmr(mw=mw, notice_min=notice, **way)
    start = NOON + begins * 15 * MINUTE
    calls = [call(start, None if open_ else start + lasts * 15 * MINUTE, mw_delta=0.5)]
    calls += [call(start + 20 * MINUTE, start + 3 * HOUR, id_="e2", mw_delta=0.1)] if twice else []
    memory = {"lmr": LmrMemory(season=date(2025, 6, 1), failed=failed)}
    kit.holds(contract, where, ahead, rng, linear=True)
    # The load of the kit is given by chance: with no cap of its own the call binds it only in money.
    loose = contract.model_copy(update={"lead_min": 0.0})
    loose._rules = contract._rules
    state = so_far(NOON, calls=tuple(calls), memory=memory)
    said, paid = uncapped(loose, where, ahead, rng, state)
    np.testing.assert_allclose(said, paid, atol=0.005, rtol=1e-9)


def uncapped(contract, where, ahead, rng, state):
    """The law on a load that breaks the instruction as often as not."""

    class Unbound(type(contract)):
        def bounds(self, site, memory, calls, over):
            from optimizer.domain.formula import Bounds

            return Bounds()

    free = Unbound.model_validate(contract.model_dump())
    return kit.keeps_the_law(free.with_rules(contract._rules), where, ahead, rng, linear=True, state=state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"firm_service_mw": None}, "firm_service_mw is missing"),
        ({"method": "baseline"}, "baseline_mw is missing"),
        ({"method": "baseline", "baseline_mw": 30.0}, "firm_service_mw does not apply"),
        ({"method": "baseline", "baseline_mw": 10.0, "firm_service_mw": None}, "more than baseline_mw"),
        ({"notice_min": 361}, "notice_min"),
        ({"zone": 11}, "zone"),
        ({"zrc": {"autumn": 3}}, "zrc"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        lmr(**options)


# --- rules of planning years --------------------------------------------------------------------------------------------------------------


def under(year, month, **more):
    """A resource under the rules of one day."""
    return under_rules_of(date(year, month, 15), Lmr(**{"mw": 20.0, "firm_service_mw": 4.0, "zone": 6, **more}))


def test_what_a_test_must_begin_from_is_a_rule_of_planning_year_2026():
    real = a_day(["24"] * 13 + ["18"] + ["4"] * 4 + ["24"] * 6, (call(est(7, 16, 14), est(7, 16, 18), kind=CallKind.TEST, id_="t1"),))
    assert not under(2026, 5).remember(LmrMemory(), real).failed
    assert under(2026, 6).remember(LmrMemory(), real).failed


def test_a_credit_that_is_accredited_and_not_stated_is_unknown_and_never_zero():
    price = {"usd_per_mw_day": {"summer": 30.0}}
    real = a_day(["24"] * 24, (call(est(7, 16, 14), est(7, 16, 16)),))
    registered = settle((under(2028, 5, **price),), real)
    assert registered.totals["lmr", "lmr_capacity"] == D("600.00") and not registered.unknown
    accredited = settle((under(2028, 6, **price),), real)
    assert accredited.unknown_names == ("lmr/lmr_capacity", "lmr/lmr_forfeit")
    assert ("lmr", "lmr_capacity") not in accredited.totals and ("lmr", "lmr_forfeit") not in accredited.totals
    assert accredited.totals["lmr", "lmr_shortfall"] == registered.totals["lmr", "lmr_shortfall"] < 0
    assert all("miso.lmr.credit" in each.rule and "names no zrc of the summer" in each.why for each in accredited.unknown)
    forfeits = [each.over for each in accredited.unknown if each.charge_type == "lmr_forfeit"]
    assert forfeits == [Interval(est(7, 16, 14), est(7, 16, 16))]
    stated = settle((under(2028, 6, zrc={"summer": 18.0}, **price),), real)
    assert stated.totals["lmr", "lmr_capacity"] == D("540.00") and not stated.unknown


def test_a_forfeit_cites_the_price_it_is_reckoned_by():
    missed = settle((under(2026, 7),), a_day(["24"] * 24, (call(est(7, 16, 14), est(7, 16, 15)),)))
    line = next(each for each in missed.lines if each.charge_type == "lmr_forfeit")
    assert "miso.lmr.forfeit_days" in line.rule and "miso.pra.north.usd_per_mw_day" in line.rule


def test_a_notice_too_long_for_its_type_is_refused():
    where = site(market=Market.MISO)
    assert [f.key for f in under(2028, 6, kind="II", notice_min=60.0).check_site(where, ())] == [("notice_min",)]
    for fits in ({"kind": "I", "notice_min": 60.0}, {"kind": "II"}):
        assert not list(under(2028, 6, **fits).check_site(where, ()))


def test_an_hour_that_nobody_read_leaves_the_unknown_credit_as_it_is():
    loads = ["24"] * 10 + ["NaN"] + ["24"] * 13
    for calls in ((), (call(est(7, 16, 9), est(7, 16, 12)),)):
        bill = settle((under(2028, 6, usd_per_mw_day={"summer": 30.0}),), a_day(loads, calls))
        assert "lmr/lmr_capacity" in bill.unknown_names
        assert ("lmr/lmr_forfeit" in bill.unknown_names) == bool(calls)


def test_a_plan_says_that_an_unknown_credit_is_in_no_dollar_of_it():
    contract = under(2028, 6, usd_per_mw_day={"summer": 30.0})
    where, over = miso(), Grid.regular(NOON, NOON + 4 * HOUR, 60)
    for known, book in ((True, under(2028, 5, usd_per_mw_day={"summer": 30.0})), (False, contract)):
        said = reasons(plan(where, (Hashing(), Power(), Plant(), book), outlook({HUB: [10.0] * 4}, over), so_far(over.start)))
        assert any("its capacity pay is in no dollar here: the site file names no zrc of the summer" in r for r in said) is not known
