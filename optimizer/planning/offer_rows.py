"""What offers and bids are made from: a program with one row more for each thing that is sold.

The row says how much reserve is carried, or load is run, in each interval; its dual is what the last megawatt costs or earns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Availability, Site, SoFar
from optimizer.lp.arrays import Arrays, Named
from optimizer.lp.cohorts import Cohorts, gather
from optimizer.lp.expr import Expr
from optimizer.lp.program import Program
from optimizer.planning.result import Risk
from optimizer.solve.lexicographic import Solution

Mask = NDArray[np.bool_]
# Contract and reserve product, or meter and "ENERGY".
Key = tuple[str, str]

# Duals are read this share of a step below its end: at the end itself the next step's may be returned.
JUST_BELOW = 1e-3
# Dollars per MW and hour that outweigh every price: with them the program finds the most that can be carried or run.
OUTWEIGHS_USD = 1e5


@dataclass(frozen=True, slots=True)
class Curve:
    """Steps of an offer or a bid in each interval, arrays of shape (steps, n): MW up to the end of each step, and its price. `name` and
    `product` are contract and reserve product of an offer, meter and "ENERGY" of a bid. An offer's prices rise, a bid's fall."""

    name: str
    product: str
    mw: Floats
    usd: Floats


@dataclass(frozen=True, slots=True)
class OfferCase:
    """What offers are made from.

    inside      the intervals to offer, shape (n,)
    proved_mw   by (contract, product): the most that may be offered, MW; a product not named is limited by the program alone
    together_mw by contract: the most of its products that drop load, together
    """

    site: Site
    book: Sequence[Obligation]
    outlook: Outlook
    so_far: SoFar
    availability: Availability
    inside: Mask
    proved_mw: Mapping[Key, float] = field(default_factory=dict)
    together_mw: Mapping[str, float] = field(default_factory=dict)
    risk: Risk | None = None

    @property
    def cohorts(self) -> Cohorts:
        return gather(self.site, self.book, self.so_far, self.availability, self.outlook.temperature_c.values)

    def shares(self, most: int) -> tuple[float, ...]:
        """The ends of the steps as shares of the whole: by rig group, the most efficient first."""
        groups = sorted(self.site.groups, key=lambda g: g.full.j_per_th)
        watts = np.cumsum([g.rigs * g.full.watts for g in groups])
        ends = np.unique(np.round(watts / watts[-1], 6))
        if len(ends) > most:
            ends = ends[np.unique(np.linspace(0, len(ends) - 1, most).round().astype(int))]
        return tuple(float(end) for end in ends)


@dataclass(frozen=True, slots=True)
class OfferRows:
    """A program with a row for each thing that is sold: its expression, its row, and what was promised of it before, MW."""

    program: Program
    arrays: Arrays
    of: Mapping[Key, Expr]
    rows: Mapping[Key, Named]
    before_mw: Mapping[Key, Floats]

    @classmethod
    def of_program(cls, program: Program, of: Mapping[Key, Expr], inside: Mask, before_mw: Mapping[Key, Floats]) -> OfferRows:
        """The program with its rows, none of which binds yet."""
        rows = {}
        for key, expr in of.items():
            program.row(f"offered {' '.join(key)}", expr, lower=-OUTWEIGHS_USD, where=inside)
            rows[key] = program.rows[-1]
        return cls(program, program.arrays(), of, rows, before_mw)

    def at_least(self, levels: Mapping[Key, Floats], exactly: bool = False) -> Arrays:
        """The arrays with each row at least at its level, or exactly there; shape (n,) each."""
        lower, upper = self.arrays.row_lower.copy(), self.arrays.row_upper.copy()
        for key, level in levels.items():
            rows = self.rows[key]
            place = slice(rows.first, rows.first + rows.size)
            lower[place] = (level + self.before_mw[key] - self.of[key].constant)[rows.at]
            if exactly:
                upper[place] = lower[place]
        return replace(self.arrays, row_lower=lower, row_upper=upper)

    def weighed(self, key_usd: Mapping[Key, Floats]) -> Arrays:
        """The arrays with more dollars per MW and hour for what is sold, shape (n,) each."""
        cost = self.arrays.cost.copy()
        for key, usd in key_usd.items():
            for cols, coefs in self.of[key].terms:
                np.add.at(cost, cols, -coefs * usd * self.program.hours)
        return replace(self.arrays, cost=cost)

    def dual_usd(self, key: Key, solution: Solution) -> Floats:
        """Dollars per MW and hour that one more MW of it earns, shape (n,); negative: it costs."""
        rows, usd = self.rows[key], np.zeros(self.program.n)
        usd[rows.at] = solution.dual[rows.first : rows.first + rows.size] / self.program.hours[rows.at]
        return usd


def just_below(shares: Sequence[float]) -> Iterable[float]:
    before = (0.0, *shares)
    return [end - JUST_BELOW * (end - start) for start, end in zip(before, shares, strict=False)]
