"""The load that the rigs of a contract, or of the whole site, can be moved over."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from markets.forecasting.ladder import MILD_CELSIUS
from optimizer.domain.site import Site


@dataclass(frozen=True, slots=True)
class LoadRange:
    """The load at the meters, MW: with every rig asleep, and with every rig in its fullest mode, in mild weather; `rig_mw` is the load of
    the largest rig, for what is asked for is met in whole rigs."""

    lowest_mw: float
    highest_mw: float
    rig_mw: float = 0.0

    def at(self, share: float) -> float:
        """The load at a share of the range."""
        return self.lowest_mw + share * self.width_mw

    def share(self, mw: float) -> float:
        """The share of the range at which a load lies, at least 0 and at most 1."""
        return min(1.0, max(0.0, (mw - self.lowest_mw) / self.width_mw))

    @property
    def width_mw(self) -> float:
        return self.highest_mw - self.lowest_mw


def load_range(site: Site, names: Collection[str]) -> LoadRange:
    """The range of some groups, within what their halls and the site's connection carry."""
    low = high = rig = 0.0
    for hall in site.halls:
        factor = (1.0 + hall.overhead.at(MILD_CELSIUS)) / 1e6
        groups = [g for g in site.groups if g.hall == hall.name and g.name in names]
        low += sum(g.rigs * min(m.watts for m in g.modes) for g in groups) * factor
        high += min(hall.limit_mw, sum(g.rigs * max(m.watts for m in g.modes) for g in groups) * factor)
        rig = max([rig, *(m.watts * factor for g in groups for m in g.modes)])
    return LoadRange(low, min(high, site.interconnect_mw), rig)
