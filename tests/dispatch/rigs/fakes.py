"""A small site, a fleet of it, and a sink that keeps what it is given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from dispatch.clock import Clock, VirtualClock
from dispatch.entries import Commanded, Done, Order, pack, unpack
from dispatch.rigs.controller import RigController
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import ScheduledFault, spec_of
from optimizer.domain.site import Hall, Meter, Mode, RigGroup, Site

START = datetime(2026, 8, 20, 16, tzinfo=UTC)
MODES = (Mode(name="sleep", watts=13, ths=0), Mode(name="low", watts=2000, ths=115), Mode(name="normal", watts=3400, ths=180))


def site(*sizes: int, wake_min: float = 10.0) -> Site:
    model = "whatsminer-m60s"
    groups = tuple(
        RigGroup(name=f"g{k}", hall="h", model=model, rigs=n, modes=MODES, wake_min=wake_min) for k, n in enumerate(sizes or (20,))
    )
    return Site(
        name="test",
        market="ercot",
        settlement_point="LZ_WEST",
        interconnect_mw=100,
        meters=(Meter(id="m", settlement_point="LZ_WEST"),),
        halls=(Hall(name="h", meter="m", limit_mw=100),),
        groups=groups,
    )


class Sink:
    """Keeps every record; `rows` are (at_s, group, rig, watts, ths, why)."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, str, int, float, float, str]] = []

    def record(self, at_s: np.ndarray, group: str, rigs: np.ndarray, watts: np.ndarray, ths: np.ndarray, why: str) -> None:
        assert len(at_s) == len(rigs) == len(watts) == len(ths)
        self.rows += [(float(a), group, int(r), float(w), float(t), why) for a, r, w, t in zip(at_s, rigs, watts, ths, strict=True)]


def simulated_controller(written: Site, *faults: ScheduledFault, seed: int = 1) -> tuple[RigController, Fleet, VirtualClock, Sink]:
    """A controller over an in-process fleet, on a clock that moves only as it is waited for."""
    clock, sink = VirtualClock(START), Sink()
    fleet = Fleet(spec_of(written.groups).with_faults(faults), seed, START.timestamp())
    return RigController(written, simulated_drivers(fleet, clock), clock, sink), fleet, clock, sink


def orders(clock: Clock, *of: tuple[str, str, Any], deadline_s: float = 60.0) -> Commanded:
    """Orders as (group, mode, rigs)."""
    made = tuple(
        Order(id=f"{clock.now().timestamp()}-{k}", group=g, mode=m, rigs=pack(list(r)), deadline_s=deadline_s, why="")
        for k, (g, m, r) in enumerate(of)
    )
    return Commanded(at=clock.now(), round=1, orders=made, target_mw={})


def outcomes(done: Done, order: int = 0) -> dict[str, list[int]]:
    return {k: list(unpack(v)) for k, v in done.results[order].rigs_by_outcome.items()}
