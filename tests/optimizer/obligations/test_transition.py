"""Transition: the cost of changing holds schedules still and never shows as money."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain.site import GroupNow
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transition import Transition
from optimizer.planning.plan import plan
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, call, group, outlook, random_prices, site, so_far

BOOK = (Hashing(), Power(), Plant())
EVEN = 45 / 24 * 200 / 3.5  # $/MWh at which an S21 breaks even
MARGIN = 10.0  # $/MWh under it


def yard(wake_min: float = 18.0, **more):
    return site(group("g", rigs=1000, wake_min=wake_min, **more))


def now(awake: float, rigs: int = 1000, name: str = "g"):
    return so_far(groups={name: GroupNow(modes={"sleep": rigs - awake, "normal": awake})})


def on(made) -> list[bool]:
    return list(made.load_mw > 1.7)


def test_a_wake_is_made_when_the_hours_to_come_pay_for_the_hashing_it_loses():
    """Eighteen minutes of waking lose twelve of 200 PH/s, at 45 $ 75 $; a quarter hour 10 $ under the breakeven earns 8.75 $."""
    prices = [EVEN - MARGIN] * 8 + [EVEN + 500.0]
    assert all(on(plan(yard(), BOOK, outlook(prices), now(0)))[:8]), "without the contract any gain wakes"
    assert not any(on(plan(yard(), (*BOOK, Transition()), outlook(prices), now(0))))
    assert all(on(plan(yard(), (*BOOK, Transition()), outlook(prices), now(1000)))[:8]), "awake already: nothing to lose"
    longer = [EVEN - MARGIN] * 9 + [EVEN + 500.0]  # 78.75 $
    assert all(on(plan(yard(), (*BOOK, Transition()), outlook(longer), now(0)))[:9])
    assert all(on(plan(yard(), (*BOOK, Transition(lost_hashing=False)), outlook(prices), now(0)))[:8])
    assert not any(on(plan(yard(), (*BOOK, Transition(weight=2.0)), outlook(longer), now(0))))


def test_a_short_stop_is_not_made_for_less_than_coming_back_costs():
    dear = [30.0] * 4 + [EVEN + 50.0] + [30.0] * 4  # a stop saves 43.75 $, waking again costs 75 $
    assert not all(on(plan(yard(), BOOK, outlook(dear), now(1000))))
    assert all(on(plan(yard(), (*BOOK, Transition()), outlook(dear), now(1000))))
    dearer = [30.0] * 4 + [EVEN + 90.0] + [30.0] * 4
    assert on(plan(yard(), (*BOOK, Transition()), outlook(dearer), now(1000))) == [True] * 4 + [False] + [True] * 4


def test_no_change_for_less_than_its_worth():
    """Between modes as well: 5 $ a MW there and back."""
    quiet = yard(wake_min=0.0)
    still = Transition(min_gain_usd_per_mw=5.0)
    prices = [EVEN - 10.0, EVEN + 15.0, EVEN - 10.0, EVEN - 10.0]  # a stop saves 3.75 $ a MW
    assert on(plan(quiet, BOOK, outlook(prices), now(1000))) == [True, False, True, True]
    assert on(plan(quiet, (*BOOK, still), outlook(prices), now(1000))) == [True] * 4
    worth = [EVEN - 10.0, EVEN + 25.0, EVEN - 10.0, EVEN - 10.0]
    assert on(plan(quiet, (*BOOK, still), outlook(worth), now(1000))) == [True, False, True, True]


def test_wear_counts_beside_the_groups_own():
    quiet = yard(wake_min=0.0)
    prices = [EVEN - MARGIN] * 4  # 35 $ in all
    assert all(on(plan(quiet, (*BOOK, Transition(wear_usd_per_start=0.03)), outlook(prices), now(0))))
    assert not any(on(plan(quiet, (*BOOK, Transition(wear_usd_per_start=0.04)), outlook(prices), now(0))))


def test_warming_air_is_no_change():
    """Load follows the overhead; the rigs stay as they are."""
    made = plan(yard(wake_min=0.0), (*BOOK, Transition(min_gain_usd_per_mw=50.0)), outlook([30.0] * 6, celsius=41.0), now(1000))
    assert made.groups["g"].modes["normal"] == pytest.approx([1000.0] * 6)


def test_like_groups_in_unlike_states_are_not_stirred():
    """Half of the rigs sleep and stay asleep; those awake stay awake: not half of each group."""
    where = site(group("a", rigs=1000, wake_min=12.0), group("b", rigs=1000, wake_min=12.0))
    state = so_far(groups={"a": GroupNow(modes={"sleep": 0, "normal": 1000}), "b": GroupNow(modes={"sleep": 1000, "normal": 0})})
    made = plan(where, (*BOOK, Transition()), outlook([EVEN - MARGIN] * 4), state)
    assert made.groups["a"].modes["normal"] == pytest.approx([1000.0] * 4)
    assert made.groups["b"].modes["normal"] == pytest.approx([0.0] * 4)


def test_a_call_comes_before_any_stillness():
    told = (call("plant", AT, AT + timedelta(minutes=30), mw_cap=1.0),)
    state = so_far(groups=now(1000).groups, calls=told)
    made = plan(yard(), (*BOOK, Transition(min_gain_usd_per_mw=1e4, weight=10.0)), outlook([30.0] * 4), state)
    assert made.load_mw[:2].max() <= 1.0 + 1e-6


def test_it_is_no_cash():
    made = plan(yard(), (*BOOK, Transition(min_gain_usd_per_mw=5.0)), outlook([30.0] * 4), now(0))
    assert not [usd for (name, _), usd in made.lines.items() if name == "transition" and usd.any()]


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_the_law(seed):
    rng = np.random.default_rng(seed)
    where = site(group("mine", rigs=800, low=True, standby=10.0, wake_min=9.0), group("old", "s19jpro", rigs=900, wake_min=7.0))
    kit.holds(Transition(min_gain_usd_per_mw=3.0), where, outlook(random_prices(rng, 12)), rng, linear=True)
