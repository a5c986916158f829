"""A deployed instruction comes before every dollar; what cannot be kept is the least possible, and is named."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.facts import CallKind
from markets.grid import Interval
from optimizer.domain.calls import instructed
from optimizer.domain.memory import Memory
from optimizer.domain.site import GroupNow, Scope
from optimizer.domain.site_limits import site_limits
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from tests.optimizer.fixtures import AT, Dead, awake, broken_limits, call, grid, group, outlook, random_prices, site, so_far, three_models
from tests.optimizer.planning.test_plan import random_site

BOOK = (Hashing(pool_fee=0.01), Power(adders_usd_per_mwh=6.15), Plant())
HOUR = timedelta(hours=1)


@settings(max_examples=30)
@given(
    cap=st.floats(0, 12),
    price=st.lists(st.sampled_from([-1e6, -251.0, -1.0, 0.0, 30.0, 5000.0]), min_size=12, max_size=12),
    hashprice=st.sampled_from([0.0, 45.0, 1e6]),
    of=st.sampled_from(["plant", "power", "hashing"]),
    dead=st.booleans(),
)
def test_no_price_outweighs_a_call(cap, price, hashprice, of, dead):
    """Energy at minus a million dollars, a hashprice of a million: the cap holds wherever it stands, by any obligation's name."""
    state = so_far(calls=(call(of, AT + HOUR, AT + 2 * HOUR, mw_cap=cap),))
    made = plan(three_models(), BOOK, outlook(price, hashprice=hashprice), state, session=Dead() if dead else None)
    assert made.load_mw[4:8].max() <= cap + 1e-6
    assert not made.shortfalls


def test_a_recall_ends_it_and_a_cancelled_call_never_was():
    where, ahead = three_models(), outlook([20.0] * 8)
    deployed = call("plant", AT, None, mw_cap=2.0)
    recalled = call("plant", AT + HOUR, None, version=2)
    recalled = type(recalled)(**{**{f: getattr(recalled, f) for f in recalled.__dataclass_fields__}, "kind": CallKind.RECALL})
    made = plan(where, BOOK, ahead, so_far(calls=(deployed, recalled)))
    np.testing.assert_allclose(made.load_mw, [2.0] * 4 + [9.578] * 4, atol=1e-6)
    cancelled = type(recalled)(**{**{f: getattr(recalled, f) for f in recalled.__dataclass_fields__}, "kind": CallKind.CANCEL})
    np.testing.assert_allclose(plan(where, BOOK, ahead, so_far(calls=(deployed, cancelled))).load_mw, 9.578, atol=1e-6)


def test_the_least_valuable_rigs_go_first():
    made = plan(three_models(), BOOK, outlook([20.0] * 4), so_far(calls=(call("plant", AT, None, mw_cap=5.0),)))
    np.testing.assert_allclose(made.groups["s21"].load_mw, 3.5)
    np.testing.assert_allclose(made.groups["s19xp"].load_mw, 1.5)
    np.testing.assert_allclose(made.groups["s19jpro"].load_mw, 0.0, atol=1e-9)
    assert made.shadow_prices["call plant"].min() > 0


def test_a_call_binds_its_scope_alone():
    mine = group("mine", rigs=1000)
    theirs = group("theirs", rigs=1000, tenant="guest")
    book = (Hashing(), Power(), Power(name="theirs", scope=Scope(tenant="guest")), Plant())
    state = so_far(calls=(call("theirs", AT, None, mw_cap=1.0),))
    made = plan(site(mine, theirs), book, outlook([10.0] * 2), state)
    np.testing.assert_allclose(made.groups["mine"].load_mw, 3.5)
    np.testing.assert_allclose(made.groups["theirs"].load_mw, 1.0)


@pytest.mark.parametrize("dead", [False, True])
def test_minimum_on_times_yield_to_a_call(dead):
    """Rigs woken a minute ago sleep again, no more of them than the call needs, and the plan says which promise gave way."""
    where = site(group("g", "s21", rigs=1000, min_on_min=240))
    state = so_far(
        groups={"g": GroupNow({"normal": 1000.0}, woken=((AT - timedelta(minutes=1), 1000),))},
        calls=(call("plant", AT + HOUR, AT + 2 * HOUR, mw_cap=1.4),),
    )
    made = plan(where, BOOK, outlook([500.0] * 24), state, session=Dead() if dead else None)
    np.testing.assert_allclose(awake(made, "g")[:4], 1000)
    np.testing.assert_allclose(awake(made, "g")[4:8], 400, atol=1e-3)
    if not dead:
        (short,) = made.shortfalls
        assert short.promise == "minimum on g"
        assert "minimum time" in short.repair


def test_the_trip_that_is_proposed_is_the_smallest_that_is_enough():
    """Asleep hall a draws 0.010 MW, b 0.030, c 0.050."""
    rigs = [group(h, rigs=n, hall=h, standby=20.0) for h, n in (("a", 500), ("b", 1500), ("c", 2500))]
    for cap_mw, opened in ((0.085, "feeder of hall a"), (0.065, "feeder of hall b"), (0.02, "feeders of hall c and b")):
        made = plan(site(*rigs), BOOK, outlook([30.0] * 2), so_far(calls=(call("plant", AT, None, mw_cap=cap_mw),)))
        (short,) = made.shortfalls
        assert f"open the {opened} for the last {0.09 - cap_mw:.3f} MW" in short.repair


def test_a_cap_below_what_cannot_be_shed_is_kept_as_far_as_can_be():
    """Standby draw is left when all sleep: the plan goes there, names the excess and proposes the trip."""
    where = site(group("g", "s21", rigs=1000, standby=20.0))
    made = plan(where, BOOK, outlook([-500.0] * 4), so_far(calls=(call("plant", AT, None, mw_cap=0.005),)))
    np.testing.assert_allclose(made.load_mw, 0.020)
    (short,) = made.shortfalls
    assert short.promise == "call plant"
    assert short.mw == pytest.approx(0.015)
    assert short.repair == "all rigs are asleep: open the feeder of hall a for the last 0.015 MW"
    assert any("call plant " in reason and " short " in reason for reason in reasons(made))


def test_a_target_is_a_floor_too_and_physics_names_what_is_missing():
    where = three_models()
    made = plan(where, BOOK, outlook([4000.0] * 4), so_far(calls=(call("plant", AT, None, mw_target=6.0),)))
    np.testing.assert_allclose(made.load_mw, 6.0, atol=1e-6)
    beyond = plan(where, BOOK, outlook([4000.0] * 4), so_far(calls=(call("plant", AT, None, mw_target=12.0),)))
    np.testing.assert_allclose(beyond.load_mw, 9.578, atol=1e-6)
    (short,) = beyond.shortfalls
    assert short.mw == pytest.approx(12 - 9.578, abs=1e-6)


def test_a_reduction_counts_from_the_load_at_notice():
    state = so_far(calls=(call("plant", AT, None, mw_delta=-3.0),), memory={"plant": Memory(load_before_mw={"c1": 9.0})})
    assert plan(three_models(), BOOK, outlook([10.0] * 2), state).load_mw.max() == pytest.approx(6.0)
    over = Interval(AT, AT + HOUR)
    bounds = Power().bounds(three_models(), Memory(load_before_mw={"c1": 9.0}), (call("power", AT, None, mw_delta=-3.0),), over)
    assert (bounds.cap_mw, bounds.firm) == (6.0, True)


def test_the_interconnect_is_a_limit_beside_calls_and_the_lower_one_wins():
    where, over = three_models(interconnect_mw=8.0), Interval(AT, AT + HOUR)
    assert [limit.most_mw.tolist() for limit in site_limits(where, BOOK, grid(2)) if limit.name == "interconnect"] == [[8.0, 8.0]]
    assert Plant().bounds(where, Plant().memory_from({}), (call("plant", AT, None, mw_cap=3.0),), over).cap_mw == 3.0
    for session in (None, Dead()):
        for cap_mw, most_mw in ((3.0, 3.0), (30.0, 8.0)):
            state = so_far(calls=(call("plant", AT, None, mw_cap=cap_mw),))
            assert plan(where, BOOK, outlook([10.0] * 2), state, session=session).load_mw.max() == pytest.approx(most_mw, abs=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_random_calls_on_random_sites(seed):
    """With calls of any length, the caps hold, limits hold, and only minimum times may give way."""
    rng = np.random.default_rng(seed)
    where, state = random_site(rng)
    most = sum(g.rigs * g.full.watts for g in where.groups) / 1e6
    floor = sum(g.rigs * g.modes[0].watts for g in where.groups) * 1.1 / 1e6
    calls = []
    for k in range(int(rng.integers(1, 4))):
        start = AT + timedelta(minutes=int(rng.integers(-30, 400)))
        end = start + timedelta(minutes=int(rng.integers(5, 300))) if rng.random() < 0.8 else None
        name = str(rng.choice(["plant", "power"]))
        calls.append(call(name, start, end, id_=f"c{k}", mw_cap=float(floor + rng.uniform(0, most))))
    state = so_far(groups=state.groups, calls=tuple(calls))
    for solver in (None, Dead()):
        made = plan(where, BOOK, outlook(random_prices(rng, 32)), state, session=solver)
        assert broken_limits(where, made, state, minimum_times=False) == []
        for t, over in enumerate(made.grid.intervals):
            caps = [c.mw_cap for c in calls if c.start_at < over.end and (c.end_at is None or c.end_at > over.start)]
            assert made.load_mw[t] <= min([1e9, *caps]) + 1e-4
        if not any(s.promise.startswith("minimum") for s in made.shortfalls) and solver is None:
            assert broken_limits(where, made, state) == []


def test_a_ramp_gives_way_to_a_call_and_to_nothing_else():
    where = site(group("g", "s21", rigs=2000), max_ramp_down_mw_per_min=0.05, max_ramp_up_mw_per_min=0.1)
    state = so_far(groups={"g": GroupNow({"normal": 2000.0})})
    free = plan(where, BOOK, outlook([20, 20, 900, 900, 20, 20]), state)
    change = np.diff(free.load_mw, prepend=7.0)
    assert change.min() >= -0.75 - 1e-6
    assert change.max() <= 1.5 + 1e-6
    called = plan(
        where, BOOK, outlook([20.0] * 6), so_far(groups=state.groups, calls=(call("plant", AT + timedelta(minutes=30), None, mw_cap=1.0),))
    )
    assert called.load_mw[2:].max() <= 1.0 + 1e-6
    (short,) = called.shortfalls
    assert short.promise == "ramp down"


@pytest.mark.parametrize("dead", [False, True])
def test_the_reason_of_a_group_asleep_under_a_call_names_the_call(dead):
    state = so_far(calls=(call("plant", AT, None, mw_cap=5.0),))
    made = plan(three_models(), BOOK, outlook([20.0] * 4), state, session=Dead() if dead else None)
    said = {reason.split()[0]: reason for reason in reasons(made)}
    assert "sleeps" in said["s19jpro"] and "call c1 of " in said["s19jpro"] and "at most 5.000 MW" in said["s19jpro"]
    assert "call c1" in said["s19xp"] and "call c1" not in said["s21"]
    idle = plan(three_models(), BOOK, outlook([4000.0] * 4), state, session=Dead() if dead else None)
    assert not any("call c1" in reason for reason in reasons(idle))
    held = so_far(groups={"s19jpro": GroupNow({"sleep": 1000.0}, slept=((AT - timedelta(minutes=1), 1000),))})
    where = site(group("s19jpro", "s19jpro", min_off_min=15))
    resting = plan(where, BOOK, outlook([20.0] * 4), held, session=Dead() if dead else None)
    assert any("s19jpro" in reason and "for their minimum time" in reason for reason in reasons(resting))
    later = so_far(calls=(call("plant", AT + HOUR, None, mw_cap=5.0),))
    ahead = plan(three_models(), BOOK, outlook([20.0] * 8), later, session=Dead() if dead else None)
    assert not any("sleeps" in reason and "call c1" in reason for reason in reasons(ahead))


def test_an_instruction_says_at_most_exactly_or_between():
    """A set point was said to be a limit from above only, also where the load fell short of it."""
    over = Interval(AT, AT + HOUR)
    assert Plant().bounds(three_models(), Memory(), (call("plant", AT, None, mw_cap=2.0),), over).why.endswith("plant at most 2.000 MW")
    assert Plant().bounds(three_models(), Memory(), (call("plant", AT, None, mw_target=2.0),), over).why.endswith("plant exactly 2.000 MW")
    assert instructed(call("plant", AT, None), "plant", 1.0, 2.0).why.endswith("plant between 1.000 and 2.000 MW")
