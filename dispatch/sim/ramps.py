"""Quantities that change linearly and then stay; exact values and integrals, vectorised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Ramps:
    """One quantity for each of n rigs: `v0` until `t0`, a straight line to `v1` at `t1`, `v1` from then on. Times are epoch seconds."""

    def __init__(self, values: Floats, at_s: float) -> None:
        self.v0 = values.copy()
        self.v1 = values.copy()
        self.t0 = np.full(len(values), at_s)
        self.t1 = np.full(len(values), at_s)

    def at(self, t: float, rigs: Ints) -> Floats:
        """The values at `t`, shape of `rigs`."""
        return _on_the_way(t, self.v0[rigs], self.v1[rigs], self.t0[rigs], self.t1[rigs])

    def integral(self, a: float, b: float, rigs: Ints) -> Floats:
        """The integrals over [a, b] in units times seconds, shape of `rigs`."""
        v0, v1, t0, t1 = self.v0[rigs], self.v1[rigs], self.t0[rigs], self.t1[rigs]
        before = np.clip(np.minimum(t0, b) - a, 0.0, None)
        after = np.clip(b - np.maximum(t1, a), 0.0, None)
        during = (b - a) - before - after
        at_a, at_b = (_on_the_way(t, v0, v1, t0, t1) for t in (a, b))
        middle = 0.5 * (at_a * (t0 <= a) + v0 * (t0 > a) + at_b * (t1 >= b) + v1 * (t1 < b))
        value: Floats = v0 * before + middle * during + v1 * after
        return value

    def aim(self, rigs: Ints, target: Floats, start: Floats | float, end: Floats | float) -> None:
        """Go to `target` between `start` and `end`, from the value at which `hold` stopped the rigs before."""
        self.v1[rigs] = target
        self.t0[rigs] = start
        self.t1[rigs] = end

    def hold(self, rigs: Ints, t: float) -> None:
        """Stop the rigs at their values of instant `t`."""
        now = self.at(t, rigs)
        self.v0[rigs] = now
        self.v1[rigs] = now
        self.t0[rigs] = t
        self.t1[rigs] = t

    def put(self, rigs: Ints, values: Floats | float, t: float) -> None:
        """Set the values at once."""
        self.v0[rigs] = values
        self.v1[rigs] = values
        self.t0[rigs] = t
        self.t1[rigs] = t


def _on_the_way(t: float, v0: Floats, v1: Floats, t0: Floats, t1: Floats) -> Floats:
    share = np.clip((t - t0) / np.maximum(t1 - t0, 1e-9), 0.0, 1.0)
    value: Floats = np.where(t >= t1, v1, v0 + (v1 - v0) * share)
    return value
