"""What a contract limits whatever is asked of its rigs: the load of groups, and the price at which they stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from markets.grid import Grid, Interval
from optimizer.domain.array_types import Floats


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """The most that some groups may draw together at their meters, MW, and why; `during` None is always."""

    groups: tuple[str, ...]
    mw: float
    why: str
    during: Interval | None = None

    def most_mw(self, grid: Grid) -> Floats:
        """The limit in each interval; infinite outside `during`, shape (n,)."""
        if self.during is None:
            return np.full(len(grid), self.mw)
        return np.where(grid.share_within(self.during) > 0, self.mw, np.inf)


@dataclass(frozen=True, slots=True)
class StopPrice:
    """The energy price at which rigs stop, usd_per_mwh. `alone`: it decides by itself, whatever the rigs earn."""

    usd_per_mwh: float
    alone: bool
