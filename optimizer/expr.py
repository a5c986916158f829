"""Expr: one linear expression an interval, over the columns of a Program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Number = float | int | Floats


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """`constant` + the sum of coefficient x column, interval by interval.

    terms     pairs (column of each interval, coefficient of each interval), shape (n,) both
    constant  shape (n,)
    """

    terms: tuple[tuple[Ints, Floats], ...]
    constant: Floats

    # numpy leaves `array * expr` to __rmul__ instead of making an array of objects.
    __array_ufunc__ = None

    def __add__(self, other: Expr | Number) -> Expr:
        if isinstance(other, Expr):
            return Expr(self.terms + other.terms, self.constant + other.constant)
        return Expr(self.terms, self.constant + other)

    __radd__ = __add__

    def __neg__(self) -> Expr:
        return self * -1.0

    def __sub__(self, other: Expr | Number) -> Expr:
        return self + (-other)

    def __rsub__(self, other: Number) -> Expr:
        return -self + other

    def __mul__(self, factor: Number) -> Expr:
        return Expr(tuple((cols, coefs * factor) for cols, coefs in self.terms), self.constant * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Number) -> Expr:
        return self * (1.0 / np.asarray(divisor, dtype=np.float64))

    def lag(self, steps: int, first: float = 0.0) -> Expr:
        """The expression `steps` intervals earlier; `first` stands before the horizon."""
        if steps == 0:
            return self
        terms = tuple((_pushed(cols, steps, 0), _pushed(coefs, steps, 0.0)) for cols, coefs in self.terms)
        return Expr(terms, _pushed(self.constant, steps, first))

    def taken(self, at: Ints) -> Expr:
        """In each interval the expression of interval `at`."""
        return Expr(tuple((cols[at], coefs[at]) for cols, coefs in self.terms), self.constant[at])

    def at(self, x: Floats) -> Floats:
        """Its value, given the columns' values, shape (n,)."""
        value = self.constant.copy()
        for cols, coefs in self.terms:
            value += coefs * x[cols]
        return value

    def range(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """The least and most it can be when each column stays within its bounds, shape (n,) both."""
        least, most = self.constant.copy(), self.constant.copy()
        for cols, coefs in self.terms:
            low, high = _scaled(coefs, lower[cols]), _scaled(coefs, upper[cols])
            least += np.minimum(low, high)
            most += np.maximum(low, high)
        return least, most


def total(parts: Sequence[Expr], n: int) -> Expr:
    """The sum of many expressions over n intervals; zero when there is none."""
    terms = tuple(term for part in parts for term in part.terms)
    constant = np.zeros(n)
    for part in parts:
        constant = constant + part.constant
    return Expr(terms, constant)


def _scaled(coefs: Floats, bounds: Floats) -> Floats:
    """Coefficient times bound where an absent column (coefficient 0) counts nothing even when unbounded."""
    return np.where(coefs == 0.0, 0.0, coefs * np.where(coefs == 0.0, 0.0, bounds))


def _pushed(values: NDArray[Any], steps: int, fill: float) -> NDArray[Any]:
    out = np.full_like(values, fill)
    out[steps:] = values[:-steps]
    return out
