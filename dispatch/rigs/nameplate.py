"""Watts by the catalogue, for rigs that do not report theirs."""

from __future__ import annotations

import numpy as np

from optimizer.domain.site import SLEEP, RigGroup


def watts_of(group: RigGroup, ths: float, mode: str) -> float:
    """Wall watts by the catalogue. A hashing rig is interpolated at its TH/s between the modes of its group; any other counts with the
    watts of the mode it reports. A rig that is awake and does not hash counts in full: it may draw that much."""
    if ths > 0:
        rows = sorted((m.ths, m.watts) for m in group.modes)
        return float(np.interp(ths, [row[0] for row in rows], [row[1] for row in rows]))
    found = next((m for m in group.modes if m.name == mode), None)
    if found is not None:
        return found.watts
    return 0.0 if mode == SLEEP else group.full.watts
