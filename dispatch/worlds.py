"""The worlds: which clock, eyes, hands and planner each is made of. Nothing else differs between them."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from dispatch.clock import Clock
from dispatch.config import Setup
from dispatch.eyes import Looker, Watched
from dispatch.meters.panel import Panel
from dispatch.meters.settings import fans_of, meters_of
from dispatch.meters.simulated import simulated_meters
from dispatch.planner import InlinePlanner, WorkerPlanner
from dispatch.rigs import Driver
from dispatch.rigs.crew import Crew, TelemetrySink
from dispatch.rigs.paper import Paper
from dispatch.rigs.simulated import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import spec_of
from dispatch.sources import watched
from dispatch.store.inbox import Inbox
from dispatch.world import World

POLL_S = 30.0  # world seconds between looks at every rig


@dataclass(frozen=True, slots=True)
class Assembled:
    """A world, its crew, and what has to run beside the loop."""

    world: World
    crew: Crew
    beside: tuple[Coroutine[Any, Any, Any], ...] = field(default=())


def live(setup: Setup, clock: Clock, inbox: Inbox, telemetry: TelemetrySink, *, paper: bool = False) -> Assembled:
    """Real sources and real rigs. With `paper` the same eyes, and hands that write to no rig: the shadow."""
    fans = {} if paper else fans_of(setup)
    crew = Crew(setup.site, _drivers(setup, clock, paper), clock, telemetry, Panel(meters_of(setup), clock), fans)
    sources = watched(setup, clock.now)
    eyes = Looker(clock, sources, crew, inbox, refresh_each_look=False)
    planner = WorkerPlanner(clock)
    world = World("shadow" if paper else "live", clock, eyes, crew, planner)
    return Assembled(world, crew, (crew.watch(POLL_S), eyes.watch(), planner.work()))


def replay(
    setup: Setup, clock: Clock, telemetry: TelemetrySink, inbox: Inbox | None = None, more: tuple[Watched, ...] = (), seed: int = 0
) -> Assembled:
    """Archived or synthetic facts, a simulated fleet in this process, time that jumps from tick to tick."""
    fleet = _fleet(setup, seed, clock)
    panel = Panel(simulated_meters(setup.site, fleet, clock), clock)
    crew = Crew(setup.site, simulated_drivers(fleet, clock), clock, telemetry, panel)
    eyes = Looker(clock, [*watched(setup, clock.now), *more], crew, inbox, refresh_each_look=True)
    return Assembled(World("replay", clock, eyes, crew, InlinePlanner()), crew)


def _fleet(setup: Setup, seed: int, clock: Clock) -> Fleet:
    return Fleet(spec_of(setup.site.groups), seed, clock.now().timestamp())


def _drivers(setup: Setup, clock: Clock, paper: bool) -> Mapping[str, Driver]:
    drivers: dict[str, Driver] = {}
    for group in setup.site.groups:
        reached = setup.driver(group.name).reach(setup, group.name, clock)
        drivers[group.name] = Paper(group, reached, clock) if paper and not isinstance(reached, Paper) else reached
    return drivers
