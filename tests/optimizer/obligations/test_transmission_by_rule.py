"""A transmission charge by the method that the rules of each operating day prescribe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from pydantic import ValidationError

from dispatch.site_file.contract_checks import contract_faults
from markets.grid import Grid
from optimizer.domain.own_peak import OwnPeakMemory
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.settlement.peak_record import FullLoad, peak_intervals
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import actuals, group, outlook, site
from tests.rule_cases import with_market_rules

WHERE, HOUR = site(group("g", rigs=1000)), timedelta(hours=1)
METHOD, NEW_LOADS = "ercot.transmission.method", "ercot.transmission.mbd.from_mw"
CHANGE = Grid.regular(datetime(2027, 10, 1, 4, tzinfo=UTC), datetime(2027, 10, 1, 6, tzinfo=UTC), 30)  # midnight in Texas at 05:00
LOAD = ["2.0", "1.5", "3.0", "1.0"]  # MW


def by_rule(**more):
    return with_market_rules(Transmission(method="ercot", usd_per_kw_year=70.0, **more))


BOTH = by_rule(usd_per_kw_year_of={"12cp": 81.59})


def bill(contract, over=CHANGE, shares=None, **more):
    mwh = [D(mw) / 2 for mw in LOAD]
    peaks = {minutes: [D(s) for s in row] for minutes, row in (shares or {}).items()}
    return settle((contract,), actuals(WHERE, over, {"g": mwh}, {"LZ_WEST": ["0"] * 4}, peak_share=peaks, **more)).lines


def test_the_method_changes_with_the_rule_and_the_line_cites_it():
    shares = {15: ["0", "1", "0", "0"], 30: ["0", "0", "1", "0"]}
    before, after = bill(BOTH, shares=shares)
    assert before.amount_usd == -D("1.5") * 70 * 1000 / 4 and after.amount_usd == pytest.approx(-D("3.0") * D("81.59") * 1000 / 12)
    assert all(METHOD in line.rule for line in (before, after))
    assert "16 TAC 25.192" in before.rule and "Project 58000" in after.rule
    assert (before.over, after.over) == (CHANGE.intervals[1], CHANGE.intervals[2])


def test_a_peak_of_january_costs_nothing_before_and_something_after():
    def january(year):
        start = datetime(year, 1, 15, 13, tzinfo=UTC)
        return bill(BOTH, Grid.regular(start, start + 2 * HOUR, 30), {15: ["1", "0", "0", "0"], 30: ["1", "0", "0", "0"]})

    assert january(2027) == ()
    (line,) = january(2028)
    assert line.amount_usd == pytest.approx(-D("2.0") * D("81.59") * 1000 / 12)


def test_a_large_new_load_is_billed_its_minimum_demand_from_the_day_of_the_rule():
    contract = by_rule(new_load=True, contract_mw=80.0, usd_per_kw_year_of={"mbd": 81.59})
    shares = {15: ["0", "1", "0", "0"], 30: ["0"] * 4}
    before, after = bill(contract, shares=shares)
    assert before.charge_type == "coincident_peak" and METHOD in before.rule
    assert after.charge_type == "minimum_demand" and NEW_LOADS in after.rule and after.over == CHANGE.intervals[2]
    assert after.amount_usd == -D("80") * D("81.59") * 1000
    paid = {contract.name: contract.remember(OwnPeakMemory(), actuals(WHERE, CHANGE, {"g": [D(1)] * 4}, {"LZ_WEST": ["0"] * 4}))}
    (again,) = bill(contract, Grid.regular(CHANGE.end, CHANGE.end + 2 * HOUR, 30), memory=paid) or (None,)
    assert again is None  # what is owed of the year is owed once
    small = by_rule(new_load=True, contract_mw=74.0, usd_per_kw_year_of={"12cp": 81.59})
    assert {line.charge_type for line in bill(small, shares={15: ["1", "0", "0", "0"], 30: ["0", "0", "0", "1"]})} == {"coincident_peak"}


LARGE = by_rule(new_load=True, contract_mw=80.0, usd_per_kw_year_of={"mbd": 50.0})


@pytest.mark.parametrize("contract", [BOTH, LARGE], ids=["12cp", "mbd"])
def test_plan_and_bill_agree_on_the_day_of_the_change(contract):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        ahead = outlook(rng.uniform(0, 90, 4), CHANGE)
        kit.keeps_the_law(contract, WHERE, ahead, rng, linear=False, beside=(Hashing(), Power()), exact=True)


def test_a_missing_rate_and_keys_of_other_methods_are_refused():
    (fault,) = contract_faults(WHERE, [(0, by_rule())])
    assert "has no rate for 12cp, by which the rules charge from 2027-10-01 on" in fault.what
    assert fault.where == ("obligations", 0, "usd_per_kw_year_of")
    assert not list(contract_faults(WHERE, [(0, BOTH)]))
    for wrong in ({"method": "4cp", "new_load": True}, {"method": "ercot", "months": [6]}, {"method": "ercot", "new_load": True}):
        with pytest.raises(ValidationError):
            Transmission(usd_per_kw_year=1.0, **wrong)


def test_it_foresees_the_peaks_of_every_method():
    assert BOTH.peak_windows() == (15, 30) and BOTH.memory_days() == 0


def test_a_minimum_demand_is_owed_of_a_year_that_had_begun_before_the_rule():
    """Days before the rule were billed by coincident peaks: nothing of the year's least was billed with them."""
    contract = by_rule(new_load=True, contract_mw=80.0, usd_per_kw_year_of={"mbd": 81.59})
    real = actuals(WHERE, Grid.regular(CHANGE.start - 2 * HOUR, CHANGE.start, 30), {"g": [D(1)] * 4}, {"LZ_WEST": ["0"] * 4})
    before = contract.remember(OwnPeakMemory(), real)
    assert before == OwnPeakMemory()
    after = bill(contract, memory={contract.name: before}, shares={15: ["0"] * 4, 30: ["0"] * 4})
    assert [line.charge_type for line in after] == ["minimum_demand"]


def test_each_peak_is_recorded_by_the_window_that_the_rules_meter_it_by():
    for year, month, minutes in ((2027, 7, 15), (2028, 1, 30)):
        start = datetime(year, month, 15, 13, tzinfo=UTC)
        over = Grid.regular(start, start + timedelta(hours=1), 15)
        ran = actuals(WHERE, over, {"g": [D("0.5")] * 4}, {"LZ_WEST": ["0"] * 4})
        full = FullLoad({"g": np.full(4, 0.5)}, {"g": np.zeros(4)}, {"g": np.full(4, 60.0)})
        rows = peak_intervals((BOTH,), ran, full, ())
        assert {row.window for row in rows} == {minutes} and len(rows) == 60 // minutes


def test_rules_of_methods_bind_only_who_follows_them():
    own = with_market_rules(Transmission(method="4cp", usd_per_kw_year=70.0))
    assert not own.is_bound_by(METHOD) and BOTH.is_bound_by(METHOD)
    assert not BOTH.is_bound_by(NEW_LOADS) and LARGE.is_bound_by(NEW_LOADS)
