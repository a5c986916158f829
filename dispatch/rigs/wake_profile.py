"""How long the rigs of a group take to draw more after an order to wake, as measured by read-backs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatch.rigs.shed_curve import BOUNDS_S, LEAST_RIGS
from optimizer.domain.site import RigGroup

# A waking rig has at least this long to draw more; models are known whose watts stay flat for two minutes.
LEAST_PATIENCE_S = 180.0
# A rig is waited for this many times as long as nearly all of its group took, and no longer than MOST_PATIENCE_S.
PATIENCE_TIMES = 2.0
MOST_PATIENCE_S = 900.0
QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class WakeProfile:
    """The rigs that were read to draw more after an order to wake, by the bound of `BOUNDS_S` within which they did."""

    rigs_by_bound: Mapping[str, int] = field(default_factory=dict)

    def after(self, rose_within_s: Mapping[str, int]) -> WakeProfile:
        """With the rigs of one more order, as in `Result.rose_within_s`."""
        known = self.rigs_by_bound
        return WakeProfile({bound: known.get(bound, 0) + rose_within_s.get(bound, 0) for bound in {**known, **rose_within_s}})

    def patience_s(self, group: RigGroup) -> float:
        """Seconds after an order to wake within which a rig must draw more; by the model's wake time in the catalogue until enough rigs
        were measured."""
        measured_s = self._nearly_all_s()
        expected_s = group.wake_min * 60.0 if measured_s is None else PATIENCE_TIMES * measured_s
        return min(max(LEAST_PATIENCE_S, expected_s), MOST_PATIENCE_S)

    def _nearly_all_s(self) -> float | None:
        rigs = sum(self.rigs_by_bound.values())
        if rigs < LEAST_RIGS:
            return None
        risen = 0
        for bound in BOUNDS_S:
            risen += self.rigs_by_bound.get(f"{bound:g}", 0)
            if risen >= QUANTILE * rigs:
                return bound
        return BOUNDS_S[-1]
