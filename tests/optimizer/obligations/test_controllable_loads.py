"""Controllable loads under rules that changed: energy at the load's node (NPRR1188), and provisional loads (NPRR1325)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from pydantic import ValidationError

from dispatch.site_file.contract_checks import contract_faults
from markets.facts import Award, CallKind
from markets.grid import Grid
from markets.series import Series
from optimizer.domain.site import Availability
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.ancillary.controllable import Provisional
from optimizer.obligations.block import Block
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.energy_bids import energy_bids
from optimizer.planning.explain import reasons
from optimizer.planning.offer_rows import OfferCase
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from optimizer.solve import Session
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import POINT, actuals, call, group, outlook, site, so_far
from tests.rule_cases import with_market_rules

NODE, HOUR = "RN_MINE", timedelta(hours=1)
WHERE = site(group("a", rigs=1000), group("b", rigs=500), loss_factor=1.02)
LAST_OF_2026 = datetime(2026, 12, 31, 6, tzinfo=UTC)  # midnight in Texas
YEARS_END = Grid.regular(LAST_OF_2026 + 22 * HOUR, LAST_OF_2026 + 26 * HOUR, 60)
FROM_1188 = "ercot.clr.energy_settles_at"


def load(**more):
    return with_market_rules(Ancillary(products=("ECRS",), **more))


def book(contract):
    return (Hashing(), Power(adders_usd_per_mwh=6.15), contract, Plant())


def provisional(**more):
    return load(provisional=Provisional(until=date(2028, 6, 1), study_mw=1.0, **more))


def award(over, mw, usd, market="DAM"):
    return Award(
        source="qse", known_at=over.start - HOUR, obligation="ancillary", product="ECRS", market=market, over=over, mw=mw,
        mcpc_usd_per_mw_h=usd,
    )  # fmt: skip


def priced(ahead, ecrs):
    return replace(ahead, reserve={"ECRS": Series.flat(ahead.grid, ecrs, "usd_per_mw_h")})


# --- energy at the node -------------------------------------------------------------------------------------------------------------------

MWH = {"a": ["2.5", "2.5", "3.0", "1.25"], "b": ["0.5", "0.25", "1.0", "1.5"]}
ZONE, AT_NODE = ["40.10", "41.20", "42.30", "43.40"], ["31.01", "32.02", "-5.03", "634.04"]


def settled(contract, over=YEARS_END, **more):
    prices = {POINT: ZONE, **({NODE: AT_NODE} if contract.node else {})}
    return settle(book(contract), actuals(WHERE, over, MWH, prices, **more))


def test_energy_settles_at_the_zone_on_the_last_day_of_2026_and_at_the_node_from_the_next():
    bill = settled(load(node=NODE))
    drawn = [(D(a) + D(b)) * D("1.02") for a, b in zip(*MWH.values(), strict=True)]
    assert not [line for line in bill.lines if line.name == "power/energy"]
    energy = [line for line in bill.lines if line.name == "ancillary/clr_energy"]
    at_zone, at_node = [line for line in energy if line.price_at == POINT], [line for line in energy if line.price_at == NODE]
    assert [line.amount_usd for line in at_zone] == [-mwh * D(usd) for mwh, usd in zip(drawn[:2], ZONE[:2], strict=True)]
    assert [line.amount_usd for line in at_node] == [-mwh * D(usd) for mwh, usd in zip(drawn[2:], AT_NODE[2:], strict=True)]
    assert all(FROM_1188 in line.rule for line in energy)
    assert "NPRR1188 (approved" in at_node[0].rule and "before NPRR1188" in at_zone[0].rule
    adders = [line.amount_usd for line in bill.lines if line.charge_type == "adders"]
    assert adders == [-mwh * D("6.15") for mwh in drawn]  # a supplier's adders are of all that is drawn


def test_a_purchase_a_day_ahead_stays_at_the_zone():
    bought = replace(award(YEARS_END.over, 2.0, 30.0), obligation="power", product="ENERGY")
    bill = settled(load(node=NODE), awards=(bought,))
    energy = [line.amount_usd for line in bill.lines if line.name == "power/energy"]
    assert energy == [D("2.0") * D(usd) for usd in ZONE]


def test_without_a_node_nothing_changes():
    (lines,) = [[line for line in settled(load()).lines if line.unit == "mwh" and line.charge_type != "adders"]]
    assert len(lines) == 4 and {line.name for line in lines} == {"power/energy"}


def test_a_set_point_deviates_at_the_price_of_the_node():
    told = replace(call("ancillary", YEARS_END.start, None, mw_target=20.0), kind=CallKind.SET_POINT)
    lines = [line for line in settled(load(node=NODE), calls=(told,)).lines if line.charge_type == "set_point_deviation"]
    short = [D("15") - D(a) - D(b) for a, b in zip(*MWH.values(), strict=True)]  # 20 MW less 5 MW of tolerance
    dear = [D(usd) if n < 2 else max(D("20"), D(AT_NODE[n])) for n, usd in enumerate(ZONE)]
    assert [line.amount_usd for line in lines] == [-mwh * usd for mwh, usd in zip(short, dear, strict=True)]


def test_the_plan_stops_at_the_price_of_the_node():
    over = Grid.regular(YEARS_END.start, YEARS_END.end, 60)
    ahead = outlook({POINT: [40, 200, 200, 40], NODE: [200, 40, 40, 200]}, over, hashprice=45.0)
    made = plan(WHERE, book(load(node=NODE)), ahead, so_far(over.start))
    assert [mw > 1 for mw in made.load_mw] == [True, False, True, False]


@pytest.mark.parametrize("seed", range(3))
def test_plan_and_bill_agree_across_the_day_of_the_change(seed):
    rng = np.random.default_rng(seed)
    ahead = outlook({POINT: rng.uniform(-20, 90, 4), NODE: rng.uniform(-20, 90, 4)}, YEARS_END)
    kit.keeps_the_law(load(node=NODE), WHERE, priced(ahead, 5.0), rng, linear=True, beside=(Hashing(), Power()))
    kit.keeps_the_law(provisional(bid_cap_usd_per_mwh=30.0), WHERE, priced(ahead, 5.0), rng, linear=True, beside=(Hashing(), Power()))


def faults(*contracts):
    return [fault.what for fault in contract_faults(WHERE, list(enumerate(contracts)))]


def test_a_check_refuses_what_contradicts_the_node():
    block = Block(mw=3, usd_per_mwh=40)
    assert faults(Power(), load(node=NODE), block) == []
    (told,) = faults(Power(), block, load(node=NODE))
    assert "'block' settles the energy of a, b" in told and "write 'ancillary' before 'block'" in told and FROM_1188 in told
    (told,) = faults(Power(), load(node=POINT))
    assert "settles already" in told
    with pytest.raises(ValidationError, match="interrupted in blocks"):
        Ancillary(products=("ECRS",), kind="nclr", block={"min_mw": 1.0}, node=NODE)


def test_a_block_over_the_same_rigs_is_a_difference_to_its_price():
    held = (Hashing(), Power(), load(node=NODE), Block(mw=3, usd_per_mwh=40), Plant())
    bill = settle(held, actuals(WHERE, YEARS_END, MWH, {POINT: ZONE, NODE: AT_NODE}))
    assert [line.quantity for line in bill.lines if line.name == "block/block_settlement"] == [D(3)] * 4


# --- provisional loads --------------------------------------------------------------------------------------------------------------------

JULY_2026 = Grid.regular(datetime(2026, 7, 11, 3, tzinfo=UTC), datetime(2026, 7, 11, 7, tzinfo=UTC), 60)  # midnight in Texas at 05:00
BARRED = "ercot.pclr.ancillary_services"


EXIT = Grid.regular(datetime(2028, 6, 1, 3, tzinfo=UTC), datetime(2028, 6, 1, 7, tzinfo=UTC), 60)


def sells(contract, over):
    made = plan(WHERE, book(contract), priced(outlook([30.0] * 4, over), 9.0), so_far(over.start))
    return [bool(mw > 1) for mw in made.offers["ECRS"]]


def test_no_reserve_from_the_day_of_the_rule_to_the_exit_date():
    assert sells(provisional(), JULY_2026) == [True, True, False, False]
    assert sells(provisional(), EXIT) == [False, False, True, True]
    assert sells(load(), JULY_2026) == [True, True, True, True]


def test_the_reasons_cite_the_rule_and_its_day():
    made = plan(WHERE, book(provisional()), priced(outlook([30.0] * 4, JULY_2026), 9.0), so_far(JULY_2026.start))
    (told,) = [text for text in reasons(made) if BARRED in text]
    assert "sells no reserve before 2028-06-01" in told and "from 2026-07-11" in told


def test_a_day_ahead_award_is_not_carried_where_the_load_may_not_provide_it():
    contract = provisional()
    awards = [award(YEARS_END.over, 2.0, 7.5), award(YEARS_END.intervals[3], 0.5, 12.0, "RT")]
    known = {"awards": tuple(awards), "reserve_price": {"ECRS": [D("11"), D("11.5"), D("12"), D("99")]}}
    bill = settled(contract, **known)
    sold = [line for line in bill.lines if line.charge_type == "ecrs_imbalance"]
    assert [line.amount_usd for line in sold] == [D("-2") * D("11"), D("-2") * D("11.5"), D("-2") * D("12"), D("-1.5") * D("12")]
    assert all(BARRED in line.rule and "ercot.as.imbalance" in line.rule for line in sold)
    assert sum(line.amount_usd for line in bill.lines if line.charge_type == "ecrs_day_ahead") == D("2") * 4 * D("7.5")
    (free,) = {line.amount_usd for line in settled(load(), **known).lines if line.charge_type == "ecrs_imbalance"}
    assert free == D("-1.5") * D("12")  # a load that may sell carries its award where nobody said otherwise


def test_above_its_capped_bid_it_is_dispatched_down():
    ahead = outlook([20.0, 60.0, 20.0, 60.0], YEARS_END, hashprice=60.0)
    capped = load(lpc_mw=0.7, provisional=Provisional(until=date(2028, 6, 1), study_mw=0.7, bid_cap_usd_per_mwh=50.0))
    made = plan(WHERE, book(capped), ahead, so_far(YEARS_END.start))
    np.testing.assert_allclose(made.load_mw, [5.25, 0.7, 5.25, 0.7], atol=1e-6)
    free = plan(WHERE, book(provisional()), ahead, so_far(YEARS_END.start))
    np.testing.assert_allclose(free.load_mw, 5.25, atol=1e-6)


def test_its_bid_is_at_most_the_cap_and_at_the_node():
    ahead = outlook({POINT: [20.0, 60.0, 20.0, 60.0], NODE: [25.0, 65.0, 25.0, 65.0]}, YEARS_END, hashprice=60.0)
    inside = np.ones(4, dtype=bool)

    def bid(contract):
        case = OfferCase(WHERE, book(contract), ahead, so_far(YEARS_END.start), Availability(), inside)
        (curve,) = energy_bids(case, Session())
        return curve

    free, capped = (
        bid(load(node=NODE)),
        bid(load(node=NODE, provisional=Provisional(until=date(2028, 6, 1), study_mw=1.0, bid_cap_usd_per_mwh=50.0))),
    )
    np.testing.assert_allclose(free.usd[:, 0], free.usd[:, 1], rtol=1e-6)  # what a MWh earns does not depend on its price
    np.testing.assert_allclose(free.usd[:, 2:], free.usd[:, :2], rtol=1e-6)  # nor on the place where it settles
    np.testing.assert_allclose(capped.usd, np.minimum(free.usd, 50.0), rtol=1e-6)
    np.testing.assert_allclose(capped.mw, free.mw)


def test_a_low_power_consumption_above_the_study_is_refused():
    with pytest.raises(ValidationError, match=r"lpc_mw 2 is more than provisional.study_mw 1"):
        Ancillary(products=("ECRS",), lpc_mw=2.0, provisional={"until": "2028-06-01", "study_mw": 1.0})
