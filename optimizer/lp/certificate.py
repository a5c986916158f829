"""Proof that a solution is optimal, from sums computed here and not by a solver."""

from __future__ import annotations

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.lp.arrays import INF, Arrays

# How far a row, a bound or a reduced cost may be on the wrong side, relative to its size.
SLIP = 1e-6


def certificate(a: Arrays, x: Floats, dual: Floats) -> float:
    """Relative gap between the primal objective and the dual one, both our own sums; infinite when a row, a bound or a reduced cost is
    on the wrong side by more than SLIP."""
    if slip(a, x) > SLIP:
        return INF
    y = -dual
    reduced = a.cost - a.matrix.priced(y)
    parts = _sided(y, a.row_lower, a.row_upper), _sided(reduced, a.lower, a.upper)
    if any(part is None for part in parts):
        return INF
    primal, dual_value = float(a.cost @ x), float(sum(p for p in parts if p is not None))
    return abs(primal - dual_value) / (1.0 + abs(primal))


def slip(a: Arrays, x: Floats) -> float:
    """How far the worst row or bound is on the wrong side, rows relative to their size."""
    activity = a.matrix.times(x)
    scale = 1.0 + np.abs(activity)
    return max(_most((a.row_lower - activity) / scale), _most((activity - a.row_upper) / scale), _most(a.lower - x), _most(x - a.upper))


def _sided(price: Floats, lower: Floats, upper: Floats) -> float | None:
    """What prices say of sides: positive ones rest on the lower side, negative ones on the upper; None when one rests on nothing."""
    side = np.where(price > 0, lower, upper)
    open_ = ~np.isfinite(side)
    scale = 1.0 + np.abs(price).max(initial=0.0)
    if (np.abs(price[open_]) > SLIP * scale).any():
        return None
    return float(price[~open_] @ side[~open_])


def _most(values: Floats) -> float:
    return float(values.max(initial=0.0))
