"""Builds a linear program from blocks of columns, rows and weights, one of each interval, and assembles them as arrays.

It is independent of mines and markets. Elastic rows get slack columns only in `with_slack`: a program that can keep everything is solved
without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats, Ints
from optimizer.domain.row_kind import RowKind
from optimizer.lp.arrays import INF, Arrays, Elastic, Named, Rows, Short, Yields
from optimizer.lp.expr import Expr

Mask = NDArray[np.bool_]
# Rows of more columns than this are looked through for twins by sorting.
FEW = 8


class Blocks:
    """A linear program of n intervals in the making."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.columns: list[Named] = []
        self.rows: list[Named] = []
        self.elastic: list[Elastic] = []
        self.shorts: list[Short] = []
        self._every = np.arange(n, dtype=np.int64)
        self._bounds = np.zeros((2, 64, n))
        self._integer: list[bool] = []
        self._weights: list[tuple[Ints, Floats]] = []
        self._offset = 0.0
        self._laid: list[tuple[Ints, Floats, Ints]] = []
        self._sides: list[tuple[Floats, Floats]] = []
        self._height = self._slack = 0

    @property
    def width(self) -> int:
        """How many columns, slack apart."""
        return len(self._integer) * self.n

    @property
    def lower(self) -> Floats:
        return self._bounds[0, : len(self._integer)].reshape(-1)

    @property
    def upper(self) -> Floats:
        return self._bounds[1, : len(self._integer)].reshape(-1)

    def column(
        self, name: str, lower: float | Floats = 0.0, upper: float | Floats = INF, *, integer: bool = False, closed: bool = False
    ) -> Expr:
        """A block of n columns, one an interval. `closed` names a block of which a program may hold several."""
        block = self.column_blocks([f"{name} {len(self.columns)}" if closed else name], lower, upper, integer=integer)
        return Expr(block.cols[0], block.coefs[0], block.constant[0])

    def column_blocks(
        self, names: Sequence[str], lower: float | Floats = 0.0, upper: float | Floats = INF, *, integer: bool = False
    ) -> Expr:
        """A family of blocks of n columns, one for each name."""
        have, more, first = len(self._integer), len(names), self.width
        if have + more > self._bounds.shape[1]:
            grown = np.zeros((2, 2 * (have + more), self.n))
            grown[:, :have] = self._bounds[:, :have]
            self._bounds = grown
        self._bounds[0, have : have + more], self._bounds[1, have : have + more] = lower, upper
        self._integer += [integer] * more
        self.columns += [Named(name, first + k * self.n, self._every) for k, name in enumerate(names)]
        cols = (first + np.arange(more * self.n, dtype=np.int64)).reshape(more, 1, self.n)
        return Expr(cols, np.ones((more, 1, self.n)), np.zeros((more, self.n)))

    def row(
        self,
        name: str,
        of: Expr,
        lower: float | Floats = -INF,
        upper: float | Floats = INF,
        where: Mask | None = None,
        *,
        kind: RowKind = RowKind.OTHER,
        obligation: str = "",
    ) -> None:
        """A block of rows lower <= of <= upper, one for each interval in `where` (all when None). `kind` and `obligation`, the contract the
        rows come from, are what explanations go by."""
        one = Expr(of.cols[None], of.coefs[None], of.constant[None])
        mask = None if where is None else np.broadcast_to(where, (1, self.n))
        self.row_blocks([name], one, lower, upper, mask, kind=kind, obligation=obligation)

    def row_blocks(
        self,
        names: Sequence[str],
        of: Expr,
        lower: float | Floats = -INF,
        upper: float | Floats = INF,
        where: Mask | None = None,
        *,
        kind: RowKind = RowKind.OTHER,
        obligation: str = "",
    ) -> None:
        """A block of rows for each of a family; `where` has shape (names, n)."""
        k, shape = of.cols.shape[-2], (len(names), self.n)
        low = np.asarray(lower - of.constant, dtype=np.float64)
        high = np.asarray(upper - of.constant, dtype=np.float64)
        cols, coefs = np.swapaxes(of.cols, -1, -2), np.swapaxes(of.coefs, -1, -2)
        if where is None:
            cols, coefs, low, high = cols.reshape(-1, k), coefs.reshape(-1, k), low.reshape(-1), high.reshape(-1)
            at, sizes = [self._every] * len(names), [self.n] * len(names)
        else:
            where = np.broadcast_to(where, shape)
            cols, coefs, low, high = cols[where], coefs[where], low[where], high[where]
            at = [np.flatnonzero(w) for w in where]
            sizes = [len(a) for a in at]
        if not len(low):
            return
        coefs = _merged(cols, coefs)
        there = coefs != 0.0
        self._laid.append((cols[there], coefs[there], there.sum(axis=1)))
        self._sides.append((low, high))
        for name, intervals, size in zip(names, at, sizes, strict=True):
            if size:
                self.rows.append(Named(name, self._height, intervals, kind, obligation))
                self._height += size

    def row_at(self, name: str, at: int, of: Expr, lower: float = -INF, upper: float = INF) -> None:
        """One row that speaks of interval `at`, over a sum (Expr.over)."""
        cols, coefs = of.cols.reshape(1, -1), _merged(of.cols.reshape(1, -1), of.coefs.reshape(1, -1))
        there = coefs != 0.0
        self._laid.append((cols[there], coefs[there], there.sum(axis=1)))
        self._sides.append((np.atleast_1d(lower - of.constant), np.atleast_1d(upper - of.constant)))
        self.rows.append(Named(name, self._height, self._every[at : at + 1]))
        self._height += 1

    def cap(self, name: str, of: Expr, most: float | Floats, *, kind: RowKind = RowKind.OTHER, obligation: str = "") -> None:
        """`of` at most `most`, or the least it can be where that is more; what is beyond is a Short. No row where it cannot bind."""
        least, greatest = of.range(self.lower, self.upper)
        most = np.broadcast_to(np.asarray(most, dtype=np.float64), (self.n,))
        beyond = np.maximum(0.0, least - most)
        if (beyond > 1e-9).any():
            self.shorts.append(Short(name, beyond, kind, obligation))
        self.row(name, of, upper=np.maximum(most, least), where=greatest > most, kind=kind, obligation=obligation)

    def at_least(
        self,
        name: str,
        of: Expr,
        floor: float | Floats,
        level: Yields,
        where: Mask | None = None,
        *,
        kind: RowKind = RowKind.OTHER,
        obligation: str = "",
    ) -> None:
        """`of` at least `floor`, elastic at `level`, in the intervals of `where` (all when None); no row where it always is."""
        if where is None:
            where = of.range(self.lower, self.upper)[0] < np.asarray(floor, dtype=np.float64) - 1e-12
        one = Expr(of.cols[None], of.coefs[None], of.constant[None])
        self.at_least_blocks([name], one, floor, level, where[None], kind=kind, obligation=obligation)

    def at_least_blocks(
        self,
        names: Sequence[str],
        of: Expr,
        floor: float | Floats,
        level: Yields,
        where: Mask,
        *,
        kind: RowKind = RowKind.OTHER,
        obligation: str = "",
    ) -> None:
        """The same for each of a family; `where` has shape (names, n)."""
        before = len(self.rows)
        self.row_blocks(names, of, lower=floor, where=where, kind=kind, obligation=obligation)
        for rows in self.rows[before:]:
            self.elastic.append(Elastic(rows, level, self._slack))
            self._slack += rows.size

    def weigh(self, cost: Expr) -> None:
        """Adds a weight that is not cash, or is published elsewhere: positive is avoided."""
        self._weights.append((cost.cols.reshape(-1), cost.coefs.reshape(-1)))
        self._offset += float(cost.constant.sum())

    def arrays(self) -> Arrays:
        """The blocks put together, nothing elastic giving way."""
        cost = np.zeros(self.width)
        for cols, weights in self._weights:
            cost += np.bincount(cols, weights, minlength=self.width)
        cols, data, counts = _joined(self._laid)
        lows, highs = zip(*self._sides, strict=True) if self._sides else ((np.zeros(0),), (np.zeros(0),))
        indptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return Arrays(
            cost=cost,
            offset=self._offset,
            lower=self.lower.copy(),
            upper=self.upper.copy(),
            integer=np.repeat(np.array(self._integer, dtype=bool), self.n),
            matrix=Rows(indptr, cols.astype(np.int32), data, (self._height, self.width)),
            row_lower=np.concatenate(lows),
            row_upper=np.concatenate(highs),
        )

    def with_slack(self, firm: Arrays) -> Arrays:
        """The same with a slack column for each elastic row, after all others: free of charge, for stages to weigh."""
        m, rows = firm.matrix, self._height
        slack_of = np.full(rows, -1, dtype=np.int64)
        for e in self.elastic:
            slack_of[e.first : e.first + len(e.at)] = self.width + e.slack + np.arange(len(e.at))
        given = np.flatnonzero(slack_of >= 0)
        ends = m.indptr[given + 1]
        extra = np.zeros(self._slack)
        return replace(
            firm,
            cost=np.append(firm.cost, extra),
            lower=np.append(firm.lower, extra),
            upper=np.append(firm.upper, extra + INF),
            integer=np.append(firm.integer, extra.astype(bool)),
            matrix=Rows(
                (m.indptr + np.concatenate(([0], np.cumsum(slack_of >= 0)))).astype(np.int32),
                np.insert(m.indices, ends, slack_of[given].astype(np.int32)),
                np.insert(m.data, ends, 1.0),
                (rows, self.width + self._slack),
            ),
        )

    def missed(self, e: Elastic, x: Floats) -> Floats:
        """How far an elastic block gives way in a solution, by its intervals `e.at`; nothing in one made without slack."""
        first = self.width + e.slack
        return x[first : first + len(e.at)] if len(x) > self.width else np.zeros(len(e.at))

    def columns_of(self, arrays: Arrays) -> list[Named]:
        """The names of the columns of arrays made here, with or without slack."""
        if len(arrays.cost) == self.width:
            return self.columns
        return self.columns + [Named(f"short {e.rows.name}", self.width + e.slack, e.at) for e in self.elastic]


def _joined(laid: Sequence[tuple[Ints, Floats, Ints]]) -> tuple[Ints, Floats, Ints]:
    if not laid:
        return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64)
    cols, data, counts = zip(*laid, strict=True)
    return np.concatenate(cols), np.concatenate(data), np.concatenate(counts)


def _merged(cols: Ints, coefs: Floats) -> Floats:
    """Coefficients (m, k) with those of one row and column summed at one of them: solvers refuse twins."""
    k = cols.shape[1]
    if k > FEW:
        ordered = np.sort(cols, axis=1, kind="stable")
        if not (ordered[:, 1:] == ordered[:, :-1]).any():
            return coefs
        key = cols + np.arange(len(cols), dtype=np.int64)[:, None] * (int(cols.max()) + 1)
        _, first, place = np.unique(key.reshape(-1), return_index=True, return_inverse=True)
        out = np.zeros(coefs.size)
        out[first] = np.bincount(place.reshape(-1), coefs.reshape(-1))
        return out.reshape(coefs.shape)
    for i in range(k):
        for j in range(i + 1, k):
            twins = cols[:, i] == cols[:, j]
            if twins.any():
                coefs = coefs.copy()
                coefs[:, i] += np.where(twins, coefs[:, j], 0.0)
                coefs[twins, j] = 0.0
    return coefs
