"""The draw of a rig under a power limit, and the steps a tuning firmware offers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.sim.ramps import Floats, Ints
from dispatch.sim.spec import GroupSpec
from optimizer.domain.site import Mode

# LuxOS profiles of an S19k Pro, share of default watts against share of default TH/s; the only public curve of a modern rig.
CURVE_WATTS = np.array([0.281, 0.387, 0.506, 0.593, 0.686, 0.785, 0.889, 1.0, 1.116, 1.239, 1.367, 1.501])
CURVE_THS = np.array([0.322, 0.449, 0.576, 0.661, 0.745, 0.830, 0.915, 1.0, 1.085, 1.169, 1.255, 1.339])
# The share of its normal draw a rig keeps in sleep when one board does not obey; the share of its mode's watts it draws without a pool.
STUCK_SHARE, IDLE_SHARE = 1.0 / 3.0, 0.25
_CURVE_STEPS = (-16, -13, -10, -8, -6, -4, -2, 0, 2, 4, 6, 8)

# (step, share of default watts, share of default TH/s): steps of 25 MHz, 16 down and 8 up.
LUXOS_STEPS = tuple(
    (step, float(np.interp(step, _CURVE_STEPS, CURVE_WATTS)), float(np.interp(step, _CURVE_STEPS, CURVE_THS))) for step in range(-16, 9)
)


def limited_draw(normal: Mode, limit_w: Floats) -> tuple[Floats, Floats]:
    """Watts and TH/s under power limits, shape of `limit_w` each; a rig cannot go below its lowest profile."""
    share = np.clip(limit_w / normal.watts, CURVE_WATTS[0], CURVE_WATTS[-1])
    return share * normal.watts, np.interp(share, CURVE_WATTS, CURVE_THS) * normal.ths


def settled_draw(
    group: GroupSpec, modes: Ints, limit_w: Floats, stuck: NDArray[np.bool_], idle: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Watts and TH/s that rigs of a group settle at, shape (n,) each.

    modes    positions of the group's modes
    limit_w  power limits, infinite where there are none
    stuck    rigs of which one board keeps hashing in sleep
    idle     rigs that have no pool to hash for
    """
    watts, ths = np.array([m.watts for m in group.modes])[modes], np.array([m.ths for m in group.modes])[modes]
    limited = (modes > 0) & (limit_w < watts)
    if limited.any():
        watts[limited], ths[limited] = limited_draw(group.normal, limit_w[limited])
    watts[idle & (modes > 0)] *= IDLE_SHARE
    ths[idle] = 0.0
    kept = stuck & (modes == 0)
    watts[kept], ths[kept] = group.normal.watts * STUCK_SHARE, np.where(idle[kept], 0.0, group.normal.ths * STUCK_SHARE)
    return watts, ths
