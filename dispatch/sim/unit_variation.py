"""How rigs of one model differ: each factor is drawn once a rig, from the fleet's seed. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.sim.ramps import Floats, Ints

AMBIENT_C = 25.0


class UnitVariation:
    """Factors by which single rigs differ from the nameplate; arrays over all rigs of a fleet, float64.

    watts, ths    factors on the nameplate awake: 1.5 % and 1 %, within the makers' 5 % and 3 %
    standby       factor on the watts asleep: 3 %, within 5 %
    wake          factor on the wake time: 4 %, within 10 %
    room_c        intake air in C: 25, give or take 2 by its place in the hall, within 6
    """

    def __init__(self, rigs: int, rng: np.random.Generator) -> None:
        self.watts = _near(rigs, rng, 0.015, 0.05)
        self.ths = _near(rigs, rng, 0.010, 0.03)
        # Faults by rate are drawn from the stream of the first two; these have a stream of their own, so that neither changes the other.
        own = np.random.default_rng(rng.bit_generator.seed_seq.spawn(1)[0])  # type: ignore[attr-defined]
        self.standby = _near(rigs, own, 0.03, 0.05)
        self.wake = _near(rigs, own, 0.04, 0.10)
        self.room_c = AMBIENT_C + 2.0 * np.clip(own.standard_normal(rigs), -3.0, 3.0)

    def of(self, at: Ints, asleep: NDArray[np.bool_]) -> Floats:
        """The factors on the watts of rigs, shape of `at`."""
        factors: Floats = np.where(asleep, self.standby[at], self.watts[at])
        return factors


def _near(rigs: int, rng: np.random.Generator, spread: float, most: float) -> Floats:
    drawn: Floats = 1.0 + np.clip(spread * rng.standard_normal(rigs), -most, most)
    return drawn
