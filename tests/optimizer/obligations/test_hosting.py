"""Hosting: tenants with rigs of their own, uptime promised, power passed through, a strike of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from markets.grid import Grid, Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.site import Scope
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.hosting import Hosting, UptimeMemory
from optimizer.obligations.power import Power
from optimizer.planning.explain import breakevens, reasons
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, available, call, grid, group, outlook, random_prices, site, so_far

GUEST = Scope(tenant="guest")


def house(**more):
    """A thousand S21 of the site's own and a thousand of a guest's: 3.5 MW each."""
    return site(group("own", rigs=1000), group("theirs", rigs=1000, tenant="guest"), **more)


def ran(own: list[str], theirs: list[str], prices: list[str], over: Grid | None = None, **more) -> Actuals:
    over = over or grid(len(prices), 60)
    hours = [Decimal(int(s)) / 3600 for s in np.diff(over.edges)]
    mw = {"own": own, "theirs": theirs}
    return Actuals(
        site=house(loss_factor=1.02), grid=over,
        energy_mwh={g: [Decimal(m) * h for m, h in zip(v, hours, strict=True)] for g, v in mw.items()},
        hash_ph_days={g: [Decimal(m) * 200 / Decimal("3.5") * h / 24 for m, h in zip(v, hours, strict=True)] for g, v in mw.items()},
        energy_price={"LZ_WEST": [Decimal(p) for p in prices]}, hashprice=[Decimal(48)] * len(over), **more,
    )  # fmt: skip


def test_the_guests_hash_for_themselves_and_pay_for_power():
    book = (Hashing(), Power(), Hosting(usd_per_mwh=12.0, pass_through=True, strike_usd_per_mwh=90.0, scope=GUEST))
    bill = settle(book, ran(["3.5", "3.5", "0"], ["3.5", "3.5", "3.5"], ["30", "100", "100"]))
    assert bill.totals == {
        ("hashing", "hash_revenue"): Decimal("800.00"),  # of the own rigs alone: 2 h of 200 PH/s at 2 $ a PH/s-hour
        ("power", "energy"): Decimal("-1285.20"),
        ("hosting", "hosting_fee"): Decimal("42.84"),  # under the strike only: 3.57 MWh at 12 $
        ("hosting", "power_passed_through"): Decimal("107.10"),
    }
    alone = settle((Hashing(), Power()), ran(["3.5"], ["3.5"], ["30"]))
    assert alone.totals[("hashing", "hash_revenue")] == Decimal("800.00"), "without an agreement all rigs hash for the site"
    shared = settle((Hashing(), Hosting(usd_per_mwh=12.0, hash_share=0.25, scope=GUEST)), ran(["0"], ["3.5"], ["30"]))
    assert shared.totals[("hosting", "hash_share")] == Decimal("100.00")


def test_the_uptime_of_a_month_is_owed_once_over_many_bills():
    """95 % of 3.5 MW in each hour; what one bill finds missing a later one may find made good."""
    agreement = Hosting(usd_per_mwh=70.0, uptime=0.95, credit_usd_per_mwh=100.0, scope=GUEST)
    first = ran(["0"] * 4, ["3.5", "3.5", "0", "3.5"], ["30"] * 4)
    owed = settle((agreement,), first).totals[("hosting", "uptime_credit")]
    assert owed == Decimal("-280.00")  # 13.3 MWh promised, 10.5 run
    memory = {"hosting": UptimeMemory(run_mwh=10.5, promised_mwh=13.3)}
    second = ran(["0"] * 20, ["3.5"] * 20, ["30"] * 20, grid(20, 60, AT + timedelta(hours=4)), memory=memory)
    assert settle((agreement,), second).totals[("hosting", "uptime_credit")] == Decimal("280.00"), "made good, the credit comes back"
    whole = ran(["0"] * 24, ["3.5", "3.5", "0"] + ["3.5"] * 21, ["30"] * 24)
    assert ("hosting", "uptime_credit") not in settle((agreement,), whole).totals


def test_hours_above_the_strike_are_not_promised():
    agreement = Hosting(usd_per_mwh=70.0, uptime=1.0, credit_usd_per_mwh=100.0, strike_usd_per_mwh=90.0, scope=GUEST)
    bill = settle((agreement,), ran(["0"] * 3, ["3.5", "0", "0"], ["30", "95", "400"]))
    assert ("hosting", "uptime_credit") not in bill.totals


def test_the_plan_stops_a_guest_at_the_guests_own_strike_and_its_own_rigs_at_theirs():
    """Own S21 at 45 $ break even near 107 $/MWh."""
    book = (Hashing(), Power(), Hosting(usd_per_mwh=8.0, pass_through=True, strike_usd_per_mwh=60.0, scope=GUEST))
    made = plan(house(), book, outlook([30.0, 59.0, 61.0, 100.0, 120.0]), so_far())
    assert made.groups["own"].load_mw == pytest.approx([3.5, 3.5, 3.5, 3.5, 0])
    assert made.groups["theirs"].load_mw == pytest.approx([3.5, 3.5, 0, 0, 0])
    assert breakevens(made)["theirs"] == 60.0
    assert breakevens(made)["own"] == pytest.approx(45 / 24 * 200 / 3.5)
    assert any("theirs" in reason and "breakeven of $60.00/MWh" in reason for reason in reasons(made))


def test_a_flat_fee_leaves_the_price_to_the_site():
    """Above its fee the site loses on the guest's megawatts and stops them, unless the promise is dearer."""
    prices = [30.0, 80.0, 80.0, 30.0]
    free = (Power(), Hosting(usd_per_mwh=70.0, scope=GUEST))
    assert plan(house(), free, outlook(prices), so_far()).groups["theirs"].load_mw == pytest.approx([3.5, 0, 0, 3.5])
    assert breakevens(plan(house(), free, outlook(prices), so_far()))["theirs"] == pytest.approx(70.0)
    bound = (Power(), Hosting(usd_per_mwh=70.0, uptime=0.75, credit_usd_per_mwh=15.0, scope=GUEST))
    made = plan(house(), bound, outlook(prices), so_far())
    assert made.groups["theirs"].load_mw.sum() == pytest.approx(3 * 3.5), "as much as was promised, no more"
    cheap = (Power(), Hosting(usd_per_mwh=70.0, uptime=0.75, credit_usd_per_mwh=5.0, scope=GUEST))
    assert plan(house(), cheap, outlook(prices), so_far()).groups["theirs"].load_mw == pytest.approx([3.5, 0, 0, 3.5])


def test_a_guest_is_called_by_name():
    book = (Hashing(), Power(), Hosting(name="guest's", usd_per_mwh=70.0, scope=GUEST))
    told = (call("guest's", AT, AT + timedelta(minutes=30), mw_cap=1.0),)
    made = plan(house(), book, outlook([30.0] * 4), so_far(calls=told))
    assert made.groups["theirs"].load_mw == pytest.approx([1.0, 1.0, 3.5, 3.5])
    assert made.groups["own"].load_mw == pytest.approx([3.5] * 4)


def test_a_floor_that_is_missed_costs_its_uptime_credit():
    """3.5 MW are asked for and 700 of 1,000 rigs are there: 1.05 MW are missing for two hours, at 5 $ a MWh."""
    over = grid(4, 60)
    told = (call("hosting", AT, AT + timedelta(hours=2), mw_target=3.5),)
    contract = Hosting(usd_per_mwh=70.0, uptime=1.0, credit_usd_per_mwh=5.0, scope=GUEST)
    rigs = available(over, own=[1000] * 4, theirs=[700, 700, 1000, 1000])
    made = plan(house(), (Hashing(), Power(), contract), outlook([30.0] * 4, over), so_far(calls=told), rigs)
    (short,) = made.shortfalls
    assert short.promise == "floor hosting" and short.mw == pytest.approx(1.05)
    assert short.usd == pytest.approx(2 * 1.05 * 5.0) == pytest.approx(-made.lines[("hosting", "uptime_credit")].sum())


def test_how_the_month_stands():
    contract = Hosting(usd_per_mwh=12.0, uptime=0.9, credit_usd_per_mwh=5.0, strike_usd_per_mwh=90.0, scope=GUEST)
    memory = contract.remember(contract.memory_type(), ran(["0"] * 4, ["3.5", "3.5", "0", "0"], ["30", "30", "30", "100"]))
    uptime, missing = contract.progress(memory, OperatingDay(Market.ERCOT, AT.date()))
    assert uptime.value == pytest.approx(100 * 2 / 3), "two of the three hours under the strike"
    assert "90 % promised" in uptime.how and missing.value == pytest.approx(0.9 * 3 * 3.5 - 2 * 3.5)


def test_a_price_that_is_missing_is_no_strike_and_no_crash():
    agreement = Hosting(usd_per_mwh=8.0, pass_through=True, strike_usd_per_mwh=60.0, uptime=0.9, credit_usd_per_mwh=10.0, scope=GUEST)
    real = ran(["0"] * 2, ["3.5"] * 2, ["30", "30"])
    gap = replace(real, energy_price={"LZ_WEST": [Decimal(30), Decimal("NaN")]})
    assert settle((agreement,), gap).totals[("hosting", "power_passed_through")] == Decimal("107.10")


KINDS = {
    "a fee": Hosting(usd_per_mwh=70.0, scope=GUEST),
    "passed through": Hosting(usd_per_mwh=8.0, pass_through=True, strike_usd_per_mwh=45.0, hash_share=0.1, scope=GUEST),
    "promised": Hosting(usd_per_mwh=70.0, uptime=0.6, credit_usd_per_mwh=20.0, strike_usd_per_mwh=60.0, mw=4.0, scope=GUEST),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_the_law(kind, seed):
    rng = np.random.default_rng(seed)
    where = site(group("mine", rigs=800, low=True), group("theirs", "s19jpro", rigs=900, tenant="guest", standby=10.0), loss_factor=1.01)
    ahead = outlook(random_prices(rng, 12))
    kit.holds(KINDS[kind], where, ahead, rng, linear=not KINDS[kind].uptime)
    said, paid = kit.keeps_the_law(KINDS[kind], where, ahead, rng, linear=False, beside=(Hashing(pool_fee=0.01), Power()))
    assert said.sum() == pytest.approx(paid.sum(), abs=0.005)
    kit.keeps_the_law(Hashing(pool_fee=0.01), where, ahead, rng, linear=True, beside=(KINDS[kind],))


def test_the_law_over_the_end_of_a_month():
    rng = np.random.default_rng(4)
    start = datetime(2026, 9, 1, 2, tzinfo=UTC)
    over = Grid.regular(start, start + timedelta(hours=8), 60)
    where = house()
    said, paid = kit.keeps_the_law(KINDS["promised"], where, outlook(random_prices(rng, 8), over), rng, linear=False)
    np.testing.assert_allclose(said, paid, atol=0.005)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"usd_per_mwh": 1.0}, "needs a tenant"),
        ({"scope": GUEST, "uptime": 0.9}, "need each other"),
        ({"scope": GUEST, "credit_usd_per_mwh": 5.0}, "need each other"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        Hosting(**options)
