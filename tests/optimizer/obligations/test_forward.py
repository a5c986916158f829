"""Hashrate forwards: a constant in cash, a duty when delivered."""

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
from optimizer.obligations.forward import DeliveryMemory, Forward
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.power import Power
from optimizer.planning.plan import plan
from optimizer.settlement.settle import settle
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, available, call, grid, group, outlook, random_prices, site, so_far

MIDNIGHT = datetime(2026, 8, 20, tzinfo=UTC)


def hashed(ph: list[str], over: Grid, index: str = "43.85", **more) -> Actuals:
    days = [Decimal(int(s)) / 86400 for s in np.diff(over.edges)]
    nothing = [Decimal(0)] * len(over)
    return Actuals(
        site=site(group("g", rigs=1000)), grid=over, energy_mwh={"g": nothing}, energy_price={"LZ_WEST": nothing},
        hash_ph_days={"g": [Decimal(p) * d for p, d in zip(ph, days, strict=True)]}, hashprice=[Decimal(index)] * len(over), **more,
    )  # fmt: skip


def day(hours: int = 24, start: datetime = MIDNIGHT) -> Grid:
    return Grid.regular(start, start + timedelta(hours=hours), 60)


def test_a_forward_in_cash_is_its_difference_to_the_index():
    """EX-8 of docs/rules.md: seller of 50 PH/s at 47.00, index 43.85: +157.50 a day, whatever was hashed."""
    contract = Forward(ph=50, usd_per_ph_day=47.0, delivery="cash")
    for ph in ("0", "200"):
        assert settle((contract,), hashed([ph] * 24, day())).net_usd == Decimal("157.50")


def test_delivery_is_the_average_of_the_utc_day():
    contract = Forward(ph=100, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0)
    enough = hashed(["200"] * 12 + ["0"] * 12, day())
    assert settle((contract,), enough).net_usd == Decimal("315.00")
    half = hashed(["100"] * 12 + ["0"] * 12, day())
    # 50 PH/s-days short: damages of 5, and no gain of 3.15 on them.
    assert settle((contract,), half).totals == {
        ("forward", "forward_price"): Decimal("315.00"), ("forward", "forward_shortfall"): Decimal("-407.50"),
    }  # fmt: skip
    under_water = hashed(["100"] * 12 + ["0"] * 12, day(), index="50")
    assert settle((contract,), under_water).totals[("forward", "forward_shortfall")] == Decimal("-250.00")
    hourly = Forward(ph=100, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0, delivery="hourly")
    assert settle((hourly,), enough).totals[("forward", "forward_shortfall")] == Decimal("-407.50")


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 23))
def test_bills_of_two_parts_of_a_day_add_up_to_the_days(seed, cut):
    """An operating day ends inside a UTC day: the rest of it is billed with the next one, from what is remembered."""
    rng = np.random.default_rng(seed)
    contract = Forward(ph=100, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0)
    ph = [str(n) for n in rng.integers(0, 250, 24)]
    whole = settle((contract,), hashed(ph, day())).net_exact_usd
    first = settle((contract,), hashed(ph[:cut], day(cut))).net_exact_usd
    had = sum(Decimal(p) for p in ph[:cut]) / 24
    memory = {"forward": DeliveryMemory(delivered_ph_days=float(had), needed_ph_days=100 * cut / 24)}
    rest = settle((contract,), hashed(ph[cut:], day(24 - cut, MIDNIGHT + timedelta(hours=cut)), memory=memory)).net_exact_usd
    assert abs(first + rest - whole) < Decimal("1e-9")


def test_a_gap_is_neither_counted_nor_asked_for():
    contract = Forward(ph=100, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0)
    real = hashed(["100"] * 24, day())
    gap = replace(real, hash_ph_days={"g": [Decimal("NaN") if n == 7 else v for n, v in enumerate(real.hash_ph_days["g"])]})
    assert not [line for line in settle((contract,), gap).lines if line.charge_type == "forward_shortfall" and line.amount_usd]


def test_the_plan_delivers_in_the_cheapest_hours():
    """200 PH/s of S21 for 100 sold: half of the day, and at a loss only as far as damages are dearer."""
    where = site(group("g", rigs=1000))
    over = day()
    prices = [200.0 + n for n in range(24)]  # a PH/s-day at 17.5 J/TH draws 0.42 MWh: 84 $ and more against 45
    book = (Hashing(), Power(), Forward(ph=100, usd_per_ph_day=45.0, damages_usd_per_ph_day=60.0))
    made = plan(where, book, outlook(prices, over), so_far(MIDNIGHT))
    on = made.load_mw > 3.4
    assert on[:12].all() and not made.load_mw[12:].any()
    assert made.lines[("forward", "forward_shortfall")] == pytest.approx([0] * 24, abs=1e-6)
    cheap = (Hashing(), Power(), Forward(ph=100, usd_per_ph_day=45.0, damages_usd_per_ph_day=30.0))
    assert not plan(where, cheap, outlook(prices, over), so_far(MIDNIGHT)).load_mw.any()
    hourly = (Hashing(), Power(), Forward(ph=100, usd_per_ph_day=45.0, damages_usd_per_ph_day=90.0, delivery="hourly"))
    assert plan(where, hourly, outlook(prices, over), so_far(MIDNIGHT)).load_mw == pytest.approx([1.75] * 24)


def test_what_was_delivered_before_the_plan_counts():
    where = site(group("g", rigs=1000))
    rest = day(12, MIDNIGHT + timedelta(hours=12))
    book = (Hashing(), Power(), Forward(ph=100, usd_per_ph_day=45.0, damages_usd_per_ph_day=60.0))
    had = so_far(rest.start, memory={"forward": DeliveryMemory(delivered_ph_days=100.0, needed_ph_days=50.0)})
    assert not plan(where, book, outlook([200.0] * 12, rest), had).load_mw.any()
    none = so_far(rest.start, memory={"forward": DeliveryMemory(delivered_ph_days=0.0, needed_ph_days=50.0)})
    assert plan(where, book, outlook([200.0] * 12, rest), none).load_mw == pytest.approx([3.5] * 12)


def test_a_floor_that_is_missed_costs_what_the_forward_owes():
    """100 PH/s sold, and a called floor of 1.75 MW for them: 300 rigs are left, 60 PH/s. 40 PH/s are missing for four hours."""
    over = grid(4, 60)
    contract = Forward(ph=100, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0, delivery="hourly")
    told = (call("forward", AT, AT + timedelta(hours=4), mw_target=1.75),)
    made = plan(
        site(group("g", rigs=1000)), (Hashing(), Power(), contract), outlook([30.0] * 4, over, hashprice=43.85), so_far(calls=told),
        available(over, g=[300] * 4),
    )  # fmt: skip
    (short,) = made.shortfalls
    assert short.promise == "floor forward" and short.mw == pytest.approx(0.7)
    assert short.usd == pytest.approx(40 * 4 / 24 * (5.0 + 47.0 - 43.85))


def test_what_was_delivered_so_far():
    contract = Forward(ph=100, usd_per_ph_day=47.0)
    memory = contract.remember(contract.memory_type(), hashed(["200"] * 3 + ["0"] * 3, day(6)))
    (score,) = contract.progress(memory, OperatingDay(Market.ERCOT, MIDNIGHT.date()))
    assert (score.value, score.unit) == (pytest.approx(25.0), "PH/s-days") and "of 25 PH/s-days" in score.how
    assert not list(
        Forward(ph=100, usd_per_ph_day=47.0, delivery="cash").progress(DeliveryMemory(), OperatingDay(Market.ERCOT, MIDNIGHT.date()))
    )


def test_a_forward_in_cash_decides_nothing():
    where = site(group("g", rigs=1000), group("h", "s19jpro"))
    prices = random_prices(np.random.default_rng(3), 24)
    alone = plan(where, (Hashing(), Power()), outlook(prices), so_far())
    sold = plan(where, (Hashing(), Power(), Forward(ph=500, usd_per_ph_day=40.0, delivery="cash")), outlook(prices), so_far())
    assert np.array_equal(alone.load_mw, sold.load_mw)


WINDOW = {"from": AT + timedelta(minutes=20), "to": AT + timedelta(minutes=100)}
KINDS = {
    "cash": Forward(ph=50, usd_per_ph_day=47.0, delivery="cash"),
    "cash for a while": Forward(ph=50, usd_per_ph_day=47.0, delivery="cash", **WINDOW),
    "daily": Forward(ph=200, usd_per_ph_day=47.0, damages_usd_per_ph_day=8.0),
    "daily for a while": Forward(ph=200, usd_per_ph_day=47.0, **WINDOW),
    "hourly": Forward(ph=150, usd_per_ph_day=30.0, damages_usd_per_ph_day=8.0, delivery="hourly"),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_the_law(kind, seed):
    rng = np.random.default_rng(seed)
    where = site(group("mine", rigs=800, low=True, standby=10.0), group("old", "s19jpro", rigs=900))
    ahead = outlook(random_prices(rng, 12), hashprice=float(rng.uniform(20, 80)))
    kit.holds(KINDS[kind], where, ahead, rng, linear=KINDS[kind].delivery == "cash")
    said, paid = kit.keeps_the_law(KINDS[kind], where, ahead, rng, linear=False, beside=(Hashing(),))
    assert said.sum() == pytest.approx(paid.sum(), abs=0.005), "exact, not only never more"


def test_a_day_boundary_inside_the_horizon_keeps_the_law():
    rng = np.random.default_rng(5)
    where = site(group("g", rigs=1000))
    over = Grid.regular(MIDNIGHT - timedelta(hours=3), MIDNIGHT + timedelta(hours=29), 60)
    said, paid = kit.keeps_the_law(KINDS["daily"], where, outlook(random_prices(rng, 32), over), rng, linear=False)
    np.testing.assert_allclose(said, paid, atol=0.005)
    assert np.count_nonzero(np.abs(paid - paid.mean())) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [({"delivery": "cash", "damages_usd_per_ph_day": 1.0}, "nothing is delivered"), ({"from": AT, "to": AT}, "is not after from")],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        Forward(ph=1, usd_per_ph_day=45.0, **options)
