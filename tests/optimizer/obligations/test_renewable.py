"""A solar plant behind the meter: surplus power is used, exported where it may be, curtailed elsewhere; what is unknown stays unknown."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.series import Series
from optimizer.domain.net_load import followed
from optimizer.domain.site import Meter, Scope
from optimizer.domain.site_limits import site_limits
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.hosting import Hosting
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.renewable import Renewable
from optimizer.obligations.transmission import Transmission
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, Dead, actuals, grid, group, outlook, random_prices, site, site_of_two_meters, so_far

SOLAR = Renewable(name="solar", mw=5.0)


def field(*, import_mw=None, export_mw=0.0, rigs=1000, loss_factor=1.0, **more):
    """A thousand S21 (3.5 MW, breakeven 107.14 $/MWh at 45 $/PH/day) behind one line."""
    line = Meter(id="main", settlement_point=POINT, loss_factor=loss_factor, import_mw=import_mw, export_mw=export_mw)
    return site(group("rigs", "s21", rigs=rigs), meters=(line,), **more)


def sunny(prices, mw, over=None):
    over = over or grid(len(prices), 60)
    return replace(outlook(prices, over), available_mw={"solar": Series(over, np.asarray(mw, dtype=float), "mw")})


BOOK = (Hashing(), Power(), SOLAR, Plant())


def test_rigs_run_on_surplus_power_when_the_line_is_dear():
    """At 200 $/MWh hashing does not pay for the line's energy, but for the sun's."""
    made = plan(field(), BOOK, sunny([200.0, 200.0, 30.0], [0.0, 2.0, 2.0]), so_far())
    np.testing.assert_allclose(made.load_mw, [0.0, 2.0, 3.5], atol=1e-6)
    np.testing.assert_allclose(made.generation["solar"], [0.0, 2.0, 2.0], atol=1e-6)
    assert made.lines[("power", "energy")] == pytest.approx([0.0, 0.0, -45.0])


def test_a_surplus_is_exported_where_it_may_be_and_curtailed_elsewhere():
    """5 MW of sun and 3.5 MW of rigs: 1 MW may flow out, half a megawatt is curtailed."""
    ahead = sunny([50.0], [5.0])
    alone = plan(field(), BOOK, ahead, so_far())
    assert alone.generation["solar"][0] == pytest.approx(3.5)
    assert any("solar can make 5.000 MW now, 1.500 MW of it curtailed" in text for text in reasons(alone))
    exports = plan(field(export_mw=1.0), BOOK, ahead, so_far())
    assert exports.generation["solar"][0] == pytest.approx(4.5)
    assert exports.lines[("power", "energy")][0] == pytest.approx(50.0)


def test_what_cannot_be_foreseen_is_not_counted_on_and_is_named():
    ahead = sunny([200.0, 200.0], [np.nan, 2.0])
    made = plan(field(), BOOK, ahead, so_far())
    np.testing.assert_allclose(made.load_mw, [0.0, 2.0], atol=1e-6)
    assert any("what solar can make is unknown for 1 h of the plan, which counts on none of it there" in text for text in reasons(made))
    blind = plan(field(), BOOK, replace(ahead, available_mw={}), so_far())
    assert any("unknown for 2 h" in text for text in reasons(blind))


def test_the_weak_line_and_the_sun_carry_the_rigs_together():
    where, ahead = field(import_mw=0.5), sunny([10.0] * 3, [0.0, 1.0, 9.0])
    for session in (None, Dead()):
        made = plan(where, BOOK, ahead, so_far(), session=session)
        np.testing.assert_allclose(made.load_mw, [0.5, 1.5, 3.5], atol=0.01)
    line = next(limit for limit in site_limits(where, BOOK, ahead.grid, available_mw=ahead.available_mw) if limit.name == "line main")
    assert line.most_mw.tolist() == [0.5, 1.5, 5.5]
    assert next(limit for limit in site_limits(where, BOOK, ahead.grid) if limit.name == "line main").most_mw.tolist() == [0.5] * 3


def test_it_follows_the_load_and_never_makes_more_than_it_can():
    line = Meter(id="main", settlement_point=POINT, import_mw=1.0, export_mw=0.5)
    plant = SOLAR.generator(field())
    assert [str(followed(plant, D(could), D(load), line)) for could, load in (("2", "5"), ("4", "1"), ("0", "3"))] == ["2", "1.5", "0"]
    assert followed(plant, D("NaN"), D(1), line).is_nan()


def test_a_bill_of_two_hours_by_hand():
    """First hour: 2 MWh drawn by rigs, 3 made of 4 possible, 1 flows out. Second: 3.5 drawn, 1 made."""
    where, over = field(export_mw=1.0, loss_factor=1.02), grid(2, 60)
    contract = Renewable(name="solar", mw=5.0, usd_per_mwh=18.0, curtailed_usd_per_mwh=6.0)
    real = actuals(
        where, over, {"rigs": ["2", "3.5"]}, {POINT: ["40", "100"]},
        generated_mwh={"solar": [D(3), D(1)]}, available_mwh={"solar": [D(4), D(1)]},
    )  # fmt: skip
    bill = settle((Power(adders_usd_per_mwh=5.0), contract), real)
    assert bill.totals == {
        ("power", "energy"): D("-215.00"),  # 1 x 40 - 2.5 x 1.02 x 100
        ("power", "adders"): D("-12.75"),
        ("solar", "generated"): D("-72.00"),
        ("solar", "curtailed"): D("-6.00"),
    }
    curtailed = [line for line in bill.lines if line.charge_type == "curtailed"]
    assert [line.quantity for line in curtailed] == [D(1)]


def test_what_was_made_and_is_not_known_bills_nothing_and_what_could_have_been_is_unknown():
    where, over = field(), grid(2, 60)
    contract = Renewable(name="solar", mw=5.0, curtailed_usd_per_mwh=6.0)
    dark = actuals(where, over, {"rigs": ["3.5"] * 2}, {POINT: ["40"] * 2}, generated_mwh={"solar": [D("NaN"), D(1)]})
    bill = settle((Power(), contract), dark)
    assert [line.over for line in bill.lines if line.charge_type == "energy"] == [over.intervals[1]]
    assert any("no generation solar for 1 of 2 intervals" in finding.text for finding in bill.findings)
    assert bill.unknown_names == ("solar/curtailed",) and bill.unknown[0].over == over.intervals[1]
    silent = settle((Power(), SOLAR), replace(dark, generated_mwh={}))
    assert not silent.lines and any("no generation solar for 2 of 2 intervals" in finding.text for finding in silent.findings)
    free = settle((Power(), SOLAR), dark)
    assert not free.unknown_names, "energy that costs nothing curtailed needs no figure"


def test_who_speaks_of_the_meter_sees_net_load_and_who_speaks_of_rigs_sees_rigs():
    where, over = field(), grid(1, 60)
    book = (
        Power(), SOLAR,
        Transmission(name="net", method="ncp", usd_per_kw_year=12.0),
        Transmission(name="gross", method="ncp", usd_per_kw_year=12.0, load="gross"),
        Hosting(scope=Scope(groups=("rigs",)), usd_per_mwh=10.0),
    )  # fmt: skip
    real = actuals(where, over, {"rigs": ["3.5"]}, {POINT: ["40"]}, generated_mwh={"solar": [D(2)]}, available_mwh={"solar": [D(2)]})
    bill = settle(book, real)
    demand = {line.obligation: line.quantity for line in bill.lines if line.charge_type == "demand"}
    assert demand == {"net": D("1.5"), "gross": D("3.5")}
    hosted = [line.quantity for line in bill.lines if line.obligation == "hosting" and line.unit == "mwh"]
    assert hosted and set(hosted) == {D("3.5")}


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_the_law_holds_with_sun_behind_the_meter(seed):
    rng = np.random.default_rng(seed)
    where = site_of_two_meters(export_mw=float(rng.choice([0.0, 1.5])))
    ahead = sunny(random_prices(rng, 12), np.where(rng.random(12) < 0.2, np.nan, rng.uniform(0, 5, 12)), grid(12))
    plant = Renewable(
        name="solar", mw=4.0, scope=Scope(meter="main"),
        usd_per_mwh=float(rng.choice([-25.0, 0.0, 30.0])), curtailed_usd_per_mwh=float(rng.choice([0.0, 12.0])),
    )  # fmt: skip
    kit.keeps_the_law(plant, where, ahead, rng, linear=True, beside=(Hashing(), Power(), Plant()))
    power = Power(adders_usd_per_mwh=6.0, export_haircut_usd_per_mwh=3.0)
    kit.keeps_the_law(power, where, ahead, rng, linear=False, beside=(plant, Plant()))
    kit.keeps_the_law(Power(), where, ahead, rng, linear=True, beside=(plant, Plant()))
    kit.speaks_for_itself(plant, where, ahead, rng)
    kit.honours_calls(plant, where, ahead)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_a_plan_earns_what_the_best_use_of_each_hour_earns(seed):
    """Hours do not bind one another here: the best load and output of each, tried by hand at every corner."""
    rng = np.random.default_rng(seed)
    n, out, line = 8, float(rng.choice([0.0, 1.0])), None if rng.random() < 0.4 else float(rng.choice([0.5, 2.0]))
    paid, curtailed = float(rng.choice([-20.0, 0.0, 35.0])), float(rng.choice([0.0, 15.0]))
    prices, could = np.round(rng.uniform(-60, 200, n), 2), np.round(rng.uniform(0, 5, n), 3)
    book = (Hashing(), Power(), Renewable(name="solar", mw=4.0, usd_per_mwh=paid, curtailed_usd_per_mwh=curtailed), Plant())
    made = plan(field(import_mw=line, export_mw=out), book, sunny(prices, could), so_far())
    worth, best = 45.0 * 200 / 24 / 3.5, 0.0  # usd_per_mwh of hashing
    for price, most in zip(prices, np.minimum(could, 4.0), strict=True):
        corners = []
        for sun in {0.0, most, *np.clip([3.5 - (line or 0), 3.5 + out, out], 0.0, most)}:
            for load in (0.0, 3.5, sun - out, sun + (9.0 if line is None else line)):
                load = min(max(load, 0.0), 3.5)
                net = load - sun
                if net >= -out - 1e-9 and (line is None or net <= line + 1e-9):
                    corners.append(worth * load - price * net - paid * sun - curtailed * (most - sun))
        best += max(corners)
    assert made.objective_usd == pytest.approx(best, abs=1e-3)


def test_a_ramp_limit_does_not_take_the_sun_of_before_for_a_step():
    """The plant made what it makes now before the plan as well: the net load of the first interval is not a ramp."""
    where = replace_ramp(field(), 0.001)
    state = so_far(groups={})
    ahead = sunny([30.0] * 4, [3.0] * 4)
    made = plan(where, BOOK, ahead, state)
    assert not [s for s in made.shortfalls if "ramp" in s.promise]


def replace_ramp(where, mw_per_min):
    return type(where)(**{**{k: getattr(where, k) for k in type(where).model_fields}, "max_ramp_down_mw_per_min": mw_per_min})


@pytest.mark.parametrize(
    ("wrong", "words"), [({"scope": {"hall": "a"}}, "needs a meter alone"), ({"curtailed_usd_per_mwh": -1.0}, "greater than or equal to 0")]
)
def test_what_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(ValidationError, match=words):
        Renewable.model_validate({"mw": 3.0, **wrong})
