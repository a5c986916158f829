"""Who is moved and who is let alone, and why: strangers' rigs, quarantine, tenants, ramps, silence; and what measures a load."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch.decide.decide import decide
from dispatch.decide.group_state import MAX_DEPARTURES, QUARANTINE_S
from dispatch.decide.load_at_meters import groups_behind
from dispatch.decide.measured_load import MeasuredLoad
from dispatch.decide.reflex import wanted
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, GroupSeen, Hold, Result, Seen, unpack
from dispatch.power_meters import MeterId
from tests.dispatch.decide.test_decide import MINUTE, call, done, folded, look, moved, planned
from tests.fakes import NOON
from tests.sites import document, group, small

MAIN, HALL_A = MeterId.parse("meter main"), MeterId.parse("hall a")
METERED = {"kind": "modbus", "host": "meter.invalid", "register": 0}


def seen(setup: Any, at: Any, meters: dict[MeterId, float] | None = None, facts: Any = (), holds: Any = (), **conditions: Any) -> Seen:
    return Seen(at=at, fleet=look(setup, **conditions), facts=facts, holds=holds, meters=meters or {})


def test_rigs_that_others_put_to_sleep_are_left_alone_and_shown() -> None:
    setup = small()
    state = folded(setup, seen(setup, NOON, a_old={"sleep": "0-9", "normal": "10-39"}), planned(setup, NOON, 1))
    commanded = decide(state, NOON, 1)
    assert commanded is not None and commanded.orders == () and commanded.skipped == {"a-old": {"asleep, not by us": 10}}


def test_a_rig_put_to_sleep_by_hand_after_us_is_not_ours_until_ordered_again() -> None:
    setup = small()
    state = folded(setup, seen(setup, NOON), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    slept = decide(state, NOON, 1)
    assert slept is not None
    at = NOON + 5 * MINUTE
    state = state.after(slept, 3).after(done(slept), 4).after(seen(setup, at, a_old={"sleep": "0-39"}), 5).after(planned(setup, at, 5), 6)
    woken = decide(state, at, 1)
    assert moved(woken) == {("a-old", "normal"): tuple(range(40))}  # what we put to sleep is ours to wake
    assert woken is not None
    state = state.after(woken, 7).after(done(woken), 8).after(seen(setup, at + 5 * MINUTE), 9)
    by_hand = seen(setup, at + 10 * MINUTE, a_old={"sleep": "7"})
    state = state.after(by_hand, 10).after(planned(setup, at + 10 * MINUTE, 10), 11)
    said = decide(state, at + 10 * MINUTE, 1)
    assert said is not None and said.orders == () and said.skipped == {"a-old": {"asleep, not by us": 1}}


def test_a_persons_hold_in_an_awake_mode_wakes_them_all() -> None:
    setup = small()
    hold = Hold(id="h1", group="a-old", mode="normal", mw_cap=None, until=None, by="Ann")
    state = folded(setup, seen(setup, NOON, holds=(hold,), a_old={"sleep": "0-39"}), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    assert moved(decide(state, NOON, 1)) == {("a-old", "normal"): tuple(range(40))}


def test_a_plan_does_not_count_on_rigs_it_may_not_wake() -> None:
    from dispatch.decide.plan_inputs import inputs

    setup = small()
    state = folded(setup, seen(setup, NOON, a_old={"sleep": "0-9", "normal": "10-39"}))
    assert inputs(state, NOON).availability.rigs["a-old"].values[0] == 30
    everyone = small(site={**document()["site"], "wakes": "all"})
    state = folded(everyone, seen(everyone, NOON, a_old={"sleep": "0-9", "normal": "10-39"}))
    assert "a-old" not in inputs(state, NOON).availability.rigs


def put_to_sleep(state: State, setup: Any, at: Any, seq: int) -> tuple[State, Commanded | None]:
    state = state.after(planned(setup, at, seq, a_old={"sleep": 40.0}), seq + 1)
    commanded = decide(state, at, 1)
    if commanded is None:
        return state, None
    if not commanded.orders:
        return state.after(commanded, seq + 2), commanded
    return state.after(commanded, seq + 2).after(done(commanded), seq + 3), commanded


def test_a_rig_that_keeps_waking_is_put_back_three_times_and_then_quarantined() -> None:
    setup = small()
    state, at, seq = folded(setup, seen(setup, NOON)), NOON, 1
    told = []
    for _ in range(MAX_DEPARTURES + 3):
        state, commanded = put_to_sleep(state, setup, at, seq)
        told.append(any(7 in unpack(o.rigs) for o in commanded.orders) if commanded else False)
        state = state.after(seen(setup, at + 5 * MINUTE, a_old={"sleep": "0-39"}), seq + 4)
        at, seq = at + 10 * MINUTE, seq + 5
        state = state.after(seen(setup, at, a_old={"normal": "7"}), seq)
        seq += 1
    assert told == [True] * MAX_DEPARTURES + [False] * 3
    state, said = put_to_sleep(state, setup, at, seq)
    assert state.commanded is not None and state.commanded.skipped["a-old"] == {"quarantine": 1} and said is None
    state, later = put_to_sleep(state, setup, at + timedelta(seconds=QUARANTINE_S), seq + 10)
    assert moved(later) == {("a-old", "sleep"): (7,)}


def failed(commanded: Commanded, outcome: str) -> Done:
    return Done(at=commanded.at, results=tuple(Result(order=o.id, rigs_by_outcome={outcome: o.rigs}) for o in commanded.orders))


def test_three_orders_that_fail_are_quarantine_and_one_cut_short_is_not() -> None:
    setup = small()
    for outcome, barred in (("refused", True), ("partly", False)):
        state, seq = folded(setup, seen(setup, NOON)), 1
        for tick in range(3):
            at = NOON + tick * 5 * MINUTE
            state = state.after(seen(setup, at), seq + 1).after(planned(setup, at, seq + 1, a_old={"sleep": 40.0}), seq + 2)
            commanded = decide(state, at, 1)
            assert commanded is not None and commanded.orders
            state, seq = state.after(commanded, seq + 3).after(failed(commanded, outcome), seq + 4), seq + 5
        assert state.fleet["a-old"].in_quarantine(NOON + 11 * MINUTE).all() == barred


def test_rigs_that_failed_their_orders_are_left_alone_in_quarantine_under_a_call_too() -> None:
    """Issue of restart storms: a call that cannot do without them names what is missing instead of ordering them again and again."""
    setup = small()
    state, seq = folded(setup, seen(setup, NOON)), 1
    for tick in range(3):
        at = NOON + tick * 5 * MINUTE
        state = state.after(seen(setup, at), seq + 1).after(planned(setup, at, seq + 1, a_old={"sleep": 40.0}), seq + 2)
        commanded = decide(state, at, 1)
        assert commanded is not None and ("a-old", "sleep") in moved(commanded)
        state, seq = state.after(commanded, seq + 3).after(failed(commanded, "refused"), seq + 4), seq + 5
    at = NOON + 15 * MINUTE
    state = state.after(seen(setup, at, facts=(call(at, mw_cap=0.0),)), seq + 1)
    first = decide(state, at, 1)
    assert first is not None and set(moved(first)) == {("b-new", "sleep")} and first.shortfall_mw["plant"] > 0.1
    assert first.skipped["a-old"] == {"quarantine": 40}
    state = state.after(first, seq + 2).after(done(first), seq + 3)
    later = NOON + 11 * MINUTE + timedelta(seconds=QUARANTINE_S)
    again = decide(state.after(seen(setup, later), seq + 4), later, 1)
    assert ("a-old", "sleep") in moved(again)


def test_a_rig_that_obeyed_at_last_gets_no_order_before_the_next_reading() -> None:
    """It was wanted so before, failed, and reached it now: the last look, from before, says nothing of it."""
    setup = small()
    state = folded(setup, seen(setup, NOON), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    first = decide(state, NOON, 1)
    assert first is not None
    at = NOON + 5 * MINUTE
    state = state.after(first, 3).after(failed(first, "unreachable"), 4).after(seen(setup, at), 5)
    state = state.after(planned(setup, at, 5, a_old={"sleep": 40.0}), 6)
    second = decide(state, at, 1)
    assert second is not None and len(moved(second)[("a-old", "sleep")]) == 40
    assert decide(state.after(second, 7).after(done(second), 8), at, 2) is None


def test_a_tenant_with_promised_uptime_is_stopped_last() -> None:
    """A cap of 0.2 MW: by J/TH alone the tenant's old rigs would go first."""
    groups = [group("a-old", "a", watts=3000.0, ths=100.0, tenant="t"), group("b-new", "b", watts=3500.0, ths=200.0)]
    hosting = {"type": "hosting", "scope": {"tenant": "t"}, "usd_per_mwh": 60.0, "uptime": 0.95, "credit_usd_per_mwh": 30.0}
    for book, first in (([{"type": "power"}], "a-old"), ([{"type": "power"}, hosting], "b-new")):
        setup = small(groups=groups, obligations=book)
        state = folded(setup, seen(setup, NOON, facts=(call(NOON, mw_cap=0.2),)), planned(setup, NOON, 1))
        assert {name for name, _ in moved(decide(state, NOON, 1))} == {first}


def test_moves_are_spread_over_the_minutes_their_ramp_takes() -> None:
    """0.12 MW down and nothing else, at 0.03 MW a minute: told over four minutes; a deployed instruction is told at once."""
    setup = small(site={**document()["site"], "max_ramp_down_mw_per_min": 0.03})
    state = folded(setup, seen(setup, NOON), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    commanded = decide(state, NOON, 1)
    assert commanded is not None and commanded.orders[0].spread_s == pytest.approx(40 * 2980 / 30_000 * 60, abs=1.0)
    called = folded(setup, seen(setup, NOON, facts=(call(NOON, mw_cap=0.141),)), planned(setup, NOON, 1))
    firm = decide(called, NOON, 1)
    assert firm is not None and [o.spread_s for o in firm.orders] == [0.0]


def test_a_second_round_has_what_the_first_left_of_the_ramp() -> None:
    setup = small(site={**document()["site"], "max_ramp_down_mw_per_min": 0.01})
    state = folded(setup, seen(setup, NOON), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    first = decide(state, NOON, 1)
    assert first is not None and sum(len(rigs) for rigs in moved(first).values()) == 16  # 0.05 MW in five minutes
    state = state.after(first, 3).after(done(first), 4)
    second = decide(state, NOON, 2)
    assert second is None or second.orders == ()


def test_starts_are_spread_over_the_minutes_the_hall_needs() -> None:
    halls = [{"name": "a", "meter": "main", "limit_mw": 0.5, "max_starts_per_min": 20}, {"name": "b", "meter": "main", "limit_mw": 0.5}]
    setup = small(halls=halls, site={**document()["site"], "wakes": "all"})
    state = folded(setup, seen(setup, NOON, a_old={"sleep": "0-39"}, b_new={"sleep": "0-39"}), planned(setup, NOON, 1))
    commanded = decide(state, NOON, 1)
    assert commanded is not None and {o.group: o.spread_s for o in commanded.orders} == {"a-old": 120.0, "b-new": 0.0}


def test_a_halls_fans_are_to_run_before_its_rigs_wake() -> None:
    halls = [
        {"name": "a", "meter": "main", "limit_mw": 0.5, "fans": {"kind": "modbus", "host": "fans.invalid", "coil": 1}},
        {"name": "b", "meter": "main", "limit_mw": 0.5},
    ]
    setup = small(halls=halls, site={**document()["site"], "wakes": "all"})
    state = folded(setup, seen(setup, NOON, a_old={"sleep": "0-39"}, b_new={"sleep": "0-39"}), planned(setup, NOON, 1))
    assert decide(state, NOON, 1).fans == ("a",)  # type: ignore[union-attr]
    slept = folded(setup, seen(setup, NOON), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    assert decide(slept, NOON, 1).fans == ()  # type: ignore[union-attr]


# what measures a load


def site_of(*metered: MeterId) -> Any:
    halls = [
        {"name": h, "meter": "main", "limit_mw": 0.5, **({"feeder": METERED} if MeterId.parse(f"hall {h}") in metered else {})}
        for h in "ab"
    ]
    return small(meters=[{"id": "main", **({"driver": METERED} if MAIN in metered else {})}], halls=halls)


def test_the_best_measurement_there_is() -> None:
    """Everything draws 0.26 MW by the nameplate and by what the rigs say. The feeder of hall a says 10 kW more, the meter 25 kW more."""
    names, both = ("a-old", "b-new"), {MAIN: 0.285, HALL_A: 0.13}
    cases = [
        ({}, names, 0.0),
        (both, names, 25_000.0),
        ({HALL_A: 0.13}, names, 10_000.0),
        (both, ("a-old",), 10_000.0),
        (both, ("b-new",), 0.0),
    ]
    for meters, of, expected in cases:
        state = folded(site_of(*both), seen(site_of(*both), NOON, meters))
        assert MeasuredLoad(state, NOON).offset(of) == pytest.approx(expected, abs=1.0), (meters, of)


def test_a_meter_is_not_believed_when_it_says_far_too_little() -> None:
    setup = site_of(MAIN)
    state = folded(setup, seen(setup, NOON, {MAIN: 0.05}))
    assert MeasuredLoad(state, NOON).offset(("a-old", "b-new")) == pytest.approx(-26_000.0)
    woken = state.after(planned(setup, NOON, 1, a_old={"sleep": 40.0}), 2)
    commanded = decide(woken, NOON, 1)
    assert commanded is not None and commanded.orders


def test_a_meter_with_generation_behind_it_does_not_measure_the_rigs() -> None:
    """The meter reads 0.1 MW: 0.26 MW of rigs less what the sun makes. A feeder still measures its hall."""
    plain = site_of(MAIN, HALL_A)
    sunny = small(
        meters=[{"id": "main", "driver": METERED}],
        halls=[{"name": h, "meter": "main", "limit_mw": 0.5, **({"feeder": METERED} if h == "a" else {})} for h in "ab"],
        obligations=[{"type": "power"}, {"type": "renewable", "name": "solar", "mw": 0.5}],
    )
    for setup, expected in ((plain, -26_000.0), (sunny, 10_000.0)):
        state = folded(setup, seen(setup, NOON, {MAIN: 0.1, HALL_A: 0.13}))
        assert MeasuredLoad(state, NOON).offset(("a-old", "b-new")) == pytest.approx(expected, abs=1.0)
    loads = folded(sunny, seen(sunny, NOON, {MAIN: 0.1, HALL_A: 0.13})).metered_mw()
    assert loads == pytest.approx({"a-old": 0.13, "b-new": 0.14}), "hall b by its rigs"


def test_the_groups_behind_each_meter() -> None:
    site = small().site
    assert groups_behind(site, MAIN) == ("a-old", "b-new") and groups_behind(site, MeterId.parse("hall b")) == ("b-new",)
    assert groups_behind(site, MeterId.parse("group a-old")) == ("a-old",) and groups_behind(site, MeterId.parse("hall z")) == ()


def test_a_cap_is_kept_by_what_the_meter_says() -> None:
    """The site draws 25 kW more than its rigs say: a cap of 0.2 MW leaves them 0.175."""
    setup = site_of(MAIN)
    state = folded(setup, seen(setup, NOON, {MAIN: 0.285}, facts=(call(NOON, mw_cap=0.2),)), planned(setup, NOON, 1))
    kept = wanted(state, NOON).counts
    assert kept["b-new"] == [0, 40] and 0.17 < (40 * 3500 + kept["a-old"][1] * 3000 + kept["a-old"][0] * 20) / 1e6 <= 0.175


def test_unreachable_rigs_count_with_what_they_last_drew() -> None:
    setup = small()
    first = seen(setup, NOON)
    gone = Seen(
        at=NOON + MINUTE,
        fleet={"b-new": GroupSeen(rigs=40, reachable=30, load_mw=0.14, hashrate_ph=0.0, changed={"unreachable": "0-9"})},
        facts=(call(NOON + MINUTE, mw_cap=0.04),),
    )
    state = folded(setup, first, planned(setup, NOON, 1), gone)
    commanded = decide(state, NOON + MINUTE, 1)
    assert {name: len(rigs) for (name, _), rigs in moved(commanded).items()} == {"a-old": 40, "b-new": 29}
    lower = state.after(Seen(at=NOON + 2 * MINUTE, facts=(call(NOON + 2 * MINUTE, id="c2", mw_cap=0.03),)), 4)
    assert decide(lower, NOON + 2 * MINUTE, 1).shortfall_mw["plant"] == pytest.approx(0.035 + 70 * 20e-6 - 0.03, abs=1e-5)  # type: ignore[union-attr]
