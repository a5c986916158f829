"""What a rig does under a power limit."""

from __future__ import annotations

import numpy as np

from dispatch.sim.ramps import Floats
from optimizer.site import Mode

# LuxOS profiles of an S19k Pro, share of default watts against share of default TH/s; the only public curve of a modern rig.
CURVE_WATTS = np.array([0.281, 0.387, 0.506, 0.593, 0.686, 0.785, 0.889, 1.0, 1.116, 1.239, 1.367, 1.501])
CURVE_THS = np.array([0.322, 0.449, 0.576, 0.661, 0.745, 0.830, 0.915, 1.0, 1.085, 1.169, 1.255, 1.339])


def tuned(normal: Mode, limit_w: Floats) -> tuple[Floats, Floats]:
    """Watts and TH/s under power limits, shape of `limit_w` each; a rig cannot go below its lowest profile."""
    share = np.clip(limit_w / normal.watts, CURVE_WATTS[0], CURVE_WATTS[-1])
    return share * normal.watts, np.interp(share, CURVE_WATTS, CURVE_THS) * normal.ths
