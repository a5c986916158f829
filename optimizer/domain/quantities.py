"""What happened, or will happen by a plan, as a formula reads it: arrays of Decimal for a bill, of float for a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.facts import Award, Call
from markets.grid import Grid, Interval
from markets.outlook import PeakWindow
from optimizer.domain import periods as period_sums
from optimizer.domain import reserve_awards
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Numbers, larger, smaller
from optimizer.domain.billed_lines import charges_of_lines
from optimizer.domain.calls import calls_in_force
from optimizer.domain.formula import Charge
from optimizer.domain.generator import Generator, runs_before
from optimizer.domain.memory import Memory
from optimizer.domain.money import ZERO, Line, decimal
from optimizer.domain.site import Site

UNKNOWN = Decimal("NaN")


@dataclass(frozen=True, eq=False)
class ActualQuantities:
    """The quantities a formula reads as arrays of numbers, all of one kind: `number` makes one.

    energy        MWh by group, at the meter, overhead included, before losses
    hash_         PH/s times days, by group
    prices        usd_per_mwh, by settlement point
    hash_prices   usd_per_ph_day before the pool's fee
    settled       by obligation, by group: the share of each interval in which it settles that energy (`energy_settled_by`)
    hashed        the same of what the group hashes
    peaks         by minutes of the metered interval: the share of the month's coincident peak in each interval, NaN where no system
                  load is known; of a way of metering that is not there nothing is known
    memories      by contract name: its memory of the time before the grid
    sources       by settlement point: where its prices came from, for the lines to cite
    offers        by (obligation, product): reserve a plan keeps ready, MW; without it the real-time awards say
    reserve       by product: real-time price of reserve, usd_per_mw_h
    made          by contract of a generator: MWh at its meter, before losses
    available     by contract of a wind or solar plant: MWh it could have made
    behind        by meter: its generators
    charged       by contract name: its charges in dollars, for the contracts that charge on them
    gaps          positions of the intervals that no contract is billed for
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
    hashed: Mapping[str, Mapping[str, Numbers]] = field(default_factory=dict)
    peaks: Mapping[PeakWindow, Numbers] = field(default_factory=dict)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    offers: Mapping[tuple[str, str], Numbers] = field(default_factory=dict)
    reserve: Mapping[str, Numbers] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    awards: tuple[Award, ...] = ()
    made: Mapping[str, Numbers] = field(default_factory=dict)
    available: Mapping[str, Numbers] = field(default_factory=dict)
    behind: Mapping[str, tuple[Generator, ...]] = field(default_factory=dict)
    charged: Mapping[str, tuple[Charge[Numbers], ...]] = field(default_factory=dict)
    gaps: frozenset[int] = frozenset()

    @classmethod
    def of(cls, actuals: Actuals) -> ActualQuantities:
        """Actuals, in Decimal."""
        return cls(
            actuals.site,
            actuals.grid,
            Exactly(actuals.energy_mwh),
            Exactly(actuals.hash_ph_days),
            Exactly(actuals.energy_price),
            exact(actuals.hashprice),
            decimal,
            {name: Exactly(by) for name, by in actuals.settled_by.items()},
            actuals.price_source,
            {name: Exactly(by) for name, by in actuals.hashed_by.items()},
            Exactly(actuals.peak_share),
            actuals.memory,
            reserve=Exactly(actuals.reserve_price),
            calls=actuals.calls,
            awards=actuals.awards,
            made=Exactly(actuals.generated_mwh),
            available=Exactly(actuals.available_mwh),
            behind=actuals.generators,
            charged={name: charges_of_lines(own, actuals.grid) for name, own in actuals.billed.items()},
            gaps=actuals.gaps,
        )

    @property
    def hours(self) -> Numbers:
        return np.asarray(self.grid.hours) if self.number is float else exact_hours(self.grid)

    def energy_mwh(self, group: str) -> Numbers:
        return self.energy.get(group, self._nothing)

    def generators(self, meter: str) -> tuple[Generator, ...]:
        return self.behind.get(meter, ())

    def generated_mwh(self, obligation: str) -> Numbers:
        return self.made.get(obligation, self._nothing)

    def curtailed_mwh(self, obligation: str) -> Numbers:
        if obligation not in self.made:
            return self._nothing
        could = self.available.get(obligation, self._nothing + self.number(float("nan")))
        left = could - self.made[obligation]
        return np.where(left == left, larger(left, self._nothing), left)

    def runs(self, obligation: str) -> Numbers:
        made, one, nothing = self.generated_mwh(obligation), self.number(1), self.number(0)
        return self._made([mwh if mwh != mwh else one if mwh > nothing else nothing for mwh in made])

    def starts(self, obligation: str) -> Numbers:
        runs, before = self.runs(obligation), runs_before(self.memories, obligation)
        earlier = self._made([self.number(int(before)), *runs[:-1]])
        started: Numbers = larger(runs - earlier, self.number(0))
        return started

    def hash_ph_days(self, group: str) -> Numbers:
        return self.hash_.get(group, self._nothing)

    def energy_price(self, settlement_point: str) -> Numbers:
        """Raises KeyError when there is no price of the point."""
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
        """The share of each interval inside `over`: counted in seconds, so that a Decimal's share is exact."""
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

    def hashed_apart(self, group: str) -> Numbers:
        return self.sum([by[group] for by in self.hashed.values() if group in by])

    def peak_share(self, window: PeakWindow) -> Numbers:
        if window not in self.peaks and self.number is not float:
            return self._made([UNKNOWN] * len(self.grid))
        return self.peaks.get(window, self._nothing)

    def mean(self, quantity: Numbers, periods: NDArray[np.int64]) -> Numbers:
        if len(np.unique(periods)) == len(periods):
            return quantity
        zero, gap = self.number(0), np.array([value != value for value in quantity], dtype=np.bool_)
        known = np.where(gap, zero, quantity)
        weighed, weight = self._nothing, self._nothing
        for at, within in period_sums.steps_within(periods):
            hours = self.hours[at] * np.where(within & ~gap[at], self.number(1), zero)
            weighed, weight = weighed + known[at] * hours, weight + hours
        return np.where(gap, quantity, weighed / np.where(gap, self.number(1), weight))

    def highest(self, quantity: Numbers, periods: NDArray[np.int64], floor: Numbers, least: Numbers | None = None) -> Numbers:
        return period_sums.highest_of(quantity, periods, floor, self.number(0), least)

    def short(self, quantity: Numbers, periods: NDArray[np.int64], need: Numbers, before: tuple[float, float] = (0.0, 0.0)) -> Numbers:
        return period_sums.short_of(quantity, periods, need, (self.number(before[0]), self.number(before[1])), self.number(0))

    def calls_of(self, obligation: str) -> tuple[Call, ...]:
        return calls_in_force(self.calls, obligation)

    def awarded(self, obligation: str, product: str, market: str) -> tuple[Numbers, Numbers]:
        mw, price, _ = reserve_awards.on(reserve_awards.of(self.awards, obligation, product, market), self.grid, self.number)
        return mw, price

    def carried_mw(self, obligation: str, product: str) -> Numbers:
        if (obligation, product) in self.offers:
            return self.offers[(obligation, product)]
        mw, _, told = reserve_awards.on(
            reserve_awards.of(self.awards, obligation, product, reserve_awards.REAL_TIME), self.grid, self.number
        )
        return np.where(told, mw, self.awarded(obligation, product, reserve_awards.DAY_AHEAD)[0])

    def reserve_price(self, obligation: str, product: str) -> Numbers:
        _, price, told = reserve_awards.on(
            reserve_awards.of(self.awards, obligation, product, reserve_awards.REAL_TIME), self.grid, self.number
        )
        known = told & np.array([usd == usd for usd in price], dtype=bool)  # an award may come without its price
        return np.where(known, price, self.reserve.get(reserve_awards.priced_as(product), self._nothing))

    def in_gap(self) -> NDArray[np.bool_]:
        return np.isin(np.arange(len(self.grid)), sorted(self.gaps))

    def billed(self, obligation: str) -> tuple[Charge[Numbers], ...]:
        return self.charged.get(obligation, ())

    def below(self, quantity: Numbers, knots: Numbers, slopes: tuple[Numbers, ...]) -> Numbers:
        """See `Quantities`: each stretch of the quantity times the slope that holds there."""
        amount, left = self._nothing, self._nothing
        for k, slope in enumerate(slopes):
            reach = larger(quantity, left)
            right = smaller(reach, knots[:, k]) if k < len(slopes) - 1 else reach
            right = larger(right, left)
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


@lru_cache(maxsize=64)
def exact_hours(grid: Grid) -> Numbers:
    """Length of each interval, Decimal hours, shape (n,)."""
    hours = exact([Decimal(int(s)) / 3600 for s in np.diff(grid.edges)])
    hours.flags.writeable = False
    return hours


def exact(values: Sequence[Any] | Numbers) -> Numbers:
    """An array of Decimals; one that is one already is not copied."""
    if isinstance(values, np.ndarray) and values.dtype == object and (not len(values) or isinstance(values[0], Decimal)):
        return values
    out = np.empty(len(values), dtype=object)
    out[:] = [decimal(v) for v in values]
    return out


class Exactly(Mapping[Any, Any]):
    """Rows of numbers as arrays of Decimals, each converted when it is first read, because a contract reads few of them."""

    def __init__(self, rows: Mapping[Any, Any]) -> None:
        self.rows = rows
        self._made: dict[Any, Numbers] = dict(rows._made) if isinstance(rows, Exactly) else {}

    def __getitem__(self, key: Any) -> Numbers:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = exact(self.rows[key])
        return found

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def lines(obligation: str, charges: Iterable[Charge[Any]], reader: ActualQuantities) -> Iterable[Line]:
    """A line for each charge and interval with a quantity; a gap has none."""
    for charge in charges:
        source = reader.sources.get(charge.price_at)
        rule = f"{charge.rule}; {charge.price_at} by {source}" if source else charge.rule
        for n, (over, quantity, rate) in enumerate(zip(reader.grid.intervals, charge.quantity, charge.rate, strict=True)):
            if n in reader.gaps or quantity.is_nan() or rate.is_nan() or not quantity:
                continue
            yield Line(
                obligation,
                charge.charge_type,
                over,
                quantity,
                charge.unit,
                rate,
                quantity * rate,
                rule,
                charge.price_at,
                charge.accrued,
                charge.meter,
            )
