"""How quickly a group sheds, as read-backs measure it, and that plans hear of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch.decide.decide import decide
from dispatch.decide.plan_inputs import so_far
from dispatch.entries import Done, Result, Seen, unpack
from dispatch.rigs.shed_curve import BOUNDS_S, KEEP_ORDERS, ShedCurve, bucket
from dispatch.sim.spec import RigFault, ScheduledFault
from tests.dispatch.decide.test_decide import call, folded, look, planned
from tests.dispatch.rigs.fakes import orders, simulated_controller, site
from tests.fakes import NOON
from tests.sites import small


def test_shares_count_every_commanded_rig() -> None:
    curve = ShedCurve().after({"5": 30, "15": 60}, 100)
    assert [curve.share(s) for s in (4.0, 5.0, 14.0, 15.0, 600.0)] == [0.0, 0.3, 0.3, 0.9, 0.9]
    assert curve.shed()[0] == (5.0, 0.3) and len(curve.shed()) == len(BOUNDS_S)


def test_ninety_nine_of_a_hundred_orders_not_the_average() -> None:
    curve = ShedCurve()
    for _ in range(90):
        curve = curve.after({"10": 100}, 100)
    for _ in range(10):
        curve = curve.after({"10": 40, "60": 60}, 100)
    assert curve.share(10.0) == 0.4 and curve.share(10.0, quantile=0.5) == 1.0 and curve.share(60.0) == 1.0


def test_few_rigs_prove_nothing_and_retries_prove_nothing_of_the_group() -> None:
    assert ShedCurve().share(60.0) is None and ShedCurve().after({"5": 19}, 19).shed() == ()
    curve = ShedCurve().after({"5": 300}, 300)
    for _ in range(50):
        curve = curve.after({}, 3)
    assert curve.share(5.0) == 1.0


def test_old_orders_are_forgotten() -> None:
    curve = ShedCurve().after({}, 50)
    for _ in range(KEEP_ORDERS):
        curve = curve.after({"5": 50}, 50)
    assert curve.share(5.0) == 1.0 and len(curve.orders) == KEEP_ORDERS


def test_a_time_falls_under_its_bound() -> None:
    assert [bucket(s) for s in (0.0, 5.0, 5.1, 600.0, 601.0)] == ["5", "5", "10", "600", None]


async def test_the_controller_measures_shed_times_and_rigs_that_do_not_obey_count() -> None:
    controller, _, clock, _ = simulated_controller(site(40), ScheduledFault(RigFault.NO_EFFECT, "g0", tuple(range(4))))
    await controller.refresh()
    (result,) = (await controller.execute(orders(clock, ("g0", "sleep", range(40))))).results
    assert sum(result.shed_within_s.values()) == 36 and max(map(float, result.shed_within_s)) <= 15.0
    await clock.sleep_until(clock.now() + timedelta(minutes=1))
    (woken,) = (await controller.execute(orders(clock, ("g0", "normal", range(4, 40))))).results
    assert woken.shed_within_s == {}  # nothing is shed by waking


async def test_a_plan_uses_the_measured_shed() -> None:
    setup = small()
    state = folded(setup, Seen(at=NOON, fleet=look(setup), facts=(call(NOON, mw_cap=0.15),)), planned(setup, NOON, 1))
    commanded = decide(state, NOON, 1)
    assert commanded is not None
    results = tuple(Result(order=o.id, rigs_by_outcome={"reached": o.rigs}, shed_within_s={"10": 30}) for o in commanded.orders)
    state = state.after(commanded, 3).after(Done(at=NOON, results=results), 4)
    shed = so_far(state, NOON).groups["a-old"].shed
    assert shed[:2] == ((5.0, 0.0), (10.0, pytest.approx(30 / len(unpack(commanded.orders[0].rigs)))))
    assert so_far(state, NOON).groups["b-new"].shed == ()
