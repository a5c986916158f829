"""Whether loads that are read between two decisions are above a limit that they kept at the last one: a rig that wakes slowly by itself, or
many that each draw a little more, call for a decision before the next tick."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property

from dispatch.decide.fit_to_limit import KEPT_WITHIN_W
from dispatch.decide.limits_now import load_limits
from dispatch.decide.load_at_meters import load_at_meters
from dispatch.decide.state import State
from dispatch.power_meters import MeterId

# Loads that were above a limit already are news again where they are above what was last read by this share.
RISE_SHARE = 0.02


class LimitCheck:
    """The firm caps in force after a decision. A set point is none: its load lies on either side of it."""

    def __init__(self, state: State, at: datetime) -> None:
        self._state, self._at = state, at

    def exceeded(self, rigs_mw: Mapping[str, float], meters: Mapping[MeterId, float]) -> bool:
        """Whether a limit is exceeded. `rigs_mw` is what the rigs of each group draw at the wall by their own readings, `meters` what the
        believed meters read."""
        if not self._most_mw:
            return False
        site, overhead = self._state.site, self._overhead
        at_meter = {g.name: rigs_mw[g.name] * overhead[g.name] for g in site.groups}
        loads = load_at_meters(site, at_meter, meters, overhead.__getitem__, self._net_meters)
        return any(sum(loads[g] for g in groups) > most for groups, most in self._most_mw)

    @cached_property
    def _most_mw(self) -> list[tuple[tuple[str, ...], float]]:
        """By the groups of each cap, the load that calls for a decision."""
        last, found = self._state.metered_mw(), []
        for limit in load_limits(self._state, self._at):
            if limit.firm and not limit.is_set_point and limit.cap_mw < float("inf"):
                load = sum(last[g] for g in limit.groups)
                allowed = limit.cap_mw if load <= limit.cap_mw else load * (1.0 + RISE_SHARE)
                found.append((limit.groups, allowed + KEPT_WITHIN_W / 1e6))
        return found

    @cached_property
    def _overhead(self) -> dict[str, float]:
        return {g.name: self._state.overhead(g.name, self._at) for g in self._state.site.groups}

    @cached_property
    def _net_meters(self) -> frozenset[str]:
        return self._state.net_meters
