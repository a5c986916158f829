"""A meter over a simulated fleet in this process: the true load of its rigs, with the halls' overhead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dispatch.clock import Clock
from dispatch.decide.load_at_meters import groups_behind
from dispatch.meters.meter_sections import meter_tables
from dispatch.power_meters import MeterId, MeterKind
from dispatch.sim.fleet import Fleet
from markets.forecasting.ladder import MILD_CELSIUS
from optimizer.domain.site import Site


class SimulatedMeter:
    """Measures groups of a fleet. `overheads` are the halls' shares, one per group; `base_mw` is added whatever the rigs do."""

    def __init__(self, fleet: Fleet, groups: Sequence[str], overheads: Sequence[float], clock: Clock, base_mw: float = 0.0) -> None:
        self._fleet, self._clock, self._base_mw = fleet, clock, base_mw
        rigs = {g.name: g.rigs for g in fleet.spec.groups}
        self._parts = [(name, np.arange(rigs[name]), 1.0 + share) for name, share in zip(groups, overheads, strict=True)]

    async def read_mw(self, deadline_s: float) -> float | None:
        """The true load at the clock's now, MW."""
        self._fleet.advance(self._clock.now().timestamp())
        return self._base_mw + sum(float(self._fleet.truth(g, rigs)[0].sum()) * times for g, rigs, times in self._parts) / 1e6

    async def close(self) -> None:
        """Nothing is open."""


def simulated_meters(site: Site, fleet: Fleet, clock: Clock) -> dict[MeterId, SimulatedMeter]:
    """A simulated meter for each meter of the site, in mild weather. A PDU measures rigs alone."""
    out = {}
    for meter in meter_tables(site):
        groups = groups_behind(site, meter)
        shares = [0.0 if meter.kind is MeterKind.GROUP else site.hall_of[g].overhead.at(MILD_CELSIUS) for g in groups]
        out[meter] = SimulatedMeter(fleet, groups, shares, clock)
    return out
