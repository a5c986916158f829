"""Who is ill with what, and when."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dispatch.sim.ramps import Ints
from dispatch.sim.spec import Affliction, RigFault

NOBODY: Ints = np.array([], np.int64)


class Sickness:
    """Afflictions with the rigs they were drawn for, by position in the whole fleet."""

    def __init__(self, drawn: Iterable[tuple[Affliction, Ints]]) -> None:
        self._drawn = list(drawn)
        # By fault: who has it, from when until when; so that a rig can be asked about cheaply.
        self._known: dict[RigFault, tuple[float, float, Ints]] = {}

    def add(self, affliction: Affliction, rigs: Ints) -> None:
        self._drawn.append((affliction, rigs))
        self._known.clear()

    def mend(self, fault: RigFault) -> Ints:
        """Take a kind of fault away; who had it."""
        had = [rigs for a, rigs in self._drawn if a.fault is fault]
        self._drawn = [(a, rigs) for a, rigs in self._drawn if a.fault is not fault]
        self._known.clear()
        return np.unique(np.concatenate(had)) if had else NOBODY

    def now(self, fault: RigFault, at_s: float) -> Ints:
        """Who has the fault at an instant, ascending."""
        since, until, ill = self._known.get(fault, (np.inf, np.inf, NOBODY))
        if since <= at_s < until:
            return ill
        hit = [rigs for a, rigs in self._drawn if a.fault is fault and a.from_s <= at_s < a.until_s]
        ill = np.unique(np.concatenate(hit)) if hit else NOBODY
        self._known[fault] = (at_s, self.next_change(at_s), ill)
        return ill

    def has(self, fault: RigFault, rigs: Ints, at_s: float) -> NDArray[np.bool_]:
        """Whether each rig has the fault at an instant, shape of `rigs`."""
        ill = self.now(fault, at_s)
        return np.isin(rigs, ill) if len(ill) else np.zeros(len(rigs), bool)

    def next_change(self, after_s: float) -> float:
        """When some fault next begins or ends, infinite when none will."""
        return min((t for a, _ in self._drawn for t in (a.from_s, a.until_s) if t > after_s), default=float("inf"))

    def changed(self, fault: RigFault, at_s: float) -> Ints:
        """Who gets or loses the fault at exactly this instant."""
        hit = [rigs for a, rigs in self._drawn if a.fault is fault and at_s in (a.from_s, a.until_s)]
        return np.unique(np.concatenate(hit)) if hit else NOBODY
