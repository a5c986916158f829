"""Schedule of injected rig faults."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dispatch.sim.ramps import Ints
from dispatch.sim.spec import RigFault, ScheduledFault

NO_RIGS: Ints = np.array([], np.int64)


class FaultSchedule:
    """Faults with the rigs that were drawn for them. Rigs are positions in the whole fleet, int64; instants are epoch seconds."""

    def __init__(self, drawn: Iterable[tuple[ScheduledFault, Ints]]) -> None:
        self._drawn = list(drawn)
        # By fault: from when until when which rigs have it, so that asking again for a rig is cheap.
        self._current: dict[RigFault, tuple[float, float, Ints]] = {}

    def add(self, fault: ScheduledFault, rigs: Ints) -> None:
        """Schedule a fault for rigs."""
        self._drawn.append((fault, rigs))
        self._current.clear()

    def remove(self, fault: RigFault) -> Ints:
        """Remove a kind of fault from every rig. Returns the rigs that had it at any time."""
        had = [rigs for a, rigs in self._drawn if a.fault is fault]
        self._drawn = [(a, rigs) for a, rigs in self._drawn if a.fault is not fault]
        self._current.clear()
        return np.unique(np.concatenate(had)) if had else NO_RIGS

    def affected(self, fault: RigFault, at_s: float) -> Ints:
        """The rigs that have a fault at an instant, ascending."""
        since, until, affected_rigs = self._current.get(fault, (np.inf, np.inf, NO_RIGS))
        if since <= at_s < until:
            return affected_rigs
        hit = [rigs for a, rigs in self._drawn if a.fault is fault and a.from_s <= at_s < a.until_s]
        affected_rigs = np.unique(np.concatenate(hit)) if hit else NO_RIGS
        self._current[fault] = (at_s, self.next_change(at_s), affected_rigs)
        return affected_rigs

    def has(self, fault: RigFault, rigs: Ints, at_s: float) -> NDArray[np.bool_]:
        """Whether each rig has a fault at an instant, bool, shape of `rigs`."""
        affected_rigs = self.affected(fault, at_s)
        return np.isin(rigs, affected_rigs) if len(affected_rigs) else np.zeros(len(rigs), bool)

    def next_change(self, after_s: float) -> float:
        """When some fault next begins or ends, infinite when none will."""
        return min((t for a, _ in self._drawn for t in (a.from_s, a.until_s) if t > after_s), default=float("inf"))

    def changed(self, fault: RigFault, at_s: float) -> Ints:
        """The rigs for which a fault begins or ends at exactly this instant."""
        hit = [rigs for a, rigs in self._drawn if a.fault is fault and at_s in (a.from_s, a.until_s)]
        return np.unique(np.concatenate(hit)) if hit else NO_RIGS
