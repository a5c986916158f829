"""Arrays: the blocks of a Program put together as solvers take them, and the names of their parts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimizer.expr import Expr, Floats, Ints

INF = float("inf")


class Yields(IntEnum):
    """Which promise gives way when not all can be kept: the higher is kept first."""

    CAPACITY = 0
    MINIMUM_TIMES = 1
    RAMP = 2
    INSTRUCTION = 3


@dataclass(frozen=True, slots=True)
class Named:
    """A block of rows or columns: `name`, where it begins, and the intervals its members speak of."""

    name: str
    first: int
    at: Ints

    @property
    def size(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Elastic:
    """Slack columns of an elastic block, MW or thousands of rigs."""

    name: str
    level: Yields
    slack: Expr


@dataclass(frozen=True, slots=True)
class Short:
    """A promise that cannot be kept whatever is done: `mw` beyond it, by interval."""

    name: str
    mw: Floats


@dataclass(frozen=True, slots=True)
class Earned:
    """A priced line: dollars an interval, positive to the site."""

    obligation: str
    charge_type: str
    usd: Expr


@dataclass(frozen=True, slots=True)
class Arrays:
    """The program as solvers take it: minimise cost x + offset, lower <= x <= upper, row_lower <= matrix x <= row_upper."""

    cost: Floats
    offset: float
    lower: Floats
    upper: Floats
    integer: NDArray[np.bool_]
    matrix: sparse.csr_matrix
    row_lower: Floats
    row_upper: Floats

    @property
    def finite(self) -> bool:
        """No NaN anywhere, no infinity where a solver would not say so (OPTIMIZER 9)."""
        numbers = np.isfinite(self.cost).all() and np.isfinite(self.matrix.data).all() and np.isfinite(self.offset)
        bounds = not any(np.isnan(b).any() for b in (self.lower, self.upper, self.row_lower, self.row_upper))
        sides = (self.lower < INF).all() and (self.upper > -INF).all() and (self.row_lower < INF).all() and (self.row_upper > -INF).all()
        return bool(numbers and bounds and sides)
