"""A fixed block: what was used and sold back in MWh, losses on what is drawn only, and gaps that stay gaps."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from optimizer.domain.billing import with_settling_contracts
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import Meter
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.generation import Generation
from optimizer.obligations.power import Power
from optimizer.settlement.settle import settle
from tests.optimizer.fixtures import POINT, actuals, grid, group, site

LOADS, PRICES = ["25", "60", "0", "112"], ["20", "-5", "1000", "300"]


def counted(block: Block, real) -> dict[str, D]:
    its = ActualQuantities.of(with_settling_contracts((block, Power()), real))
    return {d.name: d.quantity for d in block.billed_quantities(its)}


@pytest.mark.parametrize(
    ("terms", "least_mw", "sold", "usd"),
    [
        ({}, 0.0, "215", "101300"),  # 75 x 20 - 40 x 5 + 100 x 1000
        ({"haircut_usd_per_mwh": 8.0}, 0.0, "215", "100100"),  # 75 x 12 + 40 x 0 + 100 x 992
        ({"cap_mw": 50.0}, 0.0, "140", "51000"),  # 50 x 20, 40 x 0 where the price is negative, 50 x 1000
        ({}, 70.0, "90", "30600"),  # 30 x 20, 30 x 0, 30 x 1000
        (None, 0.0, "0", "0"),
    ],
    ids=["full price", "haircut", "cap", "minimum take", "no sell-back"],
)
def test_used_and_power_credits_are_counted_in_mwh(terms, least_mw, sold, usd) -> None:
    """Used: 25 + 60 + 0 + 100 of 400 MWh, whatever a sold MWh brings."""
    block = Block(mw=100.0, usd_per_mwh=32.5, sell_back=SellBack(**terms) if terms is not None else None, min_take_mw=least_mw)
    real = actuals(site(group("rigs", rigs=40_000)), grid(4, 60), {"rigs": LOADS}, {POINT: PRICES})
    found = counted(block, real)
    assert found == {"block": D(400), "used": D(185), "sold back": D(sold), "power credits": D(usd)}


def test_losses_raise_what_is_drawn_and_not_what_flows_out() -> None:
    """Load 0.5 and 1 under a generator of 3 MWh: 2.5 and 2 MWh flow out as they are; 3.5 under 3 draws 0.5 x 1.02."""
    where = site(group("rigs", rigs=1000), meters=(Meter(id="main", settlement_point=POINT, loss_factor=1.02, export_mw=3.0),))
    made = Generation(mw=3.0, fuel_usd_per_mmbtu=2.0, heat_rate_mmbtu_per_mwh=10.0)
    real = actuals(
        where, grid(3, 60), {"rigs": ["0.5", "1", "3.5"]}, {POINT: ["100", "-40", "200"]}, generated_mwh={"generation": [D(3)] * 3}
    )
    index = settle((Power(), made), real)
    assert index.totals[("power", "energy")] == D(250) - D(80) - D("0.51") * 200
    assert [line.quantity for line in index.of("power") if line.charge_type == "energy"] == [D("-2.5"), D(-2), D("0.51")]
    # A block settles the same MWh: beside index energy it is a constant, 2 MW x (price - 30).
    for terms in (SellBack(), SellBack(haircut_usd_per_mwh=0.0, cap_mw=2.0)):
        both = settle((Power(), Block(mw=2.0, usd_per_mwh=30.0, sell_back=terms), made), real)
        assert both.net_exact_usd - index.net_exact_usd == 2 * (D(100) - 40 + 200 - 90)


@pytest.mark.parametrize("gap", ["price", "load"])
def test_a_gap_in_price_or_load_has_no_line_and_stops_nothing(gap: str) -> None:
    prices, loads = list(PRICES), list(LOADS)
    (prices if gap == "price" else loads)[2] = "NaN"
    block = Block(mw=100.0, usd_per_mwh=32.5, sell_back=SellBack(haircut_usd_per_mwh=8.0, cap_mw=60.0))
    real = actuals(site(group("rigs", rigs=40_000)), grid(4, 60), {"rigs": loads}, {POINT: prices})
    bill = settle((block, Power()), real)
    third = real.grid.intervals[2]
    assert [line.charge_type for line in bill.lines if line.over == third] == [], "a gapped interval is left out of every contract"
    assert len({line.over for line in bill.lines}) == 3
    assert counted(block, real)["block"] == 300
