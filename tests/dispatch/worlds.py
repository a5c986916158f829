"""A small imagined site for tests of the loop: given facts, a simulated fleet, a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dispatch.clock import VirtualClock
from dispatch.config import Setup
from dispatch.eyes import Looker, Watched
from dispatch.meters.panel import Panel
from dispatch.meters.simulated import simulated_meters
from dispatch.planner import InlinePlanner
from dispatch.rigs.crew import Crew
from dispatch.rigs.simulated import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import Affliction, spec_of
from dispatch.world import World
from markets.facts import Fact
from tests.fakes import Forgetful, Telling


def world(
    setup: Setup,
    start: datetime,
    facts: Iterable[Fact] = (),
    *,
    fleet: Fleet | None = None,
    faults: Iterable[Affliction] = (),
    seed: int = 0,
    inbox: Any = None,
    telemetry: Any = None,
    sources: Iterable[Telling] = (),
) -> World:
    clock = VirtualClock(start)
    fleet = fleet or Fleet(spec_of(setup.site.groups).with_afflictions(tuple(faults)), seed, start.timestamp())
    panel = Panel(simulated_meters(setup.site, fleet, clock), clock)
    crew = Crew(setup.site, simulated_drivers(fleet, clock), clock, telemetry or Forgetful(), panel)
    told = [Telling(list(facts)), *sources]
    eyes = Looker(clock, [Watched(s) for s in told], crew, inbox, refresh_each_look=True)
    return World("replay", clock, eyes, crew, InlinePlanner())
