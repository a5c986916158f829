"""A small imagined site for tests of the loop: given facts, a simulated fleet, a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dispatch.clock import VirtualClock
from dispatch.meters.readings import MeterReadings
from dispatch.rigs.controller import RigController
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.planner import InlinePlanner
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.world import World
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.fleet_meter import simulated_meters
from dispatch.sim.spec import ScheduledFault, spec_of
from dispatch.site_file.setup import Setup
from markets.facts import Fact
from tests.fakes import DiscardedTelemetry, FixedSource


def world(
    setup: Setup,
    start: datetime,
    facts: Iterable[Fact] = (),
    *,
    fleet: Fleet | None = None,
    faults: Iterable[ScheduledFault] = (),
    seed: int = 0,
    inbox: Any = None,
    telemetry: Any = None,
    sources: Iterable[FixedSource] = (),
    clock: VirtualClock | None = None,
) -> World:
    clock = clock or VirtualClock(start)
    fleet = fleet or Fleet(spec_of(setup.site.groups).with_faults(tuple(faults)), seed, start.timestamp())
    meters = MeterReadings(simulated_meters(setup.site, fleet, clock), clock)
    controller = RigController(setup.site, simulated_drivers(fleet, clock), clock, telemetry or DiscardedTelemetry(), meters)
    every_source = [FixedSource(list(facts)), *sources]
    observer = SiteObserver(clock, [PolledSource(s) for s in every_source], controller, inbox, refresh_each_tick=True)
    return World("replay", clock, observer, controller, InlinePlanner())
