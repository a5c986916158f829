"""Driver over a simulated fleet in this process, without sockets. Replay, what-if and tests move their rigs through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dispatch.clock import Clock
from dispatch.rigs import Ability, Readings, Sent
from dispatch.sim.fleet import REFUSED, SENT, UNREACHABLE, UNSUPPORTED, Fleet


class SimulatedDriver:
    """The rigs of one group of a fleet; the fleet's time is the clock's. A rig answers at once or never, so deadlines do not matter."""

    abilities = frozenset({Ability.READ, Ability.SLEEP, Ability.WAKE, Ability.MODES})

    def __init__(self, fleet: Fleet, group: str, clock: Clock) -> None:
        self._fleet, self._group, self._clock = fleet, group, clock

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """Watts and TH/s of rigs at the clock's now, in the order of `rigs`; NaN for those that do not answer."""
        at_s = self._advance()
        positions = _positions(rigs)
        watts, ths = self._fleet.read(self._group, positions)
        return Readings(positions, watts, ths, np.full(len(positions), at_s))

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """Order rigs into a mode at the clock's now; returns their answers."""
        self._advance()
        positions = _positions(rigs)
        codes = self._fleet.command(self._group, positions, mode).code
        of = {code: tuple(positions[codes == code].tolist()) for code in (SENT, REFUSED, UNSUPPORTED, UNREACHABLE)}
        return Sent(of[SENT], of[REFUSED], of[UNSUPPORTED], of[UNREACHABLE])

    async def close(self) -> None:
        """Nothing is open."""

    def _advance(self) -> float:
        at_s = self._clock.now().timestamp()
        self._fleet.advance(at_s)
        return at_s


def _positions(rigs: Sequence[int]) -> NDArray[np.int64]:
    return np.arange(rigs.start, rigs.stop, rigs.step) if isinstance(rigs, range) else np.array(rigs, np.int64)


def simulated_drivers(fleet: Fleet, clock: Clock) -> dict[str, SimulatedDriver]:
    """One driver for each group of the fleet."""
    return {g.name: SimulatedDriver(fleet, g.name, clock) for g in fleet.spec.groups}
