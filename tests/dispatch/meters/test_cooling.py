"""Pumps and fans of a hall: order, lead and run-on, minimum times, and never off while rigs may run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.meters.cooling import CoolingDevice, HallCooling
from dispatch.meters.cooling_sections import ModbusCooling
from dispatch.meters.modbus import ModbusCoil
from dispatch.meters.site_devices import SiteDevices
from dispatch.rigs import Readings
from dispatch.rigs.controller import RigController
from dispatch.rigs.group_readings import GroupReadings
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.meter import MeterBoard, metering
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from dispatch.site_file.load import setup_from_document
from tests.dispatch.rigs.fakes import START, Sink, orders, outcomes, site
from tests.sites import document

HOST, PORT = "127.40.0.7", 5021
PUMP, FAN = 0, 1


class Wired:
    """A switch that does as it is told, or does not; every switching is logged in order."""

    def __init__(self, name: str, log: list[str], on: bool | None = False) -> None:
        self.name, self.log, self.on, self.obeys = name, log, on, True

    async def run(self, on: bool, deadline_s: float) -> bool:
        self.log.append(f"{self.name} {'on' if on else 'off'}")
        if self.obeys:
            self.on = on
        return self.obeys

    async def is_on(self, deadline_s: float) -> bool | None:
        return self.on

    async def close(self) -> None:
        return None


def hall(clock: VirtualClock, log: list[str], **more: float) -> tuple[HallCooling, Wired, Wired]:
    pump, fan = Wired("pump", log), Wired("fan", log)
    devices = [
        CoolingDevice("pump", pump, lead_s=20.0, run_on_s=600.0, **more),
        CoolingDevice("fan", fan, lead_s=5.0, run_on_s=60.0, **more),
    ]
    return HallCooling("h", devices, clock), pump, fan


async def test_they_start_in_order_before_rigs_and_stop_after_them_the_other_way_round() -> None:
    clock, log = VirtualClock(START), list[str]()
    cooling, _, _ = hall(clock, log)
    assert await cooling.start() == ""
    assert log == ["pump on", "fan on"] and clock.now() - START == timedelta(seconds=25)
    for minutes in range(30):
        await cooling.tend(minutes < 5)
        await clock.sleep_until(clock.now() + timedelta(minutes=1))
        if minutes == 7:
            assert log[2:] == ["fan off"], "a minute after the rigs' last watts; the pump runs on"
    assert log[2:] == ["fan off", "pump off"] and cooling.alert == ""
    assert await cooling.start() == "" and log[4:] == ["pump on", "fan on"]


async def test_what_may_run_is_never_left_without_air() -> None:
    clock, log = VirtualClock(START), list[str]()
    cooling, pump, fan = hall(clock, log)
    pump.on = fan.on = True
    for running in [None] * 60:
        await cooling.tend(running)
        await clock.sleep_until(clock.now() + timedelta(minutes=1))
    assert log == [], "nothing is switched while a rig is unread"
    fan.on = False
    await cooling.tend(True)
    assert log == ["fan on"], "a fan that stopped by itself is started while rigs run"


async def test_minimum_times_hold_and_a_device_that_does_not_obey_is_named() -> None:
    clock, log = VirtualClock(START), list[str]()
    cooling, pump, fan = hall(clock, log, min_on_s=1800.0, min_off_s=900.0)
    await cooling.start()
    for _ in range(40):
        await cooling.tend(False)
        await clock.sleep_until(clock.now() + timedelta(minutes=1))
    assert log == ["pump on", "fan on", "fan off", "pump off"]
    await clock.sleep_until(START + timedelta(minutes=31))
    assert "may be started again in" in await cooling.start(), "the pump was off for less than its minimum"
    await clock.sleep_until(clock.now() + timedelta(minutes=15))
    fan.obeys = False
    assert await cooling.start() == "fan of hall h did not start: its rigs are not woken"
    assert cooling.alert


async def test_a_pump_that_does_not_answer_is_left_as_it_is_and_keeps_the_ones_before_it_on() -> None:
    clock, log = VirtualClock(START), list[str]()
    cooling, _, fan = hall(clock, log)
    await cooling.start()
    cooling.devices[1].on, fan.on = None, None
    for _ in range(20):
        await cooling.tend(False)
        await clock.sleep_until(clock.now() + timedelta(minutes=1))
    assert log == ["pump on", "fan on"] and "cannot be read" in cooling.alert


def test_a_group_stands_still_only_when_every_rig_is_known_to() -> None:
    written = site(4)
    group = GroupReadings(written.groups[0])
    assert group.runs(0.0) is None, "unread"

    def read(watts: list[float], ths: list[float], at_s: float) -> None:
        group.add(Readings(np.arange(4), np.array(watts), np.array(ths), np.full(4, at_s)))

    read([10.0] * 4, [0.0] * 4, 100.0)
    assert group.runs(110.0) is False
    assert group.runs(900.0) is None, "read long ago"
    read([10.0, 0.0, 10.0, 10.0], [0.0, 200.0, 0.0, 0.0], 1000.0)
    assert group.runs(1001.0) is True, "it hashes at no watts"
    read([10.0] * 4, [0.0] * 4, 1010.0)
    group.ordered(np.array([2]), "normal", 300.0)
    assert group.runs(1020.0) is None, "it may be starting"
    group.ordered(np.array([2]), "sleep", 12.0)
    assert group.runs(1040.0) is False


@pytest.fixture
async def board() -> AsyncIterator[MeterBoard]:
    made = MeterBoard({1: lambda: 0.0})
    async with metering(made, HOST, PORT):
        yield made


def wired(clock: VirtualClock) -> SiteDevices:
    coils = [ModbusCoil(HOST, PORT, 1, coil) for coil in (PUMP, FAN)]
    devices = [CoolingDevice(name, coil, run_on_s=120.0) for name, coil in zip(("pump", "fan"), coils, strict=True)]
    return SiteDevices({"h": HallCooling("h", devices, clock)})


async def test_rigs_wake_and_sleep_with_pump_and_fan_over_modbus(board: MeterBoard) -> None:
    written, clock = site(4), VirtualClock(START)
    fleet = Fleet(spec_of(written.groups), 1, START.timestamp())
    controller = RigController(written, simulated_drivers(fleet, clock), clock, Sink(), devices=wired(clock))
    await controller.refresh()
    assert board.coils[1][PUMP] and board.coils[1][FAN], "rigs that run are given air at the first reading"
    await controller.execute(orders(clock, ("g0", "sleep", range(4))))
    for _ in range(10):
        await controller.refresh()
        await clock.sleep_until(clock.now() + timedelta(seconds=30))
    assert not board.coils[1][PUMP] and not board.coils[1][FAN]
    done = await controller.execute(replace(orders(clock, ("g0", "normal", range(4))), fans=("h",)))
    assert outcomes(done) == {"reached": [0, 1, 2, 3]} and board.coils[1][PUMP] and board.coils[1][FAN]
    await controller.close()


async def test_rigs_stay_asleep_where_a_fan_does_not_start(board: MeterBoard) -> None:
    written, clock = site(4), VirtualClock(START)
    fleet = Fleet(spec_of(written.groups), 1, START.timestamp())
    controller = RigController(written, simulated_drivers(fleet, clock), clock, Sink(), devices=wired(clock))
    await controller.execute(orders(clock, ("g0", "sleep", range(4))))
    board.stuck_coils = True
    done = await controller.execute(replace(orders(clock, ("g0", "normal", range(4))), fans=("h",)))
    assert outcomes(done) == {"partly": [0, 1, 2, 3]} and set(fleet.modes("g0", np.arange(4))) == {"sleep"}
    assert done.results[0].reasons["partly"] == "not sent: pump of hall h did not start: its rigs are not woken"
    assert controller.devices.alerts() == {"cooling of hall h": "pump of hall h did not start: its rigs are not woken"}
    await controller.close()


async def test_one_silent_rig_keeps_the_hall_cooled(board: MeterBoard) -> None:
    written, clock = site(4), VirtualClock(START)
    silent = ScheduledFault(RigFault.UNREACHABLE, "g0", rigs=(3,), from_s=START.timestamp() + 40)
    fleet = Fleet(spec_of(written.groups).with_faults((silent,)), 1, START.timestamp())
    controller = RigController(written, simulated_drivers(fleet, clock), clock, Sink(), devices=wired(clock))
    await controller.refresh()
    await clock.sleep_until(START + timedelta(minutes=1))
    await controller.execute(orders(clock, ("g0", "sleep", range(4))))
    for _ in range(30):
        await controller.refresh()
        await clock.sleep_until(clock.now() + timedelta(seconds=30))
    assert board.coils[1][PUMP] and board.coils[1][FAN], "the rig that does not answer may be running"
    await controller.close()


def test_a_site_file_names_them_in_order_and_the_one_table_of_older_files_is_the_first() -> None:
    pump = {"kind": "modbus", "name": "pump", "host": "127.0.0.1", "coil": 0, "run_on_s": 600}
    fan = {"kind": "modbus", "name": "fan", "host": "127.0.0.1", "coil": 1}
    halls = document()["halls"]
    new = setup_from_document(document(halls=[{**halls[0], "cooling": [pump, fan]}, halls[1]]))
    assert [t["name"] for t in new.site.halls[0].cooling] == ["pump", "fan"]
    assert ModbusCooling.model_validate(dict(new.site.halls[0].cooling[0])).run_on_s == 600
    old = setup_from_document(document(halls=[{**halls[0], "fans": fan}, halls[1]]))
    assert [t["name"] for t in old.site.halls[0].cooling] == ["fan"]
    assert State.start(old, setup_from_document).site.halls[0].cooling
