"""Shares of what services pay: exact in the bill, weighed in the plan, dated, and refused where they name nothing."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import pytest
from pydantic import ValidationError

from markets.grid import Market, OperatingDay
from optimizer.domain.billing import remember
from optimizer.domain.money import Line
from optimizer.obligations.ers.contract import Ers
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.load_management import LoadManagement
from optimizer.obligations.power import Power
from optimizer.obligations.pra import Pra
from optimizer.obligations.revenue_share import RevenueShare, ShareMemory
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, actuals, group, outlook, random_prices, site
from tests.rule_cases import with_market_rules

PAID = LoadManagement(
    program="tdu", mw=1.5, usd_per_kw=40.0, season={"name": "all", "months": tuple(range(1, 13)), "hours": tuple(range(24))}
)
RATES = (
    {"from": "2026-03-01", "shares": {"load_management": 0.15, "power/adders": 0.5}},
    {"from": "2026-08-20", "shares": {"load_management": 0.1}},
)


def lines(on: date, *book: object) -> list[Line]:
    over = OperatingDay(Market.ERCOT, on).grid(60)
    real = actuals(site(group("g")), over, {"g": ["1"] * len(over)}, {POINT: ["20"] * len(over)})
    return list(settle(book, real).lines)


@pytest.mark.parametrize(("on", "share"), [(date(2026, 8, 19), "0.15"), (date(2026, 8, 20), "0.1")])
def test_the_share_of_the_day_is_kept_of_every_charge_of_the_service(on: date, share: str) -> None:
    found = lines(on, PAID, RevenueShare(name="qse", rates=RATES))
    paid = [line for line in found if line.obligation == "load_management"]
    kept = [line for line in found if line.obligation == "qse"]
    assert [(k.charge_type, k.quantity, k.rate) for k in kept] == [
        ("load_management_load_management", p.amount_usd, -D(share)) for p in paid
    ]
    paid_usd, kept_usd = (sum((line.amount_usd for line in some), D(0)) for some in (paid, kept))
    assert paid_usd > 100 and abs(kept_usd + D(share) * paid_usd) < D("1e-20")


def test_nothing_is_kept_before_the_first_rate_and_a_charge_type_goes_before_its_contract() -> None:
    assert {line.obligation for line in lines(date(2026, 2, 28), PAID, RevenueShare(rates=RATES))} == {"load_management"}
    rates = ({"from": "2026-03-01", "shares": {"power": 0.25, "power/adders": 0.5}},)
    found = lines(date(2026, 8, 19), RevenueShare(rates=rates), Power(adders_usd_per_mwh=6.0))
    assert {line.charge_type: line.rate for line in found if line.obligation == "revenue_share"} == {
        "power_energy": D("-0.25"),
        "power_adders": D("-0.5"),
    }


def test_what_factors_cut_from_ers_is_cut_from_the_share() -> None:
    """ERS bills the factors of a term as one line over the day: its share is taken of that line as well."""
    periods = ({"name": "one", "months": (9,), "hours": tuple(range(24))},)
    ers = with_market_rules(Ers(product="ERS-30", mw=1.5, rest_available=0.9, max_base_load_mw=0.0, usd_per_mw_hour=7.25, periods=periods))
    found = lines(date(2026, 9, 30), RevenueShare(rates=({"from": "2026-01-01", "shares": {"ers": 0.2}},)), ers)
    paid = sum((line.amount_usd for line in found if line.obligation == "ers"), D(0))
    kept = sum((line.amount_usd for line in found if line.obligation == "revenue_share"), D(0))
    assert any(line.charge_type == "ers_factors" for line in found) and kept == -D("0.2") * paid


def test_the_share_of_an_unknown_charge_is_unknown() -> None:
    over = OperatingDay(Market.MISO, date(2026, 8, 20)).grid(60)
    where = site(group("g"), market=Market.MISO)
    real = actuals(where, over, {"g": ["1"] * len(over)}, {POINT: ["20"] * len(over)})
    capacity = with_market_rules(Pra(zone=1))
    bill = settle((capacity, RevenueShare(name="csp", rates=({"from": "2026-01-01", "shares": {"pra": 0.1}},))), real)
    own = [charge for charge in bill.unknown if charge.obligation == "pra"]
    assert own and [c.why for c in bill.unknown if c.obligation == "csp"] == [f"{c.name} is unknown" for c in own]


def test_plan_and_bill_keep_the_same_share() -> None:
    rng = np.random.default_rng(7)
    where, ahead = site(group("mine", "s21", rigs=500)), outlook(random_prices(rng, 24))
    contract = RevenueShare(rates=({"from": "2020-01-01", "shares": {"load_management": 0.15, "power": 0.02}},))
    said, paid = kit.keeps_the_law(contract, where, ahead, rng, linear=True, beside=(Power(adders_usd_per_mwh=6.15), PAID))
    assert said.any() and paid.any()
    kit.speaks_for_itself(contract, where, ahead, rng)


@pytest.mark.parametrize("least", [900.0, 300.0], ids=["the fee is more", "the shares are more"])
def test_a_month_comes_to_the_higher_of_shares_and_least_fee(least: float) -> None:
    """Day by day through a month with a change of clocks; on the tenth nobody ran the site, and nothing of that day is asked for."""
    rates = ({"from": "2026-01-01", "shares": {"load_management": 0.15}, "least_usd_per_month": least},)
    where, book = site(group("g")), (RevenueShare(rates=rates), PAID)
    total, memory = D(0), {}
    for on in (date(2026, 3, 1) + timedelta(days=n) for n in range(31)):
        over = OperatingDay(Market.ERCOT, on).grid(60)
        gaps = frozenset(range(len(over))) if on.day == 10 else frozenset()
        real = actuals(where, over, {"g": ["1"] * len(over)}, {POINT: ["20"] * len(over)}, memory=memory, gaps=gaps)
        total -= sum((line.amount_usd for line in settle(book, real).of("revenue_share")), D(0))
        memory = remember(book, memory, real)
    share = 1 - D(24) / D(743)
    wanted = max(D(str(least)) * share, D("0.15") * 60000 * D(719) / 8760)
    assert abs(total - wanted) < D("1e-6")
    assert memory["revenue_share"].least_usd == pytest.approx(float(D(str(least)) * share))


def test_plan_and_bill_count_the_least_fee_alike() -> None:
    rng = np.random.default_rng(3)
    where, ahead = site(group("mine", "s21", rigs=500)), outlook(random_prices(rng, 24))
    rates = ({"from": "2020-01-01", "shares": {"hashing": 0.05}, "least_usd_per_month": 5000.0},)
    contract, state = (
        RevenueShare(rates=rates),
        kit.SoFar(at=ahead.at, memory={"revenue_share": ShareMemory(kept_usd=20.0, least_usd=40.0)}),
    )
    said, _ = kit.keeps_the_law(contract, where, ahead, rng, linear=False, exact=True, beside=(Hashing(), Power()), state=state)
    assert said.any()


def test_a_service_that_pays_too_little_after_the_share_is_not_sold() -> None:
    """Hashing passed on by a pool's agent: with 60 % kept, energy at 60 $/MWh costs more than what is left."""
    where, ahead = site(group("mine", "s21", rigs=500)), outlook([60.0] * 8)
    book = (Hashing(), Power(), RevenueShare(rates=({"from": "2020-01-01", "shares": {"hashing": 0.6}},)))
    assert plan(where, book[:2], ahead, kit.SoFar(at=ahead.at)).load_mw.min() > 1
    kept = plan(where, book, ahead, kit.SoFar(at=ahead.at))
    assert kept.load_mw.max() == pytest.approx(0.0)
    assert not kept.findings


def test_a_share_of_no_contract_and_of_a_circle_is_refused() -> None:
    where = site(group("g"))
    lost = RevenueShare(rates=({"from": "2026-01-01", "shares": {"ers": 0.1}},))
    (fault,) = lost.check_site(where, (PAID, lost))
    assert fault.text == "there is no contract named 'ers'; the book has load_management, revenue_share"
    one = RevenueShare(name="one", rates=({"from": "2026-01-01", "shares": {"two": 0.1}},))
    two = replace_name(one, "two", {"one": 0.1})
    assert [f.text for f in one.check_site(where, (one, two))] == [
        "'two' is charged on 'one', which is charged on it: one of the two must go"
    ]
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        RevenueShare(rates=({"from": "2026-01-01", "shares": {"ers": 1.1}},))


def test_a_share_of_a_charge_that_its_contract_does_not_have_is_refused() -> None:
    """A mistyped charge matched nothing, and the agent's share was missing without a word."""
    where = site(group("g"))
    rates = ({"from": "2026-01-01", "shares": {"power/adder": 0.1, "power/energy": 0.1}},)
    (fault,) = RevenueShare(rates=rates).check_site(where, (Power(), RevenueShare(rates=rates)))
    assert fault.text.startswith("'power' has no charge 'adder'; it has energy, ")


@pytest.mark.parametrize("contract", entry_points(group="optimizer.obligations"), ids=lambda entry: entry.name)
def test_every_contract_with_money_of_its_own_names_its_charges(contract: EntryPoint) -> None:
    assert bool(contract.load().charge_types) is (contract.name not in ("plant", "transition", "revenue_share", "percentage_tax"))


def replace_name(one: RevenueShare, name: str, shares: dict[str, float]) -> RevenueShare:
    return RevenueShare(name=name, rates=tuple({"from": rate.from_, "shares": shares} for rate in one.rates))
