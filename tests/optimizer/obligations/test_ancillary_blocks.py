"""A load that is interrupted in blocks: what it may sell, how far it drops, and what two failures cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from markets.grid import Grid, Interval, Market, OperatingDay
from optimizer.obligations.ancillary.blocks import ReserveBlock, ReserveMemory
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, POINT, actuals, call, grid, group, outlook, random_prices, site, so_far
from tests.optimizer.obligations.test_ancillary import reserves
from tests.rule_cases import with_market_rules

BOOK = (Hashing(), Power(), Plant())
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FULL = 3.5


def blocks(products=("ECRS",), **block):
    return with_market_rules(Ancillary(kind="nclr", products=products, block=ReserveBlock(min_mw=1.0, **block)))


def planned(contract, n=16, usd=20.0, **state):
    ahead = reserves(outlook([20.0] * n), ECRS=usd)
    return plan(site(group("g", "s21")), (*BOOK, contract), ahead, so_far(**state))


def drop(start, end, mw=1.0, id_="c1"):
    return call("ancillary", start, end, id_=id_, mw_delta=mw)


def test_an_instruction_is_met_and_not_overdone():
    """2 MW of 3.5: at most 1.5 MW remain, and no less than 150 % leaves, 0.5 MW, also where hashing loses money."""
    contract, over = blocks(), Interval(AT, AT + 15 * MINUTE)
    before = ReserveMemory(load_before_mw={"c1": FULL})
    told = (drop(AT, AT + HOUR, 2.0),)
    bounds = contract.bounds(site(group("g", "s21")), before, told, over)
    assert (bounds.cap_mw, bounds.floor_mw, bounds.firm) == (1.5, 0.5, True)
    ahead = reserves(outlook([500.0] * 8), ECRS=20.0)
    made = plan(site(group("g", "s21")), (*BOOK, contract), ahead, so_far(calls=told, memory={"ancillary": before}))
    np.testing.assert_allclose(made.load_mw, [0.5] * 4 + [0.0] * 4, atol=1e-6)
    capped = (*told, call("ancillary", AT, AT + HOUR, id_="c2", mw_cap=0.2))
    assert contract.bounds(site(group("g", "s21")), before, capped, over).floor_mw == 0.0, "a cap names no reduction to overdo"


def test_once_interrupted_it_stays_down_for_its_least_time():
    contract, where = blocks(min_interruption_min=60), site(group("g", "s21"))
    told, before = (drop(AT, AT + 15 * MINUTE, FULL),), ReserveMemory(load_before_mw={"c1": FULL})
    assert contract.bounds(where, before, told, Interval(AT + 45 * MINUTE, AT + HOUR)).cap_mw == 0.0
    assert contract.bounds(where, before, told, Interval(AT + HOUR, AT + 2 * HOUR)).cap_mw == float("inf")
    recall = replace(told[0], version=2, kind="recall", start_at=AT + 5 * MINUTE, end_at=None)
    assert contract.bounds(where, before, (*told, recall), Interval(AT + 45 * MINUTE, AT + HOUR)).cap_mw == 0.0


def test_what_was_interrupted_sells_nothing_until_it_is_restored():
    made = planned(blocks(min_restoration_min=60), calls=(drop(AT + HOUR, AT + 90 * MINUTE, 1.0),), memory={"ancillary": ReserveMemory()})
    sold = [o > 0 for o in made.offers["ECRS"]]
    assert sold == [True] * 4 + [False] * 6 + [True] * 6


def test_deployments_of_a_day_and_of_seven_days_are_counted():
    early = ReserveMemory(deployed=tuple(AT - k * HOUR for k in (2, 3)))
    assert planned(blocks(max_daily_deployments=3), memory={"ancillary": early}).offers["ECRS"].min() > 3.4
    assert planned(blocks(max_daily_deployments=2), memory={"ancillary": early}).offers["ECRS"].max() == 0.0
    week = ReserveMemory(deployed=tuple(AT - timedelta(days=k) for k in (2, 6)))
    assert planned(blocks(max_daily_deployments=2), memory={"ancillary": week}).offers["ECRS"].min() > 3.4
    assert planned(blocks(max_weekly_deployments=2), memory={"ancillary": week}).offers["ECRS"].max() == 0.0
    nearly = ReserveMemory(deployed=(AT - timedelta(days=7) + 2 * HOUR, week.deployed[0]))
    sold = planned(blocks(max_weekly_deployments=2), memory={"ancillary": nearly}).offers["ECRS"]
    assert sold[7] == 0.0 and sold[9] > 3.4, "the older one has left the seven days"


def followed(contract, mwh, told, memory=None, start=AT):
    """The memory after quarter hours of these MWh."""
    over = Grid.regular(start, start + 15 * MINUTE * len(mwh), 15)
    return contract.remember(
        memory or ReserveMemory(), actuals(site(group("g", "s21")), over, {"g": mwh}, {POINT: [20] * len(mwh)}, calls=told)
    )


@pytest.mark.parametrize(
    ("load_mw", "strike"),
    [(2.55, False), (2.56, True), (2.0, False), (1.99, True), (3.5, True)],
    ids=["95 %", "94 %", "150 %", "151 %", "none"],
)
def test_the_band_is_judged_on_the_meter_before(load_mw, strike):
    """1 MW of 3.5 asked for: from ten minutes on, whole quarter hours."""
    told = (drop(AT + 15 * MINUTE, AT + HOUR),)
    memory = followed(blocks(), [FULL / 4, FULL / 4, load_mw / 4, load_mw / 4, FULL / 4], told)
    assert memory.strikes == ((told[0].start_at,) if strike else ())
    assert memory.deployed == (told[0].start_at,) and memory.open == {} and memory.before_mw == FULL


def test_an_instruction_over_several_hours_is_judged_at_its_end():
    contract, told = blocks(), (drop(AT + 45 * MINUTE, AT + 2 * HOUR),)
    memory = followed(contract, [FULL / 4] * 4, told)
    assert memory.strikes == () and list(memory.open) == ["c1"]
    memory = followed(contract, [2.5 / 4] * 3 + [3.5 / 4], told, memory, AT + HOUR)
    assert len(memory.strikes) == 1, "0.75 of 1 MW on average"
    fine = followed(contract, [2.5 / 4] * 4, told, followed(contract, [FULL / 4] * 4, told), AT + HOUR)
    assert fine.strikes == ()


def test_two_strikes_in_a_year_disqualify_and_are_told():
    def struck(*days_ago):
        return {"ancillary": ReserveMemory(strikes=tuple(sorted(AT - timedelta(days=d) for d in days_ago)))}

    out = planned(blocks(), memory=struck(10, 300))
    assert out.offers["ECRS"].max() == 0.0
    assert any("disqualified" in r and "10 Aug 2026" in r for r in reasons(out))
    warned = planned(blocks(), memory=struck(10, 366))
    assert warned.offers["ECRS"].min() > 3.4 and any("one more disqualifies" in r for r in reasons(warned))
    assert not any("instructions of" in r for r in reasons(planned(blocks())))
    (score,) = blocks().progress(struck(10, 300, 400)["ancillary"], OperatingDay(Market.ERCOT, AT.date()))
    assert (score.value, score.unit) == (2, "strikes")


def test_a_failed_instruction_is_a_finding_and_the_second_disqualifies():
    told, day = (drop(AT + 15 * MINUTE, AT + HOUR),), OperatingDay.of(Market.ERCOT, AT)
    for before, kinds in ((ReserveMemory(), ["strike"]), (ReserveMemory(strikes=(AT - timedelta(days=300),)), ["strike", "disqualified"])):
        after = followed(blocks(), [FULL / 4] * 5, told, before)
        found = list(blocks().findings(before, after, day))
        assert [f.kind for f in found] == kinds
        assert "20 Aug 2026" in found[0].text and "was not followed within 95 to 150 % of it" in found[0].text
        assert list(blocks().findings(after, after, day)) == found[1:], "told once, the disqualification as long as it holds"
    assert "2 failed instructions within 365 days disqualify it" in found[1].text


def test_what_each_kind_of_load_may_sell():
    for bad, words in (
        ({"kind": "nclr", "products": ("REGUP",), "block": ReserveBlock(min_mw=1)}, "REGUP is not sold by a load of kind 'nclr'"),
        ({"kind": "nclr", "products": ("RRS",), "block": ReserveBlock(min_mw=1)}, "RRS is not sold"),
        ({"products": ("RRSUFR",), "relay": True}, "RRSUFR is not sold by a load of kind 'clr'"),
        ({"products": ("RRSFFR",)}, "relay = true"),
        ({"kind": "nclr", "products": ("ECRS",)}, "the one needs the other"),
        ({"products": ("ECRS",), "block": ReserveBlock(min_mw=1)}, "the one needs the other"),
    ):
        with pytest.raises(ValidationError, match=words):
            Ancillary(**bad)


def test_what_a_relay_carries_is_paid_as_responsive_reserve():
    contract = with_market_rules(Ancillary(kind="nclr", products=("RRSUFR", "ECRS"), relay=True, block=ReserveBlock(min_mw=1.0)))
    made = plan(site(group("g", "s21")), (*BOOK, contract), reserves(outlook([20.0] * 4), RRS=30.0, ECRS=5.0), so_far())
    np.testing.assert_allclose(made.offers["RRSUFR"], FULL, atol=1e-6)
    assert made.lines[("ancillary", "rrsufr_imbalance")].sum() == pytest.approx(FULL * 30.0)


def test_the_law_of_blocks():
    rng = np.random.default_rng(4)
    over = grid(12)
    ahead = reserves(outlook(random_prices(rng, len(over)), over), ECRS=rng.uniform(0, 60, len(over)))
    kit.holds(blocks(hours=2), site(group("g", "s21", rigs=800, low=True)), ahead, rng, linear=True)


def test_a_gap_in_the_meter_strikes_nobody():
    told = (drop(AT + 15 * MINUTE, AT + HOUR),)
    memory = followed(blocks(), [FULL / 4, "NaN", "NaN", "NaN", FULL / 4], told)
    assert memory.strikes == ()
    assert memory.deployed[0] == told[0].start_at
