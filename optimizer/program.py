"""Program: load and hashrate over the horizon as named vector blocks; minimise minus profit, in MW, PH/s and thousands of rigs.

One builder, and nothing here knows a solver. Each group has a block of columns for each mode awake: thousands of its rigs in that mode,
interval by interval. Mixing rigs makes every mode set convex, so "how many in each mode" is linear; what is left over sleeps. Obligations
add rows, columns and priced lines through the methods below; a Program is also the `Its` their formulas read (ARCHITECTURE 3).

What can be kept in every case is a hard row. What may have to give way is elastic, in an order: `Yields`. The solver looks first for a plan
that breaks nothing; only when there is none does it break the least, the first of `Yields` last, before any dollar counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from markets.facts import Call
from markets.grid import Grid, Interval
from markets.outlook import Outlook
from optimizer import capacity
from optimizer import periods as period
from optimizer.arrays import INF, Arrays, Earned, Elastic, Named, Short, Yields
from optimizer.expr import Expr, Floats, Ints, total
from optimizer.obligations import Bounds, Charge, standing
from optimizer.site import SLEEP, Availability, Meter, Mode, RigGroup, Site, SoFar

KILO = 1000.0
# Dollars per MWh, at most: of plans that earn the same, one is always the plan, now and an interval later.
TIE_USD_PER_MWH = 1e-3
QUARTER_S = 900


class Program:
    """A site over an outlook, before and while obligations shape it. Groups are those of `site`: aggregate first (cohorts.py)."""

    def __init__(self, site: Site, outlook: Outlook, so_far: SoFar, availability: Availability | None = None) -> None:
        self.site, self.outlook, self.so_far = site, outlook, so_far
        self.grid: Grid = outlook.grid
        self.n = len(self.grid)
        self.hours = np.asarray(self.grid.hours)
        self.columns: list[Named] = []
        self.rows: list[Named] = []
        self.earned: list[Earned] = []
        self.elastic: list[Elastic] = []
        self.shorts: list[Short] = []
        self.offers: dict[tuple[str, str], Expr] = {}
        self._lower: list[Floats] = []
        self._upper: list[Floats] = []
        self._integer: list[bool] = []
        self._cost: list[tuple[Ints, Floats]] = []
        self._offset = 0.0
        self._entries: list[tuple[Ints, Ints, Floats]] = []
        self._row_lower: list[Floats] = []
        self._row_upper: list[Floats] = []
        self._width = self._height = 0
        self._steps = np.arange(self.n, dtype=np.int64)
        self.settled: Mapping[str, Mapping[str, Floats]] = {}
        self.hashed: Mapping[str, Mapping[str, Floats]] = {}
        self.rigs: dict[str, dict[str, Expr]] = {}
        self._awake: dict[str, Expr] = {}
        self._steps_of: dict[str, list[Expr]] = {}
        self.kilorigs = {g.name: _available(g, self.grid, availability or Availability()) / KILO for g in site.groups}
        for place, group in enumerate(site.groups):
            self._add_group(group, place)

    # --- what a formula may read (Its) ------------------------------------------------------------------------------------------------

    def energy_mwh(self, group: str) -> Expr:
        return self.group_load_mw(group) * self.hours

    def hash_ph_days(self, group: str) -> Expr:
        return self.hashrate_ph(group) * (self.hours / 24.0)

    def energy_price(self, settlement_point: str) -> Floats:
        return self.outlook.price(settlement_point).values

    def hashprice(self) -> Floats:
        return self.outlook.hashprice.values

    def number(self, value: float) -> float:
        return float(value)

    def sum(self, parts: Sequence[Expr]) -> Expr:
        return total(parts, self.n)

    def during(self, over: Interval | None) -> Floats:
        return np.ones(self.n) if over is None else self.grid.share_within(over)

    def settled_by(self, obligation: str, group: str) -> Floats:
        return self.settled.get(obligation, {}).get(group, np.zeros(self.n))

    def settled_apart(self, group: str) -> Floats:
        return sum((by.get(group, np.zeros(self.n)) for by in self.settled.values()), np.zeros(self.n))

    def hashed_apart(self, group: str) -> Floats:
        return sum((by.get(group, np.zeros(self.n)) for by in self.hashed.values()), np.zeros(self.n))

    def peak_share(self, minutes: int) -> Floats:
        series = self.outlook.peak_share.get(minutes)
        return np.zeros(self.n) if series is None else series.values

    def memory(self, obligation: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.so_far.memory.get(obligation, {})
        return found

    def mean(self, quantity: Expr, periods: Ints) -> Expr:
        return total([quantity.taken(at) * share for at, share in period.shares(periods, self.hours)], self.n)

    def highest(self, quantity: Expr, periods: Ints, floor: Floats) -> Expr:
        return period.highest(self, quantity, periods, floor)

    def short(self, quantity: Expr, periods: Ints, need: Floats, before: tuple[float, float] = (0.0, 0.0)) -> Expr:
        return period.short(self, quantity, periods, need, before)

    def calls_of(self, obligation: str) -> tuple[Call, ...]:
        return standing(self.so_far.calls, obligation)

    def awarded(self, obligation: str, product: str, market: str) -> tuple[Floats, Floats]:
        mw, price, _ = capacity.on(capacity.of(self.so_far.awards, obligation, product, market), self.grid, float)
        return mw, price

    def carried_mw(self, obligation: str, product: str) -> Expr:
        return self.offers.get((obligation, product), total([], self.n))

    def reserve_price(self, obligation: str, product: str) -> Floats:
        return capacity.expected(self.outlook, product)

    def below(self, quantity: Expr, knots: Floats, slopes: tuple[Floats, ...]) -> Expr:
        """See Its. Segments fill in order of falling slope by themselves; where a slope rises a binary makes them."""
        edges = np.hstack([np.zeros((self.n, 1)), np.asarray(knots, dtype=np.float64)])
        rising = np.zeros(self.n, dtype=bool)
        for left, right in zip(slopes, slopes[1:], strict=False):
            rising |= np.asarray(right) > np.asarray(left)
        _, most = quantity.range(self.lower, self.upper)
        segments = []
        for k in range(len(slopes)):
            top = edges[:, k + 1] if k + 1 < edges.shape[1] else np.maximum(most, edges[:, k])
            segments.append(self.column(f"segment {k}", upper=np.maximum(0.0, top - edges[:, k]), closed=True))
        self.row("segments", self.sum(segments) - quantity, lower=0.0, upper=0.0)
        if rising.any():
            self._in_order(segments, rising)
        return self.sum([segment * slope for segment, slope in zip(segments, slopes, strict=True)])

    # --- the site's own expressions ---------------------------------------------------------------------------------------------------

    @cached_property
    def overhead(self) -> Mapping[str, Floats]:
        """By hall: 1 + overhead share at each interval's temperature; 25 C where none is known."""
        celsius = np.nan_to_num(self.outlook.temperature_c.values, nan=25.0)
        above = np.maximum(0.0, celsius - 25.0)
        return {h.name: 1.0 + h.overhead.share + h.overhead.share_per_c_above_25 * above for h in self.site.halls}

    def mw_per_kilorig(self, group: RigGroup, mode: Mode) -> Floats:
        """At the meter, overhead included, shape (n,)."""
        return self.overhead[group.hall] * (mode.watts / KILO)

    def awake(self, group: str) -> Expr:
        """Thousands of rigs not asleep."""
        return self._awake[group]

    def group_load_mw(self, group: str) -> Expr:
        return self._loads[group]

    def load_mw(self, groups: Sequence[str]) -> Expr:
        """Load of some groups at their meters, overhead included."""
        return total([self._loads[name] for name in groups], self.n)

    def hashrate_ph(self, group: str) -> Expr:
        """A thousand rigs of 200 TH/s are 200 PH/s."""
        modes = self.site.group(group).awake_modes
        before = (0.0, *(m.ths for m in modes))
        steps = [step * (m.ths - less) for step, m, less in zip(self._steps_of[group], modes, before, strict=False)]
        return total(steps, self.n)

    @cached_property
    def _loads(self) -> dict[str, Expr]:
        loads = {}
        for group in self.site.groups:
            asleep = next((m for m in group.modes if m.name == SLEEP), Mode(name=SLEEP, watts=0.0, ths=0.0))
            standby = self.mw_per_kilorig(group, asleep)
            mw = [standby, *(self.mw_per_kilorig(group, m) for m in group.awake_modes)]
            parts = [step * (more - less) for step, less, more in zip(self._steps_of[group.name], mw[:-1], mw[1:], strict=True)]
            loads[group.name] = total(parts, self.n) + standby * self.kilorigs[group.name]
        return loads

    # --- building ---------------------------------------------------------------------------------------------------------------------

    @property
    def lower(self) -> Floats:
        return np.concatenate(self._lower) if self._lower else np.zeros(0)

    @property
    def upper(self) -> Floats:
        return np.concatenate(self._upper) if self._upper else np.zeros(0)

    def column(
        self, name: str, lower: float | Floats = 0.0, upper: float | Floats = INF, *, integer: bool = False, closed: bool = False
    ) -> Expr:
        """A block of n columns, one an interval. `closed` names a block of which a program may hold several."""
        first = self._width
        self.columns.append(Named(f"{name} {len(self.columns)}" if closed else name, first, self._steps))
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), (self.n,)))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), (self.n,)))
        self._integer.append(integer)
        self._width += self.n
        return Expr(((first + self._steps, np.ones(self.n)),), np.zeros(self.n))

    def row(
        self, name: str, of: Expr, lower: float | Floats = -INF, upper: float | Floats = INF, where: NDArray[np.bool_] | None = None
    ) -> None:
        """A block of rows lower <= of <= upper, one for each interval in `where` (all when None)."""
        at = self._steps if where is None else np.flatnonzero(where).astype(np.int64)
        if not len(at):
            return
        place = self._height + np.arange(len(at), dtype=np.int64)
        for cols, coefs in of.terms:
            self._entries.append((place, cols[at], coefs[at]))
        self._row_lower.append((np.broadcast_to(np.asarray(lower, dtype=np.float64), (self.n,)) - of.constant)[at])
        self._row_upper.append((np.broadcast_to(np.asarray(upper, dtype=np.float64), (self.n,)) - of.constant)[at])
        self.rows.append(Named(name, self._height, at))
        self._height += len(at)

    def cap(self, name: str, of: Expr, most: float | Floats) -> None:
        """`of` at most `most`, or the least it can be where that is more; what is beyond is a Short. No row where it cannot bind."""
        least, greatest = of.range(self.lower, self.upper)
        most = np.broadcast_to(np.asarray(most, dtype=np.float64), (self.n,))
        beyond = np.maximum(0.0, least - most)
        if (beyond > 1e-9).any():
            self.shorts.append(Short(name, beyond))
        self.row(name, of, upper=np.maximum(most, least), where=greatest > most)

    def at_least(self, name: str, of: Expr, floor: float | Floats, level: Yields, where: NDArray[np.bool_] | None = None) -> None:
        """`of` at least `floor`, elastic at `level`, in the intervals of `where` (all when None); no row where it always is."""
        if where is None:
            where = of.range(self.lower, self.upper)[0] < np.asarray(floor, dtype=np.float64) - 1e-12
        if not where.any():
            return
        slack = self.column(f"short {name}", upper=np.where(where, INF, 0.0))
        self.elastic.append(Elastic(name, level, slack))
        self.row(name, of + slack, lower=floor, where=where)

    def insist(self, name: str, groups: Sequence[str], bounds: Sequence[Bounds]) -> None:
        """Bounds of an obligation on the load of some groups, one an interval; the firm ones are before every dollar."""
        caps, floors = np.array([b.cap_mw for b in bounds]), np.array([b.floor_mw for b in bounds])
        load = self.load_mw(groups)
        if np.isfinite(caps).any():
            self.cap(f"call {name}", load, caps)
        if (floors > 0).any():
            self.at_least(f"floor {name}", load, floors, Yields.INSTRUCTION)

    def earn(self, obligation: str, charge: Charge[Expr]) -> None:
        """Adds a charge to the profit that is maximised."""
        usd = charge.quantity * np.asarray(charge.rate, dtype=np.float64)
        self.earned.append(Earned(obligation, charge.charge_type, usd))
        self.weigh(-usd)

    def weigh(self, cost: Expr) -> None:
        """Adds a weight that is not cash, or is published elsewhere: positive is avoided."""
        self._cost.extend(cost.terms)
        self._offset += float(cost.constant.sum())

    def arrays(self) -> Arrays:
        """The blocks put together; entries of one row and column are summed."""
        nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        rows, cols, data = (np.concatenate(parts) for parts in zip(*(self._entries or [nothing]), strict=True))
        matrix = sparse.coo_matrix((data, (rows, cols)), shape=(self._height, self._width)).tocsr()
        matrix.eliminate_zeros()
        cost = np.zeros(self._width)
        if self._cost:
            where, weights = (np.concatenate(parts) for parts in zip(*self._cost, strict=True))
            cost += np.bincount(where, weights, minlength=self._width)
        empty = np.zeros(0)
        return Arrays(
            cost=cost,
            offset=self._offset,
            lower=self.lower,
            upper=self.upper,
            integer=np.repeat(np.array(self._integer, dtype=bool), self.n),
            matrix=matrix,
            row_lower=np.concatenate(self._row_lower) if self._row_lower else empty,
            row_upper=np.concatenate(self._row_upper) if self._row_upper else empty,
        )

    # --- inside -----------------------------------------------------------------------------------------------------------------------

    def _add_group(self, group: RigGroup, place: int) -> None:
        """A column counts the rigs in a mode or a higher one, so that a mode's own count is the difference to the next: where more is better
        all columns stand at their upper bound, and a simplex starts there."""
        have, modes = self.kilorigs[group.name], group.awake_modes
        steps = [self.column(f"rigs {group.name} {m.name}{'' if m is modes[-1] else ' up'}", upper=have) for m in modes]
        for m, step, above in zip(modes, steps, steps[1:], strict=False):
            self.row(f"rigs {group.name} {m.name}", step - above, lower=0.0)
        own = [step - above for step, above in zip(steps, steps[1:], strict=False)] + steps[-1:]
        self.rigs[group.name] = {m.name: rigs for m, rigs in zip(modes, own, strict=True)}
        self._awake[group.name] = steps[0] if steps else total([], self.n)
        self._steps_of[group.name] = steps
        tie = TIE_USD_PER_MWH * 0.5 * ((place + 1) / (len(self.site.groups) + 1) + _clock_key(self.grid.edges, place))
        for mode in group.awake_modes:
            self.weigh(self.rigs[group.name][mode.name] * (tie * self.hours * (mode.watts / KILO)))

    def _in_order(self, segments: Sequence[Expr], rising: NDArray[np.bool_]) -> None:
        before: Expr | None = None
        for left, right in zip(segments, segments[1:], strict=False):
            full = self.column("filled", upper=np.where(rising, 1.0, 0.0), integer=True, closed=True)
            _, width = left.range(self.lower, self.upper)
            _, room = right.range(self.lower, self.upper)
            self.row("left is full", left - full * width, lower=0.0, where=rising)
            self.row("right waits", right - full * room, upper=0.0, where=rising)
            if before is not None:
                self.row("in order", full - before, upper=0.0, where=rising)
            before = full


def meters(site: Site, groups: Sequence[str]) -> tuple[tuple[Meter, tuple[str, ...]], ...]:
    """The meters that groups sit behind, each with those groups."""
    return tuple((m, behind) for m in site.meters if (behind := tuple(n for n in groups if site.meter_of[n].id == m.id)))


def _available(group: RigGroup, grid: Grid, availability: Availability) -> Floats:
    series = availability.rigs.get(group.name)
    if series is None:
        return np.full(len(grid), float(group.rigs))
    values = series.values if series.grid == grid else series.onto(grid).values
    return np.clip(np.nan_to_num(values, nan=float(group.rigs)), 0.0, float(group.rigs))


def _clock_key(edges: NDArray[np.int64], place: int) -> Floats:
    """A number in 0..1 that belongs to a group and a quarter hour of the calendar, averaged over longer intervals, shape (n,): the same in
    every plan, whatever its horizon, and never the same sum for two ways of swapping groups or hours (OPTIMIZER 8)."""
    first, last = edges[:-1] // QUARTER_S, np.maximum(edges[:-1] // QUARTER_S + 1, edges[1:] // QUARTER_S)
    quarters = np.arange(first[0], last[-1] + 1).astype(np.float64)
    key = np.concatenate([[0.0], np.cumsum((quarters * (0.6180339887498949 + place * 0.41421356237309515)) % 1.0)])
    return np.asarray((key[last - first[0]] - key[first - first[0]]) / (last - first))
