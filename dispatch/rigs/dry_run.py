"""Paper executor: reads rigs through another driver, writes orders down, and touches nothing.

All it keeps of the other driver are its `read` and its `close`. What an ordered rig would draw is taken from the simulator's physics,
so that the crew judges its orders as it would have judged obedient rigs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dispatch.clock import Clock
from dispatch.entries import pack
from dispatch.rigs import Ability, Driver, Readings, Sent
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import spec_of
from optimizer.domain.site import RigGroup


class DryRunDriver:
    """The driver of a shadow run. `path` collects the orders as JSON lines; `written` has them as (epoch seconds, mode, packed rigs)."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.MODES})

    def __init__(self, group: RigGroup, driver: Driver, clock: Clock, path: Path | None = None) -> None:
        self._read, self._close = driver.read, driver.close
        self._group, self._clock, self._path = group, clock, path
        self._would: Fleet | None = None
        self._ordered = np.zeros(group.rigs, bool)
        # By rig, what it was last seen to draw beyond what it would have drawn.
        self._beyond_w = np.zeros(group.rigs)
        self.written: list[tuple[float, str, str]] = []

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Real readings; of rigs that were ordered about, what they would have read. Silent rigs stay silent."""
        readings = await self._read(rigs, deadline_s)
        at = np.flatnonzero(self._ordered[readings.rigs])
        if self._would is None or not len(at):
            return readings
        self._would.advance(self._clock.now().timestamp())
        watts, ths = readings.watts.copy(), readings.ths.copy()
        silent = np.isnan(watts[at])
        would_w, would_ths = self._would.read(self._group.name, readings.rigs[at])
        self._beyond_w[readings.rigs[at]] = np.where(silent, self._beyond_w[readings.rigs[at]], watts[at] - would_w)
        watts[at], ths[at] = np.where(silent, np.nan, would_w), np.where(silent, np.nan, would_ths)
        return Readings(readings.rigs, watts, ths, readings.at)

    @property
    def beyond_w(self) -> float:
        """What the rigs were last seen to draw beyond what they would have drawn, had they been told: a real meter sees it."""
        return float(self._beyond_w.sum())

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Write it down."""
        at_s = self._clock.now().timestamp()
        self.written.append((at_s, mode, pack(rigs)))
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": at_s, "group": self._group.name, "mode": mode, "rigs": pack(rigs)}) + "\n")
        await self._imagine(np.array(rigs, np.int64), mode, at_s)
        return Sent(sent=tuple(rigs))

    async def _imagine(self, rigs: np.ndarray, mode: str, at_s: float) -> None:
        """From now on these rigs follow the physics, from the mode they were really in."""
        fresh = rigs[~self._ordered[rigs]]
        if self._would is None:
            self._would = Fleet(spec_of([self._group]), 0, at_s)
        self._would.advance(at_s)
        if len(fresh):
            real = await self._read(fresh.tolist(), 2.0)
            between = np.array([(a.watts + b.watts) / 2 for a, b in zip(self._group.modes, self._group.modes[1:], strict=False)])
            is_in = np.searchsorted(between, np.nan_to_num(real.watts))
            for position in np.unique(is_in):
                self._would.place(self._group.name, real.rigs[is_in == position], self._group.modes[position].name)
        self._ordered[rigs] = True
        self._would.command(self._group.name, rigs, mode)

    async def close(self) -> None:
        await self._close()
