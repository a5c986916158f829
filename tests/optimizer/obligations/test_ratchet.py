"""A ratchet bills a month by a share of past months' demands: from what the site remembers, and from the contract for the time before."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import ValidationError

from markets.grid import Grid, Market, OperatingDay
from optimizer.domain.billing import remember
from optimizer.domain.memory import Memory
from optimizer.domain.own_peak import OwnPeakMemory
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, actuals, group, outlook, random_prices, site, so_far

JUNE, JULY = 2026 * 12 + 5, 2026 * 12 + 6
WHERE = site(group("g", rigs=5000), market=Market.TARIFF)


def charge(ratchet: dict[str, object], **more: object) -> Transmission:
    """$1 a kilowatt and month."""
    return Transmission(method="ncp", usd_per_kw_year=12.0, interval_min=60, ratchet=ratchet, **more)


def day_of(on: date, mw: str, memory: dict[str, Memory] | None = None):
    over = OperatingDay(Market.TARIFF, on).grid(60)
    return actuals(WHERE, over, {"g": [mw] * len(over)}, {POINT: ["40"] * len(over)}, memory=memory or {})


def billed_mw(contract: Transmission, days: list[tuple[date, str]]) -> list[D]:
    """The demand that each day bills, in a row of days."""
    memory: dict[str, Memory] = {}
    found = []
    for on, mw in days:
        real = day_of(on, mw, memory)
        found.append(-settle((contract,), real).net_usd / 1000)
        memory = remember((contract,), memory, real)
    return found


def test_a_month_is_billed_a_share_of_the_highest_month_before() -> None:
    days = [(date(2026, 6, 3), "10"), (date(2026, 6, 9), "4"), (date(2026, 7, 1), "3"), (date(2026, 7, 2), "9"), (date(2026, 8, 1), "1")]
    # July: 80 % of 10 MW in its first bill, then the raise to 9 MW; August: 80 % of the highest, June's.
    assert billed_mw(charge({"share": 0.8}), days) == [10, 0, 8, 1, 8]


def test_demands_before_the_ledger_come_from_the_contract_and_go_before_it() -> None:
    past = {"share": 0.5, "past_mw": {"2025-08": 14.0, "2025-07": 99.0, "2026-06": 12.0}}
    assert billed_mw(charge(past), [(date(2026, 6, 3), "10"), (date(2026, 7, 1), "3")]) == [D("49.5"), 7]
    # In July 2026 the 99 MW of July 2025 are twelve months old; August's 14 MW count, and June goes by 12 MW.


def test_only_the_months_that_count_and_no_older_ones() -> None:
    days = [(date(2026, 5, 3), "20"), (date(2026, 6, 3), "10"), (date(2026, 9, 1), "2"), (date(2026, 10, 1), "2")]
    assert billed_mw(charge({"share": 0.8, "months": [6, 7, 8, 9], "months_back": 3}), days) == [20, 10, 8, 2]


def test_the_contracted_demand_holds_beside_it() -> None:
    days = [(date(2026, 6, 3), "10"), (date(2026, 7, 1), "3")]
    assert billed_mw(charge({"share": 0.5}, contract_mw=7.0), days) == [10, 7]


def test_the_line_cites_the_ratchet_and_the_progress_says_what_is_billed() -> None:
    contract = charge({"share": 0.8})
    memory = {"transmission": OwnPeakMemory(period=JUNE, own_peak_mw=10.0)}
    (line,) = settle((contract,), day_of(date(2026, 7, 1), "3", memory)).lines
    assert line.rule.endswith("; at least 0.8 of the highest demand of the 11 months before (ratchet)")
    after = remember((contract,), memory, day_of(date(2026, 7, 1), "3"))["transmission"]
    assert isinstance(after, OwnPeakMemory) and (after.period, after.own_peak_mw, dict(after.past_mw)) == (JULY, 3.0, {JUNE: 10.0})
    (told,) = contract.progress(after, OperatingDay(Market.TARIFF, date(2026, 7, 1)))
    assert told.how.endswith("at least 8 MW are billed")
    assert OwnPeakMemory.from_json(after.to_json()) == after


def test_load_under_the_ratchet_costs_a_plan_nothing_and_above_it_the_rate() -> None:
    """17.5 MW of rigs whose four hours earn less than their part of a new megawatt of demand costs: they stop at the ratchet."""
    start = datetime(2026, 7, 1, 5, tzinfo=ZoneInfo("UTC"))
    ahead = outlook([105.0] * 4, Grid.regular(start, start.replace(hour=9), 60))
    contract = charge({"share": 0.5, "past_mw": {"2026-06": 20.0}}).model_copy(update={"usd_per_kw_year": 120.0})
    made = plan(WHERE, (Hashing(), Power(), contract), ahead, so_far(start))
    np.testing.assert_allclose(made.load_mw, 10.0, atol=1e-6)


def test_plan_and_bill_count_the_ratchet_alike() -> None:
    rng = np.random.default_rng(5)
    where, ahead = site(group("mine", "s21", rigs=500)), outlook(random_prices(rng, 24))
    contract = charge({"share": 0.9, "past_mw": {"2026-07": 1.4}})
    kit.keeps_the_law(contract, where, ahead, rng, linear=False, exact=True, beside=(Power(),))


def test_a_ratchet_of_another_method_and_a_month_that_is_none_are_refused() -> None:
    with pytest.raises(ValidationError, match="ratchet does not apply to 4cp"):
        Transmission(method="4cp", usd_per_kw_year=12.0, ratchet={"share": 0.8})
    with pytest.raises(ValidationError, match="should match pattern"):
        charge({"share": 0.8, "past_mw": {"2026-13": 4.0}})
