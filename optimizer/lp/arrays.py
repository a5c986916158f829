"""The program as arrays for a solver, with the names of its blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats, Ints
from optimizer.domain.row_kind import RowKind
from optimizer.lp.expr import Expr

INF = float("inf")
Index = NDArray[np.int32]
PIECE = 1 << 15


class Yields(IntEnum):
    """Which promise gives way when not all can be kept: the higher is kept first."""

    CAPACITY = 0
    MINIMUM_TIMES = 1
    RAMP = 2
    INSTRUCTION = 3


@dataclass(frozen=True, slots=True)
class Named:
    """A block of rows or columns: `name`, where it begins, the intervals of its members, and of rows the kind and the contract they come
    from."""

    name: str
    first: int
    at: Ints
    kind: RowKind = RowKind.OTHER
    obligation: str = ""

    @property
    def size(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Elastic:
    """A block of rows that may give way, MW or thousands of rigs, the order in which it does, and its place among the slack columns."""

    rows: Named
    level: Yields
    slack: int

    @property
    def first(self) -> int:
        return self.rows.first

    @property
    def at(self) -> Ints:
        return self.rows.at


@dataclass(frozen=True, slots=True)
class Short:
    """A promise that cannot be kept whatever is done: `mw` beyond it, by interval."""

    name: str
    mw: Floats
    kind: RowKind = RowKind.OTHER
    obligation: str = ""


@dataclass(frozen=True, slots=True)
class Earned:
    """A priced line: dollars an interval, positive to the site. The last three as in Charge."""

    obligation: str
    charge_type: str
    usd: Expr
    over_period: bool = False
    carried: Floats | None = None
    accrued: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A matrix kept row by row (CSR), no column twice in a row: entries `indptr[i]` to `indptr[i + 1]` of `indices` and `data` are row i.
    Plain numpy: importing scipy.sparse takes longer than a plan."""

    indptr: Index
    indices: Index
    data: Floats
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        return len(self.data)

    def times(self, x: Floats) -> Floats:
        """Each row's activity, shape (rows,)."""
        activity = np.zeros(self.shape[0])
        for rows, entries in self._pieces():
            sums = np.add.reduceat(np.append(self.data[entries] * x[self.indices[entries]], 0.0), self.indptr[rows] - entries.start)
            activity[rows] = np.where(np.diff(self.indptr[rows.start : rows.stop + 1]) > 0, sums, 0.0)
        return activity

    def reach(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """The least and most of each row's activity when each column stays within its bounds, shape (rows,) both."""
        least, most = np.zeros(self.shape[0]), np.zeros(self.shape[0])
        for rows, entries in self._pieces():
            data, cols = self.data[entries], self.indices[entries]
            at, there = self.indptr[rows] - entries.start, np.diff(self.indptr[rows.start : rows.stop + 1]) > 0
            low, high = data * lower[cols], data * upper[cols]
            for out, ends in ((least, np.minimum(low, high)), (most, np.maximum(low, high))):
                out[rows] = np.where(there, np.add.reduceat(np.append(ends, 0.0), at), 0.0)
        return least, most

    def priced(self, y: Floats) -> Floats:
        """Each column's sum of row prices, the transpose times y, shape (cols,)."""
        sums = np.zeros(self.shape[1])
        for rows, entries in self._pieces():
            prices = np.repeat(y[rows], np.diff(self.indptr[rows.start : rows.stop + 1]))
            np.add.at(sums, self.indices[entries], self.data[entries] * prices)
        return sums

    def like(self, other: Rows) -> bool:
        """Whether both are the same matrix."""
        if self is other:
            return True
        same = self.shape == other.shape and self.nnz == other.nnz and np.array_equal(self.indptr, other.indptr)
        return bool(same and np.array_equal(self.indices, other.indices) and np.array_equal(self.data, other.data))

    def with_row(self, weights: Floats) -> Rows:
        """One dense row more at the end."""
        cols = np.flatnonzero(weights)
        indptr = np.append(self.indptr, self.indptr[-1] + len(cols)).astype(np.int32)
        indices, data = np.append(self.indices, cols.astype(np.int32)), np.append(self.data, weights[cols])
        return Rows(indptr, indices, data, (self.shape[0] + 1, self.shape[1]))

    def _pieces(self) -> Iterator[tuple[slice, slice]]:
        """Rows with their entries, some thousands at a time: what is small stays in the processor's own memory."""
        first = 0
        while first < self.shape[0]:
            last = max(first + 1, int(np.searchsorted(self.indptr, self.indptr[first] + PIECE, side="right")) - 1)
            yield slice(first, last), slice(int(self.indptr[first]), int(self.indptr[last]))
            first = last


@dataclass(frozen=True, slots=True)
class Arrays:
    """The program as solvers take it: minimise cost x + offset, lower <= x <= upper, row_lower <= matrix x <= row_upper."""

    cost: Floats
    offset: float
    lower: Floats
    upper: Floats
    integer: NDArray[np.bool_]
    matrix: Rows
    row_lower: Floats
    row_upper: Floats

    def boxed(self) -> Arrays:
        """The same with the open sides of rows closed beyond what any columns reach: nothing binds there, and a simplex that begins
        anywhere needs no phase to become dual feasible."""
        least, most = self.matrix.reach(self.lower, self.upper)
        low = np.where(np.isfinite(self.row_lower), self.row_lower, least - 1.0)
        high = np.where(np.isfinite(self.row_upper), self.row_upper, most + 1.0)
        return replace(self, row_lower=low, row_upper=high)

    @property
    def finite(self) -> bool:
        """No NaN anywhere, no infinity where a solver would not say so."""
        numbers = np.isfinite(self.cost).all() and np.isfinite(self.matrix.data).all() and np.isfinite(self.offset)
        bounds = not any(np.isnan(b).any() for b in (self.lower, self.upper, self.row_lower, self.row_upper))
        sides = (self.lower < INF).all() and (self.upper > -INF).all() and (self.row_lower < INF).all() and (self.row_upper > -INF).all()
        return bool(numbers and bounds and sides)
