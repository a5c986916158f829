"""The budget of commands that a rig may be sent in an hour: a lying rig, a flickering set point or a restart loop must not wear it out.

A rig earns commands steadily and can save up half of an hour's worth, so that no hour has more than COMMANDS_PER_HOUR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COMMANDS_PER_HOUR = 12
MOST_SAVED = COMMANDS_PER_HOUR / 2
EARNED_PER_S = COMMANDS_PER_HOUR / 2 / 3600.0
# An order is one command, and one more where the rig does not answer. A rig that is to draw more keeps enough to be stopped again.
NEEDED_TO_LOWER, NEEDED_TO_RAISE = 2.0, 4.0
# Seconds that a rig is left alone after so many failed orders in a row; the next failure is quarantine.
WAIT_AFTER_FAILURES_S = (0.0, 60.0, 300.0)

Stamps = NDArray[np.float64]


def saved(left: Stamps, since_s: Stamps, at_s: float) -> Stamps:
    """Commands that each rig may be sent at an instant, where it had `left` at `since_s` (epoch seconds; -inf for never)."""
    found: Stamps = np.minimum(MOST_SAVED, left + EARNED_PER_S * np.maximum(at_s - since_s, 0.0))
    return found


def wait_after_failures_s(failed_orders: NDArray[np.int8]) -> Stamps:
    """Seconds after its last order that each rig is left alone."""
    found: Stamps = np.array(WAIT_AFTER_FAILURES_S)[np.clip(failed_orders, 0, len(WAIT_AFTER_FAILURES_S) - 1)]
    return found
