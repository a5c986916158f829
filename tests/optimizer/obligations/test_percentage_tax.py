"""Percentage taxes: exact to the cent, less what is exempt, on charges and on receipts, and part of when rigs stop."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from pydantic import ValidationError

from markets.grid import Market, OperatingDay
from optimizer.lp.breakeven import breakevens_usd_per_mwh
from optimizer.obligations.fixed_charges import FixedCharges
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.percentage_tax import PercentageTax
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan, program_of
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, actuals, grid, group, outlook, random_prices, site

SALES = {"from": "2026-01-01", "percent": 8.25, "charges": ["power", "fixed_charges"]}


def totals(*book: object, on: date = date(2026, 8, 20), prices: str = "20") -> dict[str, D]:
    over = OperatingDay(Market.ERCOT, on).grid(60)
    real = actuals(site(group("g")), over, {"g": ["1.5"] * len(over)}, {POINT: [prices] * len(over)}, hash_ph_days={"g": ["2"] * len(over)})
    return {f"{name}/{kind}": usd for (name, kind), usd in settle(book, real).totals.items()}


def test_sales_tax_is_due_on_the_named_charges_less_what_is_exempt() -> None:
    book = (Power(adders_usd_per_mwh=6.15), FixedCharges(rates=({"from": "2026-01-01", "usd_per_month": 3100.0},)), Hashing())
    tax = PercentageTax(name="sales_tax", rates=(SALES, {**SALES, "from": "2026-08-21", "percent": 8.0, "exempt_share": 0.75}))
    assert totals(*book, tax) == totals(*book) | {
        "sales_tax/power_energy": D("-59.40"),  # 36 MWh at $20: 8.25 % of $720.00
        "sales_tax/power_adders": D("-18.27"),  # 8.25 % of $221.40
        "sales_tax/fixed_charges_monthly_charge": D("-8.25"),  # of $3,100 a month, a day is $100
    }
    assert totals(*book, tax, on=date(2026, 8, 21))["sales_tax/power_energy"] == D("-14.40")  # 8 % of a quarter
    assert totals(*book, tax, prices="-20")["sales_tax/power_energy"] == D("59.40")  # a credit takes its tax back


def test_a_tax_on_receipts_takes_a_part_of_what_is_paid() -> None:
    rates = ({"from": "2026-01-01", "percent": 0.331, "receipts": ["hashing"]},)
    assert totals(Hashing(), PercentageTax(rates=rates))["percentage_tax/hashing_hash_revenue"] == D("-7.15")  # of $2,160.00


def test_a_tax_on_another_tax_is_read_after_it() -> None:
    """The surcharge is written before the tax it is charged on."""
    city = PercentageTax(name="surcharge", rates=({"from": "2026-01-01", "percent": 10.0, "charges": ["sales_tax"]},))
    state = PercentageTax(name="sales_tax", rates=({**SALES, "charges": ["power"]},))
    assert totals(city, state, Power())["surcharge/sales_tax_power_energy"] == D("-5.94")


@pytest.mark.parametrize("demand", [(), (Transmission(method="ncp", usd_per_kw_year=60.0),)], ids=["energy", "energy and demand"])
def test_plan_and_bill_tax_alike(demand: tuple[Transmission, ...]) -> None:
    rng = np.random.default_rng(11)
    where, ahead = site(group("mine", "s21", rigs=500), loss_factor=1.0178), outlook(random_prices(rng, 24))
    rates = ({**SALES, "from": "2020-01-01", "charges": ["power/energy", *(c.name for c in demand)]},)
    said, _ = kit.keeps_the_law(PercentageTax(rates=rates), where, ahead, rng, linear=not demand, exact=True, beside=(Power(), *demand))
    assert said.any()


def test_a_demand_charge_is_planned_with_the_dearer_of_two_rates_of_the_horizon() -> None:
    """The program charges a month in its first interval, the bill where the month's demand arises: the plan never says less tax."""
    rng = np.random.default_rng(5)
    where, ahead = site(group("mine", "s21", rigs=500)), outlook(random_prices(rng, 24), grid(24, 60))
    days = (ahead.grid.start.date() - timedelta(days=1), ahead.grid.end.date())
    for percents in ((2.0, 9.0), (9.0, 2.0)):
        rates = tuple({"from": day, "percent": p, "charges": ["transmission"]} for day, p in zip(days, percents, strict=True))
        beside = (Power(), Transmission(method="ncp", usd_per_kw_year=60.0))
        kit.keeps_the_law(PercentageTax(rates=rates), where, ahead, rng, linear=False, beside=beside)


def test_rigs_stop_where_energy_with_its_tax_costs_more_than_hashing_earns() -> None:
    where = site(group("mine", "s21", rigs=500), loss_factor=1.0178)
    book = (Hashing(), Power(adders_usd_per_mwh=6.0))
    tax = PercentageTax(rates=({**SALES, "from": "2020-01-01", "charges": ["power"]},))
    at = outlook([1.0] * 4)
    without = breakevens_usd_per_mwh(book, program_of(where, book, at, kit.SoFar(at=at.at)))["mine"][0]
    with_tax = breakevens_usd_per_mwh((*book, tax), program_of(where, (*book, tax), at, kit.SoFar(at=at.at)))["mine"][0]
    assert with_tax * 1.0825 + 6.0 * 0.0825 == pytest.approx(without)
    between = outlook([(with_tax + without) / 2] * 4)
    assert plan(where, book, between, kit.SoFar(at=between.at)).load_mw.min() > 1
    assert plan(where, (*book, tax), between, kit.SoFar(at=between.at)).load_mw.max() == pytest.approx(0.0)


def test_the_lines_of_a_plan_add_up_to_its_objective_with_a_taxed_demand_charge() -> None:
    where, ahead = site(group("mine", "s21", rigs=500)), outlook(random_prices(np.random.default_rng(3), 24))
    tax = PercentageTax(rates=({**SALES, "from": "2020-01-01", "charges": ["power", "transmission"]},))
    made = plan(where, (Hashing(), Power(), Transmission(method="ncp", usd_per_kw_year=60.0), tax), ahead, kit.SoFar(at=ahead.at))
    carried = made.lines[("percentage_tax", "transmission_demand_carried")].sum()
    assert carried == pytest.approx(0.0825 * made.lines[("transmission", "demand_carried")].sum()) and carried > 0
    assert not made.findings


def test_a_tax_that_names_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="names in charges or receipts what is taxed"):
        PercentageTax(rates=({"from": "2026-01-01", "percent": 8.25},))
