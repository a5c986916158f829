"""A generator over Modbus TCP: started, stopped and metered; a failed start and a trip are named, planned around and billed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from dispatch.clock import VirtualClock
from dispatch.decide.decide import decide
from dispatch.decide.limits_now import load_limits
from dispatch.decide.plan_inputs import inputs
from dispatch.decide.state import State
from dispatch.entries import GeneratorSeen
from dispatch.meters.generator import GeneratorState
from dispatch.meters.generator_sections import generators_of
from dispatch.meters.site_devices import SiteDevices
from dispatch.settlement.day_journal import DayRecord
from dispatch.settlement.generation import generated, generator_findings
from dispatch.sim.meter import MeterBoard, metering
from dispatch.site_file.setup import Setup
from markets.grid import Grid, Market, OperatingDay
from tests.dispatch.decide.test_rig_selection import folded, planned, seen
from tests.fakes import NOON
from tests.sites import small

HOST, PORT, COIL = "127.40.0.8", 5022, 2
D_STATE = GeneratorState


class Machine:
    """What the simulated generator does: `obeys` says whether it follows its coil."""

    def __init__(self) -> None:
        self.obeys, self.tripped = True, False
        self.board = MeterBoard({1: self.kw})

    def kw(self) -> float:
        return 180.0 if self.board.coils[1][COIL] and self.obeys and not self.tripped else 0.0


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    made = Machine()
    async with metering(made.board, HOST, PORT):
        yield made


def setup_of(**more: Any) -> Setup:
    controls = {"kind": "modbus", "host": HOST, "port": PORT, "register": 0, "coil": COIL, "start_s": 60.0, "retry_min": 30.0, **more}
    genset = {"type": "generation", "name": "genset", "mw": 0.2, "fuel_usd_per_mmbtu": 2.0, "heat_rate_mmbtu_per_mwh": 10.0}
    return small(obligations=[{"type": "power"}, {**genset, "controls": controls}], meters=[{"id": "main", "import_mw": 0.1}])


def devices(clock: VirtualClock, *, orders: bool = True) -> SiteDevices:
    return SiteDevices({}, generators_of(setup_of(), clock, orders=orders))


async def passed(site: SiteDevices, clock: VirtualClock, seconds: float) -> GeneratorSeen:
    for _ in range(int(seconds // 30)):
        await clock.sleep_until(clock.now() + timedelta(seconds=30))
        await site.tend({})
    return site.generators()["genset"]


async def test_it_starts_is_metered_and_stops_as_ordered(machine: Machine) -> None:
    clock = VirtualClock(NOON)
    site = devices(clock)
    assert (await passed(site, clock, 30)).state == "stopped" and not machine.board.coils[1][COIL]
    await site.order_generators({"genset": True})
    assert machine.board.coils[1][COIL]
    running = await passed(site, clock, 30)
    assert (running.state, running.wanted) == ("running", True) and running.mw == pytest.approx(0.18)
    await site.order_generators({"genset": False})
    stopped = await passed(site, clock, 60)
    assert (stopped.state, stopped.mw, stopped.out_until) == ("stopped", 0.0, None) and site.alerts() == {}
    await site.close()


async def test_a_start_that_fails_is_named_withdrawn_and_tried_again_later(machine: Machine) -> None:
    clock = VirtualClock(NOON)
    site = devices(clock)
    machine.obeys = False
    await site.order_generators({"genset": True})
    failed = await passed(site, clock, 90)
    assert failed.state == "start failed" and failed.out_until == failed.since + timedelta(minutes=30)  # type: ignore[operator]
    assert not machine.board.coils[1][COIL], "the order is withdrawn: it does not start later by itself"
    assert "genset did not start, seen at" in site.alerts()["generator genset"]
    machine.obeys = True
    assert (await passed(site, clock, 20 * 60)).state == "start failed"
    assert (await passed(site, clock, 12 * 60)).state == "running" and site.alerts() == {}
    await site.close()


async def test_a_trip_is_named_and_a_device_that_is_silent_is_not_switched(machine: Machine) -> None:
    clock = VirtualClock(NOON)
    site = devices(clock)
    await site.order_generators({"genset": True})
    assert (await passed(site, clock, 30)).state == "running"
    machine.board.silent.add(1)
    silent = await passed(site, clock, 60)
    assert (silent.state, silent.mw) == ("running", None) and "does not answer" in site.alerts()["generator genset"]
    machine.board.silent.clear()
    machine.tripped = True
    assert (await passed(site, clock, 30)).state == "tripped" and "tripped, seen at" in site.alerts()["generator genset"]
    await site.close()


async def test_a_shadow_run_reads_and_never_writes(machine: Machine) -> None:
    clock = VirtualClock(NOON)
    site = devices(clock, orders=False)
    await site.order_generators({"genset": True})
    assert (await passed(site, clock, 300)).state == "stopped" and not any(machine.board.coils[1])
    machine.board.coils[1][COIL] = True  # its own controller starts it, and stops it
    assert (await passed(site, clock, 30)).state == "running"
    machine.board.coils[1][COIL] = False
    assert (await passed(site, clock, 30)).state == "stopped" and site.alerts() == {}
    await site.close()


def state_with(setup: Setup, genset: GeneratorSeen) -> State:
    return folded(setup, replace(seen(setup, NOON), generators={"genset": genset}))


def test_the_plan_counts_on_nothing_from_one_that_failed_until_it_may_be_tried_again() -> None:
    setup, until = setup_of(), NOON + timedelta(minutes=45)
    failed = state_with(setup, GeneratorSeen(state=D_STATE.TRIPPED, since=NOON, mw=0.0, out_until=until))
    ahead = inputs(failed, NOON)
    machine = next(made for o in setup.book if (made := o.generator(setup.site)))
    most = machine.most_mw(ahead.outlook.grid, ahead.outlook.available_mw)
    starts = ahead.outlook.grid.edges[:-1]
    np.testing.assert_array_equal(most, np.where(starts < until.timestamp(), 0.0, 0.2))
    assert ahead.so_far.memory["genset"].running_mw == 0.0  # type: ignore[attr-defined]
    line = {limit.promise: limit.cap_mw for limit in load_limits(failed, NOON)}
    assert line["line main"] == pytest.approx(0.1), "the line alone carries the rigs now"
    well = state_with(setup, GeneratorSeen(state=D_STATE.RUNNING, since=NOON, mw=0.18))
    assert {limit.promise: limit.cap_mw for limit in load_limits(well, NOON)}["line main"] == pytest.approx(0.3)
    assert inputs(well, NOON).so_far.memory["genset"].running_mw == 0.18  # type: ignore[attr-defined]
    assert any("generator genset: tripped" in news.what for news in failed.news)


def test_a_decision_orders_what_the_plan_says_once_a_tick() -> None:
    setup = setup_of()
    plan = planned(setup, NOON, 1)
    assert plan.plan is not None
    intervals = [{**i, "generation": {"genset": {"mw": 0.1, "since": NOON.isoformat()}}} for i in plan.plan["intervals"]]
    plan = replace(plan, plan={**plan.plan, "intervals": intervals})
    stopped = GeneratorSeen(state=D_STATE.STOPPED, since=NOON, mw=0.0)
    state = state_with(setup, stopped).after(plan, 2)
    commanded = decide(state, NOON, 1)
    assert commanded is not None and commanded.generators == {"genset": True}
    again = decide(state.after(commanded, 3), NOON, 2)
    assert again is None or again.orders
    ordered = state_with(setup, replace(stopped, wanted=True)).after(plan, 2)
    quiet = decide(ordered, NOON, 1)
    assert quiet is None or quiet.orders or quiet.shortfall_mw or quiet.skipped


def test_a_day_is_billed_by_the_meter_and_names_the_trip() -> None:
    """120 kW by the meter until it trips at 12:45; no plan is in force. A reading that is missing for longer is made up by no other."""
    setup, day = setup_of(), OperatingDay.of(Market.ERCOT, NOON)
    grid = Grid.regular(NOON, NOON + timedelta(hours=1), 15)
    load = {g.name: [Decimal("0.05")] * 4 for g in setup.site.groups}
    running = GeneratorSeen(state=D_STATE.RUNNING, since=NOON, mw=0.12)
    tripped = GeneratorSeen(state=D_STATE.TRIPPED, since=NOON + timedelta(minutes=45), mw=0.0, out_until=NOON + timedelta(minutes=75))
    readings = [(NOON + timedelta(minutes=5 * k), running if k < 9 else tripped) for k in range(-1, 14)]
    record = DayRecord(day, generators={"genset": readings})
    assert generated(setup, record, grid, load).mwh["genset"] == [Decimal("0.03")] * 3 + [Decimal(0)]
    assert [(f.kind, "out until 18:15Z" in f.text) for f in generator_findings(record)] == [("generator-tripped", True)]
    holed = DayRecord(day, generators={"genset": [row for row in readings if not NOON < row[0] < NOON + timedelta(minutes=30)]})
    assert generated(setup, holed, grid, load).mwh["genset"] == [Decimal(0), Decimal(0), Decimal("0.03"), Decimal(0)], "by the schedule"
