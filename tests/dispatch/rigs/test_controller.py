"""The controller over an in-process fleet: what it finds out, what it judges, and that it tells no rig twice without having looked."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.clock import VirtualClock
from dispatch.entries import GroupSeen, pack
from dispatch.rigs import Ability, Driver, Readings, Sent
from dispatch.rigs.controller import RigController
from dispatch.rigs.group_readings import GroupReadings, ranges
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from tests.dispatch.rigs.fakes import START, Sink, orders, outcomes, simulated_controller, site


@given(st.sets(st.integers(0, 300)))
def test_ranges_are_what_pack_writes(rigs: set[int]) -> None:
    assert ranges(np.array(sorted(rigs), np.int64)) == pack(list(rigs))


async def test_the_first_snapshot_names_every_rig_and_the_next_only_what_changed() -> None:
    controller, fleet, clock, _ = simulated_controller(site(5, 3))
    assert {k: v.changed for k, v in controller.snapshot(clock.now()).items()} == {
        "g0": {"unreachable": "0-4"},
        "g1": {"unreachable": "0-2"},
    }
    await controller.refresh()
    seen = controller.snapshot(clock.now())
    assert seen["g0"].changed == {"normal": "0-4"} and seen["g1"].changed == {"normal": "0-2"}
    assert seen["g0"].load_mw == pytest.approx(5 * 3400e-6, rel=0.03) and seen["g0"].reachable == 5
    assert seen["g0"].hashrate_ph == pytest.approx(5 * 0.180, rel=0.03)
    await controller.refresh()
    assert controller.snapshot(clock.now())["g0"].changed == {}
    await controller.execute(orders(clock, ("g0", "sleep", [1, 2])))
    assert controller.snapshot(clock.now())["g0"].changed == {"sleep": "1-2"}


async def test_orders_are_done_when_the_reading_agrees() -> None:
    controller, fleet, clock, sink = simulated_controller(site(6, 4))
    await controller.refresh()
    done = await controller.execute(orders(clock, ("g0", "sleep", range(6)), ("g1", "low", [0, 3])))
    assert outcomes(done) == {"reached": list(range(6))} and outcomes(done, 1) == {"reached": [0, 3]}
    assert done.results[0].reasons == {} and done.results[0].resent == 0
    assert {row[5] for row in sink.rows} == {"poll", "command"}
    last = {row[2]: row[3] for row in sink.rows if row[1] == "g0"}
    assert all(watts < 14 for watts in last.values())


async def test_a_waking_rig_has_reached_its_mode_and_is_waking_until_it_hashes() -> None:
    controller, fleet, clock, sink = simulated_controller(site(4))
    await controller.refresh()
    await controller.execute(orders(clock, ("g0", "sleep", range(4))))
    controller.snapshot(clock.now())
    done = await controller.execute(orders(clock, ("g0", "normal", range(4))))
    assert outcomes(done) == {"reached": [0, 1, 2, 3]}
    assert controller.snapshot(clock.now())["g0"].changed == {"waking": "0-3"}
    # On a fast clock the controller waits until the watts are up, so that telemetry holds the whole rise.
    assert all(row[3] > 3200 for row in sink.rows[-4:])
    await clock.sleep_until(clock.now() + timedelta(minutes=11))
    await controller.refresh()
    assert controller.snapshot(clock.now())["g0"].changed == {"normal": "0-3"}


@pytest.mark.parametrize(("fault", "outcome"), [
    (RigFault.REFUSES, "refused"),
    (RigFault.NO_EFFECT, "no_effect"),
    (RigFault.HANGS, "unreachable"),
    (RigFault.UNREACHABLE, "unreachable"),
    (RigFault.SLOW_ANSWERS, "unreachable"),
    (RigFault.PARTIAL, "partly"),
])  # fmt: skip
async def test_the_outcome_of_a_faulty_rig_that_should_sleep(fault: RigFault, outcome: str) -> None:
    controller, fleet, clock, _ = simulated_controller(site(6), ScheduledFault(fault, "g0", (2, 4)))
    await controller.refresh()
    done = await controller.execute(orders(clock, ("g0", "sleep", range(6))))
    assert outcomes(done) == {"reached": [0, 1, 3, 5], outcome: [2, 4]}
    assert done.results[0].reasons[outcome]
    assert clock.now() - START <= timedelta(seconds=64)  # a minute from when the order was out


async def test_a_rig_that_accepts_without_effect_is_sent_the_order_twice_and_no_more() -> None:
    controller, fleet, clock, _ = simulated_controller(site(3), ScheduledFault(RigFault.NO_EFFECT, "g0", (1,)))
    await controller.refresh()
    done = await controller.execute(orders(clock, ("g0", "sleep", range(3))))
    assert outcomes(done)["no_effect"] == [1] and done.results[0].resent == 1
    assert "accepted the command (2 attempts) but still draws" in done.results[0].reasons["no_effect"]


@pytest.mark.parametrize("fault", [RigFault.NO_EFFECT, RigFault.PARTIAL])
async def test_a_rig_that_does_not_show_an_order_to_sleep_in_time_is_news_though_it_is_sent_it_again(
    fault: RigFault,
) -> None:
    """Until its 12 s are over it may still be stopping; from then on others stop in its place, though it is sent the order once more."""
    controller, fleet, clock, _ = simulated_controller(site(3), ScheduledFault(fault, "g0", (1,)))
    await controller.refresh()
    controller.snapshot(clock.now())
    await controller.begin(orders(clock, ("g0", "sleep", range(3))))
    await controller.work(START + timedelta(seconds=11))
    assert controller.snapshot(clock.now())["g0"].awaited == "1" and not controller.has_news(clock.now(), lambda *_: False)
    assert controller.has_news(clock.now(), lambda *_: True), "a limit that is exceeded"
    await controller.work(START + timedelta(seconds=12.5))
    assert controller.has_news(clock.now(), lambda *_: False) and controller.busy, "its order is still open"
    assert controller.snapshot(clock.now())["g0"].awaited == "" and not controller.has_news(clock.now(), lambda *_: False)


@pytest.mark.parametrize(("fault", "mode"), [(RigFault.NO_EFFECT, "sleep"), (RigFault.FLAT_WAKE, "normal")])
async def test_an_order_that_is_written_into_the_configuration_or_wakes_is_sent_once(fault: RigFault, mode: str) -> None:
    """A lying rig got 18 configuration writes in 6 minutes, and waking rigs whose watts stay flat for two minutes were started over."""
    written, sent = site(3), list[list[int]]()
    clock, fleet = VirtualClock(START), Fleet(spec_of(written.groups), 1, START.timestamp())
    drivers = simulated_drivers(fleet, clock)
    controller = RigController(written, drivers, clock, Sink())
    await controller.refresh()
    if mode == "normal":
        await controller.execute(orders(clock, ("g0", "sleep", range(3))))
    fleet.add_fault(ScheduledFault(fault, "g0", (1,)))
    driver = drivers["g0"]
    set_mode = driver.set_mode

    async def counted(rigs: Sequence[int], *more: Any) -> Sent:
        sent.append(list(rigs))
        return await set_mode(rigs, *more)

    driver.set_mode = counted  # type: ignore[method-assign]
    if mode == "sleep":
        driver.abilities |= {Ability.STORED_ORDERS}  # type: ignore[misc]
    done = await controller.execute(orders(clock, ("g0", mode, range(3)), deadline_s=300.0))
    assert sent == [[0, 1, 2]] and outcomes(done).get("no_effect", []) == ([1] if mode == "sleep" else [])


async def test_rigs_that_were_never_read_count_with_their_nameplate() -> None:
    controller, fleet, clock, _ = simulated_controller(site(5, 3))
    assert controller.snapshot(clock.now())["g0"].load_mw == pytest.approx(5 * 3400e-6)
    fleet.add_fault(ScheduledFault(RigFault.HANGS, "g0", (0, 1)))
    await controller.refresh()
    assert controller.snapshot(clock.now())["g0"].load_mw == pytest.approx(5 * 3400e-6, rel=0.03)


async def test_a_rig_that_accepts_a_wake_without_effect_is_found_out() -> None:
    controller, fleet, clock, _ = simulated_controller(site(3))
    await controller.refresh()
    await controller.execute(orders(clock, ("g0", "sleep", range(3))))
    fleet.add_fault(ScheduledFault(RigFault.NO_EFFECT, "g0", (1,)))
    done = await controller.execute(orders(clock, ("g0", "normal", range(3)), deadline_s=120.0))
    assert outcomes(done) == {"reached": [0, 2], "no_effect": [1]}
    controller.snapshot(clock.now())
    assert controller.readings["g0"].watts[1] < 14


async def test_a_silent_rig_is_unreachable_after_two_missed_readings_and_still_counts_with_its_last_one() -> None:
    controller, fleet, clock, sink = simulated_controller(site(4))
    await controller.refresh()
    before = controller.snapshot(clock.now())["g0"]
    fleet.add_fault(ScheduledFault(RigFault.UNREACHABLE, "g0", (3,)))
    await controller.refresh()
    assert controller.snapshot(clock.now())["g0"].changed == {}
    await controller.refresh()
    seen = controller.snapshot(clock.now())["g0"]
    assert seen.changed == {"unreachable": "3"} and seen.reachable == 3 and seen.load_mw == before.load_mw
    assert np.isnan(sink.rows[-1][3])
    fleet.clear_fault(RigFault.UNREACHABLE)
    await controller.refresh()
    assert controller.snapshot(clock.now())["g0"].changed == {"normal": "3"}


async def test_a_rig_that_is_in_the_mode_already_has_reached_it_whatever_it_answers() -> None:
    controller, fleet, clock, _ = simulated_controller(site(3), ScheduledFault(RigFault.REFUSES, "g0", (1,)))
    await controller.refresh()
    assert outcomes(await controller.execute(orders(clock, ("g0", "normal", range(3))))) == {"reached": [0, 1, 2]}


async def test_orders_before_any_reading_get_outcomes_all_the_same() -> None:
    controller, fleet, clock, _ = simulated_controller(site(4), ScheduledFault(RigFault.NO_EFFECT, "g0", (1,)))
    done = await controller.execute(orders(clock, ("g0", "sleep", range(4))))
    assert outcomes(done) == {"reached": [0, 2, 3], "no_effect": [1]}


async def test_a_rig_that_wakes_by_itself_is_seen_to() -> None:
    controller, fleet, clock, _ = simulated_controller(site(3), ScheduledFault(RigFault.WAKES_BY_ITSELF, "g0", (1,)))
    await controller.refresh()
    await controller.execute(orders(clock, ("g0", "sleep", range(3))))
    controller.snapshot(clock.now())
    await clock.sleep_until(clock.now() + timedelta(minutes=12))
    await controller.refresh()
    assert controller.snapshot(clock.now())["g0"].changed == {"waking": "1"}


KINDS = st.sampled_from(list(RigFault))
PLAYS = st.lists(st.tuples(st.sampled_from(["sleep", "low", "normal"]), st.sets(st.integers(0, 7), min_size=1)), min_size=1, max_size=4)


@settings(max_examples=40)
@given(st.dictionaries(st.integers(0, 7), KINDS, max_size=4), PLAYS, st.integers(0, 5))
async def test_every_rig_of_an_order_gets_exactly_one_outcome_and_reached_only_if_it_moved(
    ill: dict[int, RigFault], plays: list[tuple[str, set[int]]], seed: int
) -> None:
    controller, fleet, clock, _ = simulated_controller(site(8), *(ScheduledFault(f, "g0", (r,)) for r, f in ill.items()), seed=seed)
    await controller.refresh()
    for mode, rigs in plays:
        done = await controller.execute(orders(clock, ("g0", mode, rigs)))
        by = outcomes(done)
        assert sorted(r for some in by.values() for r in some) == sorted(rigs)
        assert set(done.results[0].reasons) == set(by) - {"reached"}
        if RigFault.REPORTS_NO_WATTS in ill.values():  # such a rig shows by its hashes that it stops, while its watts still fall
            await clock.sleep_until(clock.now() + timedelta(seconds=5))
            fleet.advance(clock.now().timestamp())
        for rig in by.get("reached", []):
            watts = fleet.truth("g0", np.array([rig]))[0][0]
            assert (watts < 400) == (mode == "sleep"), (rig, watts)
        for rig in set(rigs) - set(ill):
            assert rig in by["reached"]


async def test_a_fast_clock_is_noted_with_the_least_wall_times() -> None:
    controller, _, clock, _ = simulated_controller(site(3))
    assert controller.notes == ()
    clock.speed = 100.0
    assert "2.5 s of wall time (250 s here)" in controller.notes[0]


async def slept(controller: RigController, clock: VirtualClock) -> None:
    await controller.refresh()
    await controller.execute(orders(clock, ("g0", "sleep", range(20))))


async def test_an_order_over_time_is_sent_in_waves_of_one_size() -> None:
    controller, fleet, clock, _ = simulated_controller(site(20))
    await slept(controller, clock)
    began, seen = clock.now(), list[tuple[float, int]]()
    told = orders(clock, ("g0", "normal", range(20)))
    execution = asyncio.ensure_future(controller.execute(replace(told, orders=(replace(told.orders[0], spread_s=100.0),))))
    while not execution.done():
        await asyncio.sleep(0)
        seen.append(((clock.now() - began).total_seconds(), sum(m != "sleep" for m in fleet.modes("g0", np.arange(20)))))
    assert outcomes(execution.result()) == {"reached": list(range(20))}
    # One rig in five seconds, none before its time.
    assert all(awake <= at_s / 5.0 + 1 for at_s, awake in seen) and max(awake for at_s, awake in seen if at_s < 50) >= 8
    assert len({awake for _, awake in seen}) == 21


class Late:
    """A driver whose rigs take longer to be read than the waves of an order are apart."""

    def __init__(self, driver: Driver, clock: VirtualClock) -> None:
        self.abilities, self.set_mode, self.close, self._driver, self._clock = (
            driver.abilities,
            driver.set_mode,
            driver.close,
            driver,
            clock,
        )

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=40))
        return await self._driver.read(rigs, deadline_s)


async def test_no_rig_is_given_up_before_it_was_sent_the_order() -> None:
    """A look takes eight times as long as the waves are apart: the order's time runs from the last of them."""
    written, clock = site(20), VirtualClock(START)
    fleet = Fleet(spec_of(written.groups), 1, START.timestamp())
    late = Late(simulated_drivers(fleet, clock)["g0"], clock)
    controller = RigController(written, {"g0": late}, clock, Sink())
    await controller.refresh()
    told = orders(clock, ("g0", "sleep", range(20)))
    done = await controller.execute(replace(told, orders=(replace(told.orders[0], spread_s=100.0),)))
    assert outcomes(done) == {"reached": list(range(20))}


async def test_something_urgent_stops_the_waves_and_a_new_order_takes_over_the_rest() -> None:
    controller, fleet, clock, _ = simulated_controller(site(20))
    await slept(controller, clock)
    told = orders(clock, ("g0", "normal", range(20)))
    await controller.begin(replace(told, orders=(replace(told.orders[0], spread_s=100.0),)))
    working = asyncio.ensure_future(controller.work(clock.now() + timedelta(minutes=5)))
    while sum(m != "sleep" for m in fleet.modes("g0", np.arange(20))) < 5:
        await asyncio.sleep(0)
    controller.interrupt()
    assert await working is None and controller.busy
    awake = [k for k, m in enumerate(fleet.modes("g0", np.arange(20))) if m != "sleep"]
    assert 5 <= len(awake) < 12
    done = await controller.execute(orders(clock, ("g0", "sleep", range(20))))
    assert outcomes(done) == {"reached": list(range(20))}
    await controller.work(clock.now() + timedelta(minutes=5))
    assert set(fleet.modes("g0", np.arange(20))) == {"sleep"}


def test_a_rig_that_hashes_at_no_watts_is_not_asleep_whatever_it_was_ordered() -> None:
    """It counted as 0 W: a cap was missed and no shortfall named. The hashrate that a rig reports is an average: for some minutes after an
    order to sleep it may be that of the time before."""
    readings = GroupReadings(site(2).group("g0"))
    full = readings.group.full

    def read(watts: list[float], ths: list[float], at_s: float) -> GroupSeen:
        rigs = np.arange(2)
        known = readings.with_known_watts(Readings(rigs, np.array(watts), np.array(ths), np.full(2, at_s)))
        readings.add(known)
        return readings.snapshot(at_s)

    seen = read([0.0, full.watts], [full.ths, full.ths], 1000.0)
    assert seen.load_mw == pytest.approx(2 * full.watts / 1e6) and seen.changed == {full.name: "0-1"}
    readings.ordered(np.arange(2), "sleep", 12.0)
    readings.order_answered(np.arange(2), 1010.0)
    later = read([0.0, 10.0], [full.ths, 0.0], 1300.0)
    assert later.load_mw == pytest.approx((full.watts + 10.0) / 1e6) and later.changed == {"sleep": "1"}
