"""Monthly charges at dated rates: days add up to the month, also when the clocks change, and nothing is due before the first rate."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from pydantic import ValidationError

from markets.grid import Market, OperatingDay
from optimizer.domain.money import cents
from optimizer.obligations.fixed_charges import FixedCharges
from optimizer.obligations.power import Power
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, actuals, group, outlook, random_prices, site

RATES = (
    {"from": "2026-03-01", "usd_per_month": 1250.0, "tag_mw": 27.25, "usd_per_kw_month": 5.83},
    {"from": "2026-11-16", "usd_per_month": 1300.0, "tag_mw": 27.25, "usd_per_kw_month": 6.01},
)


def day_usd(on: date, market: Market = Market.ERCOT) -> dict[str, D]:
    over = OperatingDay(market, on).grid(60)
    real = actuals(site(group("g"), market=market), over, {"g": ["1"] * len(over)}, {POINT: ["20"] * len(over)})
    bill = settle((FixedCharges(rates=RATES),), real)
    out: dict[str, D] = {}
    for line in bill.lines:
        out[line.charge_type] = out.get(line.charge_type, D(0)) - line.amount_usd
    return out


@pytest.mark.parametrize("market", [Market.ERCOT, Market.MISO])
@pytest.mark.parametrize("month", [3, 4, 11], ids=["clocks forward", "no change", "clocks back and a new rate"])
def test_days_add_up_to_the_month(month: int, market: Market) -> None:
    days = [date(2026, month, 1) + timedelta(days=n) for n in range(31)]
    bills = [day_usd(on, market) for on in days if on.month == month]
    fixed, tag = (sum((bill[name] for bill in bills), D(0)) for name in ("monthly_charge", "peak_tag"))
    if month == 11:
        late = sum((OperatingDay(market, on).over.hours for on in days if on.month == 11 and on.day >= 16), 0.0)
        month_h = 721 if market is Market.ERCOT else 720
        share = D(repr(late)) / month_h
        assert cents(fixed) == cents(D(1250) * (1 - share) + D(1300) * share)
        assert cents(tag) == cents(D("27.25") * 1000 * (D("5.83") * (1 - share) + D("6.01") * share))
    else:
        assert cents(fixed) == D("1250.00") and cents(tag) == D("158867.50")


def test_nothing_is_due_before_the_first_rate() -> None:
    assert day_usd(date(2026, 2, 28)) == {}


def test_it_never_moves_the_plan_and_keeps_the_law() -> None:
    where, ahead = site(group("mine", "s21", rigs=500)), outlook(random_prices(np.random.default_rng(7), 24))
    contract = FixedCharges(rates=RATES)
    kit.keeps_the_law(contract, where, ahead, np.random.default_rng(7), linear=True, beside=(Power(),))
    kit.speaks_for_itself(contract, where, ahead, np.random.default_rng(7))


def test_rates_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="in order of `from`"):
        FixedCharges(rates=RATES[::-1])
