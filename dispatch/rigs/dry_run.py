"""Dry run: reads rigs through another driver, records orders, and writes to no rig.

All it keeps of the other driver are its `read`, its `identify` and its `close`: no rig is asked for a token. What an ordered rig would draw
comes from simulated rigs that do obey, so that the controller judges the orders as it would have judged theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispatch.clock import Clock
from dispatch.entries import pack
from dispatch.rigs import Ability, Driver, Identifies, Readings, Sent
from dispatch.rigs.wire.identity import RigIdentity
from optimizer.domain.site import RigGroup


class ExpectedRigs(Protocol):
    """How the rigs of a group would behave had the orders been sent; `dispatch.sim.fleet.Fleet` is one. Rigs are positions in the group,
    int64; instants are epoch seconds."""

    def advance(self, to_s: float) -> None:
        """Let time pass to an instant."""
        ...

    def read(self, group: str, rigs: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Watts and TH/s, one of each per rig."""
        ...

    def place(self, group: str, rigs: NDArray[np.int64], mode: str) -> None:
        """Put rigs into a mode they have been in for long."""
        ...

    def command(self, group: str, rigs: NDArray[np.int64], mode: str) -> object:
        """Order rigs into a mode, now."""
        ...


class DryRunDriver:
    """The driver of a shadow run. `expect` makes the rigs that stand in for the ordered ones, at an instant in epoch seconds. `path`
    collects the orders as JSON lines; `written` has them as (epoch seconds, mode, packed rigs)."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.MODES})

    def __init__(
        self, group: RigGroup, driver: Driver, clock: Clock, expect: Callable[[float], ExpectedRigs], path: Path | None = None
    ) -> None:
        self._read, self._close = driver.read, driver.close
        self._identify = driver.identify if isinstance(driver, Identifies) else None
        self._group, self._clock, self._path = group, clock, path
        self._expect = expect
        self._expected: ExpectedRigs | None = None
        self._ordered = np.zeros(group.rigs, bool)
        # By rig, watts it was last read to draw beyond what it would draw had its orders been sent.
        self._withheld_w = np.zeros(group.rigs)
        self.written: list[tuple[float, str, str]] = []

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Real readings; for rigs with an order, what they would read had it been sent. Silent rigs stay silent."""
        readings = await self._read(rigs, deadline_s)
        at = np.flatnonzero(self._ordered[readings.rigs])
        if self._expected is None or not len(at):
            return readings
        self._expected.advance(self._clock.now().timestamp())
        watts, ths = readings.watts.copy(), readings.ths.copy()
        silent = np.isnan(watts[at])
        expected_w, expected_ths = self._expected.read(self._group.name, readings.rigs[at])
        self._withheld_w[readings.rigs[at]] = np.where(silent, self._withheld_w[readings.rigs[at]], watts[at] - expected_w)
        watts[at], ths[at] = np.where(silent, np.nan, expected_w), np.where(silent, np.nan, expected_ths)
        return Readings(readings.rigs, watts, ths, readings.at)

    @property
    def withheld_w(self) -> float:
        """Watts the rigs were last read to draw beyond what they would draw had the orders been sent: a real meter measures them."""
        return float(self._withheld_w.sum())

    async def identify(self, rigs: Sequence[int], deadline_s: float) -> Mapping[int, RigIdentity]:
        """What the real rigs say they are."""
        return await self._identify(rigs, deadline_s) if self._identify else {}

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Record the order; every rig counts as having accepted it."""
        at_s = self._clock.now().timestamp()
        self.written.append((at_s, mode, pack(rigs)))
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": at_s, "group": self._group.name, "mode": mode, "rigs": pack(rigs)}) + "\n")
        await self._simulate(np.array(rigs, np.int64), mode, at_s)
        return Sent(sent=tuple(rigs))

    async def _simulate(self, rigs: np.ndarray, mode: str, at_s: float) -> None:
        """From now on these rigs are simulated, starting in the mode they are really in."""
        fresh = rigs[~self._ordered[rigs]]
        if self._expected is None:
            self._expected = self._expect(at_s)
        self._expected.advance(at_s)
        if len(fresh):
            real = await self._read(fresh.tolist(), 2.0)
            between = np.array([(a.watts + b.watts) / 2 for a, b in zip(self._group.modes, self._group.modes[1:], strict=False)])
            is_in = np.searchsorted(between, np.nan_to_num(real.watts))
            for position in np.unique(is_in):
                self._expected.place(self._group.name, real.rigs[is_in == position], self._group.modes[position].name)
        self._ordered[rigs] = True
        self._expected.command(self._group.name, rigs, mode)

    async def close(self) -> None:
        """Close the driver it reads through."""
        await self._close()
