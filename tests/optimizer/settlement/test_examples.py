"""The worked examples of the rules' reference that need no ancillary services, to the cent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal as D

import numpy as np
import pytest

from markets.grid import Grid, Market, OperatingDay
from markets.hashmath import usd_per_ph_day
from optimizer.domain.money import Line, Statement
from optimizer.domain.site import Mode
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import breakevens
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.optimizer.fixtures import AT, POINT, actuals, grid, group, outlook, site, so_far

LOAD = ["25.000", "24.987", "3.112", "1.004"]
PRICE = ["28.41", "95.37", "1250.00", "2417.86"]


def ex1_actuals():
    return actuals(site(group("g", rigs=30_000)), grid(4), {"g": LOAD}, {POINT: PRICE})


@pytest.mark.parametrize(
    "sell_back",
    [SellBack(), SellBack(haircut_usd_per_mwh=0.0, cap_mw=100.0), SellBack(haircut_usd_per_mwh=0.0, cap_mw=99.9999)],
    ids=["full price", "cap of the block", "a cap that does not bind"],
)
def test_ex1_block_and_sell_back(sell_back):
    """EX-1: 3,250.00 fixed, 85,380.21 sold, 332.73 of adders: 81,797.48 to the site, and the statement foots."""
    book = (Power(adders_usd_per_mwh=6.15), Block(mw=100, usd_per_mwh=32.50, sell_back=sell_back))
    statement = settle(book, ex1_actuals())
    assert statement.totals == {
        ("power", "adders"): D("-332.73"),
        ("block", "block_cost"): D("-3250.00"),
        ("block", "block_settlement"): D("85380.21"),
    }
    assert statement.net_usd == D("81797.48")
    assert statement.net_exact_usd == D("81797.47492")


def test_ex1_identity_index_and_difference():
    """Index cost 9,410.79 and a block difference of 91,541.00 are the same money: a block that settles no load is a constant."""
    index = settle((Power(adders_usd_per_mwh=6.15),), ex1_actuals())
    assert index.totals[("power", "energy")] == D("-9410.79")
    both = settle((Power(adders_usd_per_mwh=6.15), Block(mw=100, usd_per_mwh=32.50)), ex1_actuals())
    assert both.net_exact_usd - index.net_exact_usd == D("91541.00")
    flat = settle((Power(adders_usd_per_mwh=6.15), Block(mw=100, usd_per_mwh=32.50)),
                  actuals(site(group("g", rigs=30_000)), grid(4), {"g": ["25"] * 4}, {POINT: PRICE}))  # fmt: skip
    assert flat.net_usd == D("-3865.00")


def test_ex1b_totals_are_rounded_once():
    over = grid(3)
    lines = settle((Power(),), actuals(site(group("g")), over, {"g": ["0.125"] * 3}, {POINT: ["35.96"] * 3}))
    assert lines.net_usd == D("-13.49")
    each = settle((Power(),), actuals(site(group("g")), over, {"g": ["0.125"] * 3}, {POINT: ["35.96"] * 3}), round_each_interval=True)
    assert each.net_usd == D("-13.50")


def test_ex1c_losses():
    """25.000 MWh with 1.78 % and 0.21 % is 25.4984345 MWh: the meter's loss factor."""
    factor = D("1.0178") * D("1.0021")
    where = site(group("g", rigs=40_000), loss_factor=float(factor))
    statement = settle((Power(),), actuals(where, grid(1), {"g": ["25.000"]}, {POINT: ["95.37"]}))
    (line,) = statement.lines
    assert line.quantity == D("25.498434500")
    assert statement.net_usd == D("-2431.79")
    assert settle((Power(),), actuals(site(group("g")), grid(1), {"g": ["25.000"]}, {POINT: ["95.37"]})).net_usd == D("-2384.25")


LMP = ["24.12", "24.80", "25.05", "27.33", "31.90", "88.40", "212.75", "640.10", "305.66", "97.20", "41.05", "29.60"]
METERED = ["3.8"] * 5 + ["3.5", "2.6", "1.2", "1.18", "2.4", "3.1", "3.5"]


def test_ex6_miso_five_minutes():
    """EX-6: the five-minute meter settles 2,961.64, a flat hour 4,705.80."""
    where, over = site(group("g", rigs=20_000), market=Market.MISO), grid(12, 5)
    assert settle((Power(),), actuals(where, over, {"g": METERED}, {POINT: LMP})).net_usd == D("-2961.64")
    flat = [D("36.480") / 12] * 12
    assert settle((Power(),), actuals(where, over, {"g": flat}, {POINT: LMP})).net_usd == D("-4705.80")
    quarters = [D(q) / 3 for q in ("11.4", "11.1", "4.98", "9.0") for _ in range(3)]
    assert settle((Power(),), actuals(where, over, {"g": quarters}, {POINT: LMP})).net_usd == D("-3253.99")


@pytest.mark.parametrize(("energy", "deviation", "total"), [(METERED, "2198.22", "867.42"), ([D("3.04")] * 12, "454.07", "-876.73")])
def test_ex6_day_ahead_purchase_is_a_block(energy, deviation, total):
    """40 MWh bought day ahead at 33.27; the deviation settles at the five-minute price."""
    where, over = site(group("g", rigs=20_000), market=Market.MISO), grid(12, 5)
    statement = settle((Power(), Block(name="day-ahead", mw=40, usd_per_mwh=33.27)), actuals(where, over, {"g": energy}, {POINT: LMP}))
    assert statement.totals == {("day-ahead", "block_cost"): D("-1330.80"), ("day-ahead", "block_settlement"): D(deviation)}
    assert statement.net_usd == D(total)


@pytest.mark.parametrize(
    ("market", "on", "intervals", "usd"),
    [
        (Market.ERCOT, date(2026, 3, 8), 92, "4600.00"),
        (Market.ERCOT, date(2026, 3, 9), 96, "4800.00"),
        (Market.ERCOT, date(2026, 11, 1), 100, "5000.00"),
        (Market.MISO, date(2026, 3, 8), 96, "4800.00"),
        (Market.MISO, date(2026, 11, 1), 96, "4800.00"),
    ],
)
def test_ex7_days_of_daylight_saving(market, on, intervals, usd):
    """10 MW flat at $20."""
    over = OperatingDay(market, on).grid(15)
    assert len(over) == intervals
    where = site(group("g", rigs=5000), market=market)
    statement = settle((Power(),), actuals(where, over, {"g": ["2.5"] * len(over)}, {POINT: ["20"] * len(over)}))
    assert -statement.net_usd == D(usd)


def test_ex7_the_second_hour_of_the_fall_back():
    """The second HE02 of 1 November at $60."""
    over = OperatingDay(Market.ERCOT, date(2026, 11, 1)).grid()
    second = [
        i for i, o in enumerate(over.intervals) if datetime(2026, 11, 1, 7, tzinfo=UTC) <= o.start < datetime(2026, 11, 1, 8, tzinfo=UTC)
    ]
    price = ["60" if i in second else "20" for i in range(len(over))]
    statement = settle((Power(),), actuals(site(group("g", rigs=5000)), over, {"g": ["2.5"] * 100}, {POINT: price}))
    assert -statement.net_usd == D("5400.00")


@pytest.mark.parametrize(("j_per_th", "usd"), [(13.5, 107.59), (15, 96.83), (17.5, 83.00), (21.5, 67.56), (29.5, 49.24), (38, 38.22)])
def test_ex8_hashprice_and_breakeven(j_per_th, usd):
    """35.2122 $/PH/day gross, 34.8601 net of 1 %; the plan's breakeven is what the formula says."""
    gross = usd_per_ph_day(155.97e12, 86_500.0, 0.0312, 3.125)
    assert round(gross, 4) == 35.2122
    assert round(gross * 0.99, 4) == 34.8601
    rig = (Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=j_per_th * 200, ths=200))
    made = plan(site(group("g", modes=rig)), (Hashing(pool_fee=0.01), Power()), outlook([50.0], hashprice=gross), so_far())
    assert breakevens(made)["g"] == pytest.approx(usd, abs=0.005)


def test_ex_lp_without_ancillary_services():
    """EX-LP: two groups of 50 MW, 15 and 25 J/TH, four hours at 30, 80, 150 and 20: 14,333.3333."""
    a = group("a", rigs=10_000, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=5000 / 15)))
    b = group("b", rigs=10_000, modes=(Mode(name="sleep", watts=0, ths=0), Mode(name="normal", watts=5000, ths=200)))
    over = Grid.regular(AT, AT.replace(hour=20), 60)
    made = plan(site(a, b), (Hashing(), Power(), Plant()), outlook([30, 80, 150, 20], over, hashprice=40.0), so_far())
    assert made.objective_usd == pytest.approx(14_333.3333, abs=1e-4)
    np.testing.assert_allclose(made.load_mw, [100, 50, 0, 100], atol=1e-6)


def test_ex10_each_version_is_rounded_and_the_deltas_foot():
    """Resettlement: 1000.004, 1012.376, 1009.995 print 1,000.00, +12.38, -2.38 and sum to 1,010.00."""
    over = grid(1).over
    printed = [Statement((Line("x", "y", over, D(1), "mwh", D(v), D(v)),)).net_usd for v in ("1000.004", "1012.376", "1009.995")]
    assert [printed[0], printed[1] - printed[0], printed[2] - printed[1]] == [D("1000.00"), D("12.38"), D("-2.38")]
    assert printed[2] == D("1010.00")
