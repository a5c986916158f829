"""Reader: what happened, or will by plan, as a formula reads it: arrays of Decimal for a bill, of float for a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.grid import Grid, Interval
from optimizer.actuals import Actuals
from optimizer.money import ZERO, Line, decimal
from optimizer.obligations import Charge
from optimizer.site import Site

Numbers = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Reader:
    """Its for numbers. All of one kind: `number` makes it, `zero` is nothing of it.

    energy        MWh by group, at the meter, overhead included, before losses
    hash_         PH/s times days, by group
    prices        usd_per_mwh, by settlement point
    hash_prices   usd_per_ph_day before the pool's fee
    settled       by obligation, by group: the share of each interval in which it settles that energy (`takeovers`)
    sources       by settlement point: where its prices came from, for the lines to cite
    """

    site: Site
    grid: Grid
    energy: Mapping[str, Numbers]
    hash_: Mapping[str, Numbers]
    prices: Mapping[str, Numbers]
    hash_prices: Numbers
    number: Callable[[float], Any] = float
    settled: Mapping[str, Mapping[str, Numbers]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, actuals: Actuals) -> Reader:
        """Actuals, in Decimal."""
        return cls(
            actuals.site,
            actuals.grid,
            {k: exact(v) for k, v in actuals.energy_mwh.items()},
            {k: exact(v) for k, v in actuals.hash_ph_days.items()},
            {k: exact(v) for k, v in actuals.energy_price.items()},
            exact(actuals.hashprice),
            decimal,
            {name: {k: exact(v) for k, v in by.items()} for name, by in actuals.settled_by.items()},
            actuals.price_source,
        )

    @property
    def hours(self) -> Numbers:
        if self.number is float:
            return np.asarray(self.grid.hours)
        return exact([Decimal(int(s)) / 3600 for s in np.diff(self.grid.edges)])

    def energy_mwh(self, group: str) -> Numbers:
        return self.energy.get(group, self._nothing)

    def hash_ph_days(self, group: str) -> Numbers:
        return self.hash_.get(group, self._nothing)

    def energy_price(self, settlement_point: str) -> Numbers:
        """Raises KeyError in words when no price of the point was given."""
        if settlement_point not in self.prices:
            raise KeyError(f"no price for settlement point {settlement_point!r}; known: {', '.join(sorted(self.prices)) or 'none'}")
        return self.prices[settlement_point]

    def hashprice(self) -> Numbers:
        return self.hash_prices

    def sum(self, parts: Sequence[Numbers]) -> Numbers:
        out: Numbers = self._nothing
        for part in parts:
            out = out + part if part is not self._nothing else out
        return out

    def during(self, over: Interval | None) -> Numbers:
        """The share of each interval inside `over`: from whole seconds, so that a Decimal's share is exact."""
        if over is None:
            return np.asarray(self._nothing + self.number(1))
        first, last = int(over.start.timestamp()), int(over.end.timestamp())
        edges = self.grid.edges
        inside = np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0, None)
        return self._made([self.number(int(i)) / self.number(int(w)) for i, w in zip(inside, np.diff(edges), strict=True)])

    def settled_by(self, obligation: str, group: str) -> Numbers:
        return self.settled.get(obligation, {}).get(group, self._nothing)

    def settled_apart(self, group: str) -> Numbers:
        return self.sum([by[group] for by in self.settled.values() if group in by])

    def below(self, quantity: Numbers, knots: Numbers, slopes: tuple[Numbers, ...]) -> Numbers:
        """See Its: each stretch of the quantity times the slope that holds there."""
        amount, left = self._nothing, self._nothing
        for k, slope in enumerate(slopes):
            reach = np.maximum(quantity, left)
            right = np.minimum(reach, knots[:, k]) if k < len(slopes) - 1 else reach
            right = np.maximum(right, left)
            amount = amount + slope * (right - left)
            left = knots[:, k] if k < len(slopes) - 1 else left
        return amount

    @cached_property
    def _nothing(self) -> Numbers:
        zeros: Numbers = np.zeros(len(self.grid)) if self.number is float else np.full(len(self.grid), ZERO, dtype=object)
        zeros.flags.writeable = False
        return zeros

    def _made(self, values: Sequence[Any]) -> Numbers:
        return np.array(values, dtype=np.float64) if self.number is float else exact(values)


def exact(values: Sequence[Any] | Numbers) -> Numbers:
    """An array of Decimals."""
    out = np.empty(len(values), dtype=object)
    out[:] = [decimal(v) for v in values]
    return out


def takeovers(book: Sequence[Any], site: Site, during: Callable[[Interval | None], Numbers]) -> dict[str, dict[str, Numbers]]:
    """Who settles whose energy in place of `power`, by obligation and group: the first of the book to ask for a moment has it."""
    taken: dict[str, dict[str, Numbers]] = {}
    left: dict[str, Numbers] = {}
    for obligation in book:
        takes = getattr(obligation, "takes_energy", None)
        for group, over in (takes(site) if takes else {}).items():
            free = left.get(group, during(None))
            share = np.minimum(during(over), free)
            left[group] = free - share
            taken.setdefault(obligation.name, {})[group] = share
    return taken


def lines(obligation: str, charges: Iterable[Charge[Any]], reader: Reader) -> Iterable[Line]:
    """A line for each charge and interval with a quantity; an interval without a number (a gap) has none."""
    for charge in charges:
        source = reader.sources.get(charge.price_at)
        rule = f"{charge.rule}; {charge.price_at} by {source}" if source else charge.rule
        for over, quantity, rate in zip(reader.grid.intervals, charge.quantity, charge.rate, strict=True):
            if quantity.is_nan() or rate.is_nan() or not quantity:
                continue
            yield Line(obligation, charge.charge_type, over, quantity, charge.unit, rate, quantity * rate, rule)
