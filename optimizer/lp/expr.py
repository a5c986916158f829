"""Linear expressions over the columns of a program, one for each interval; or a family of them, one for each of several groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats, Ints

Number = float | int | Floats


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """`constant` + the sum of coefficient x column, interval by interval.

    cols      the k columns of each interval, shape (k, n)
    coefs     their coefficients, shape (k, n); an absent column has coefficient 0
    constant  shape (n,)

    A family has one axis more in front: (groups, k, n) and (groups, n). Numbers then broadcast as (n,), (groups, 1) or (groups, n).
    """

    cols: Ints
    coefs: Floats
    constant: Floats

    # numpy leaves `array * expr` to __rmul__ instead of making an array of objects.
    __array_ufunc__ = None

    @property
    def terms(self) -> tuple[tuple[Ints, Floats], ...]:
        """Pairs (column of each interval, coefficient of each interval)."""
        return tuple(zip(self.cols, self.coefs, strict=True))

    def __add__(self, other: Expr | Number) -> Expr:
        if isinstance(other, Expr):
            cols, coefs = np.concatenate((self.cols, other.cols), axis=-2), np.concatenate((self.coefs, other.coefs), axis=-2)
            return Expr(cols, coefs, self.constant + other.constant)
        return Expr(self.cols, self.coefs, self.constant + other)

    __radd__ = __add__

    def __neg__(self) -> Expr:
        return Expr(self.cols, -self.coefs, -self.constant)

    def __sub__(self, other: Expr | Number) -> Expr:
        return self + (-other)

    def __rsub__(self, other: Number) -> Expr:
        return -self + other

    def __mul__(self, factor: Number) -> Expr:
        if isinstance(factor, (float, int)):
            return Expr(self.cols, self.coefs * factor, self.constant * factor)
        factor = np.asarray(factor, dtype=np.float64)
        return Expr(self.cols, self.coefs * (factor[..., None, :] if factor.ndim else factor), self.constant * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Number) -> Expr:
        return self * (1.0 / np.asarray(divisor, dtype=np.float64))

    def lag(self, steps: int, first: Number = 0.0) -> Expr:
        """The expression `steps` intervals earlier; `first` holds before the horizon (of a family: one for each)."""
        if steps == 0:
            return self
        cols, coefs, constant = self.cols.copy(), np.zeros_like(self.coefs), np.empty_like(self.constant)
        cols[..., steps:], coefs[..., steps:] = self.cols[..., :-steps], self.coefs[..., :-steps]
        constant[..., steps:], constant[..., :steps] = self.constant[..., :-steps], np.asarray(first)[..., None]
        return Expr(cols, coefs, constant)

    def at_positions(self, positions: Ints) -> Expr:
        """In each interval the expression of the interval at that position."""
        return Expr(self.cols[..., positions], self.coefs[..., positions], self.constant[..., positions])

    def over(self, inside: NDArray[np.bool_]) -> Expr:
        """The sum over some intervals, as an expression of one."""
        return Expr(self.cols[:, inside].reshape(-1, 1), self.coefs[:, inside].reshape(-1, 1), self.constant[inside].sum(keepdims=True))

    def among(self, which: NDArray[np.bool_]) -> Expr:
        """Some of a family."""
        return Expr(self.cols[which], self.coefs[which], self.constant[which])

    def summed(self) -> Expr:
        """The sum of a family."""
        n = self.cols.shape[-1]
        return Expr(self.cols.reshape(-1, n), self.coefs.reshape(-1, n), self.constant.reshape(-1, n).sum(axis=0))

    def at(self, x: Floats) -> Floats:
        """Its value, given the columns' values, shape (n,)."""
        value: Floats = (self.coefs * x[self.cols]).sum(axis=-2) + self.constant
        return value

    def range(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """The least and most it can be when each column stays within its bounds, shape (n,) both."""
        # A coefficient of 0 counts nothing even where the column is unbounded.
        there = self.coefs != 0.0
        low = self.coefs * np.where(there, lower[self.cols], 0.0)
        high = self.coefs * np.where(there, upper[self.cols], 0.0)
        return self.constant + np.minimum(low, high).sum(axis=-2), self.constant + np.maximum(low, high).sum(axis=-2)


def total(parts: Sequence[Expr], n: int) -> Expr:
    """The sum of many expressions over n intervals; zero when there is none."""
    if not parts:
        return Expr(np.zeros((0, n), dtype=np.int64), np.zeros((0, n)), np.zeros(n))
    if len(parts) == 1:
        return parts[0]
    constant = np.zeros(n)
    for part in parts:
        constant = constant + part.constant
    return Expr(np.concatenate([p.cols for p in parts]), np.concatenate([p.coefs for p in parts]), constant)
