"""A series: read-only numbers on a grid, with a unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from markets.grid import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One float per interval of `grid`; NaN is a gap, never a zero. `unit` in the field's words, for example "usd_per_mwh"."""

    grid: Grid
    values: NDArray[np.float64]
    unit: str

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != (len(self.grid),):
            raise ValueError(f"{len(self.grid)} intervals need as many values, not shape {values.shape}")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @classmethod
    def flat(cls, grid: Grid, value: float, unit: str) -> Series:
        """A series with the same value in every interval."""
        return cls(grid, np.full(len(grid), value), unit)

    def at(self, instant: datetime) -> float:
        """The value of the interval that holds `instant`. Raises KeyError outside the grid."""
        return float(self.values[self.grid.index(instant)])

    def with_values(self, values: ArrayLike) -> Series:
        """The same grid and unit with other values, shape (n,). Raises ValueError for another shape."""
        return Series(self.grid, np.asarray(values, dtype=np.float64), self.unit)

    def onto(self, grid: Grid) -> Series:
        """The time-weighted mean on another grid; NaN where any part of an interval is not covered or is a gap."""
        edges = np.union1d(self.grid.edges, grid.edges)
        edges = edges[(edges >= max(self.grid.edges[0], grid.edges[0])) & (edges <= min(self.grid.edges[-1], grid.edges[-1]))]
        of = np.searchsorted(self.grid.edges, edges[:-1], side="right") - 1  # the value that holds between two edges
        into = np.searchsorted(grid.edges, edges[:-1], side="right") - 1
        values, span = self.values[of], np.diff(grid.edges)
        gap, covered = np.isnan(values), np.diff(edges).astype(np.float64)
        # Each interval has a sum of its own: a difference of running sums would differ in its last digits with what came before.
        mean = np.bincount(into, np.where(gap, 0.0, covered * values), minlength=len(grid)) / span
        known = np.bincount(into, np.where(gap, 0.0, covered), minlength=len(grid))
        return Series(grid, np.where(known == span, mean, np.nan), self.unit)

    @property
    def gaps(self) -> NDArray[np.intp]:
        """Positions without a value."""
        return np.flatnonzero(np.isnan(self.values))
