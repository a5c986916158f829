"""A small imagined site for tests of the loop: given facts, a simulated fleet, a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from dispatch.clock import VirtualClock
from dispatch.meters import PowerMeter
from dispatch.meters.readings import MeterReadings
from dispatch.power_meters import MeterId
from dispatch.rigs.controller import RigController
from dispatch.runtime.assemble import meter_checks
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


class LyingMeter:
    """A meter that reads what `reads` makes of the true load."""

    def __init__(self, true: PowerMeter, reads: Callable[[float, float], float], clock: VirtualClock) -> None:
        self._true, self._reads, self._clock = true, reads, clock

    async def read_mw(self, deadline_s: float) -> float | None:
        true_mw = await self._true.read_mw(deadline_s)
        return None if true_mw is None else self._reads(true_mw, self._clock.now().timestamp())

    async def close(self) -> None:
        await self._true.close()


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
    meter_reads: Callable[[float, float], float] | None = None,
    wired: Mapping[MeterId, PowerMeter] | None = None,
) -> World:
    """`meter_reads` is what every meter reads of the true load, MW, at an instant, epoch seconds; `wired` meters take the place of those of
    the simulated fleet."""
    clock = clock or VirtualClock(start)
    fleet = fleet or Fleet(spec_of(setup.site.groups).with_faults(tuple(faults)), seed, start.timestamp())
    wired = dict(simulated_meters(setup.site, fleet, clock) if wired is None else wired)
    if meter_reads is not None:
        wired = {name: LyingMeter(meter, meter_reads, clock) for name, meter in wired.items()}
    meters = MeterReadings(wired, clock, meter_checks(setup))
    controller = RigController(setup.site, simulated_drivers(fleet, clock), clock, telemetry or DiscardedTelemetry(), meters)
    every_source = [FixedSource(list(facts)), *sources]
    observer = SiteObserver(clock, [PolledSource(s) for s in every_source], controller, inbox, refresh_each_tick=True)
    return World("replay", clock, observer, controller, InlinePlanner())
