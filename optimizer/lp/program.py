"""The linear program: load and hashrate over the horizon as blocks of columns and rows, in MW, PH/s and thousands of rigs.

It minimises minus profit and is independent of any solver. Each group has a block of columns for each awake mode (mode_columns.py):
thousands of its rigs in that mode or a higher one, by interval. Rigs of a group may be in different modes, so "how many in each mode" is
linear; the rest sleep. Contracts add rows, columns and priced lines through the methods below; a Program is also the `Quantities` that
their formulas read.

A row that can always be kept is hard. A row that may have to yield is elastic, in the order of `Yields`: the solver first looks for a plan
that breaks nothing; when there is none it breaks as little as possible before any dollar counts: sold capacity first, instructions last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from markets.facts import Call
from markets.grid import Grid, Interval
from markets.outlook import Outlook, PeakWindow
from optimizer.domain import reserve_awards
from optimizer.domain.array_types import Floats, Ints
from optimizer.domain.billed_lines import USD
from optimizer.domain.calls import calls_in_force
from optimizer.domain.formula import Bounds, Charge
from optimizer.domain.generator import Generator
from optimizer.domain.memory import Memory
from optimizer.domain.obligation import Obligation
from optimizer.domain.periods import shares
from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import Availability, Mode, RigGroup, Site, SoFar
from optimizer.lp import period_rows
from optimizer.lp.arrays import Earned, Rows, Yields
from optimizer.lp.blocks import Blocks
from optimizer.lp.expr import Expr, total
from optimizer.lp.generator_columns import Machine
from optimizer.lp.mode_columns import KILO as KILO
from optimizer.lp.mode_columns import Steps


class Program(Blocks):
    """A site over an outlook, before and while obligations shape it. Groups are those of `site`: aggregate first (cohorts.py)."""

    def __init__(self, site: Site, outlook: Outlook, so_far: SoFar, availability: Availability | None = None) -> None:
        self.site, self.outlook = site, outlook
        self.so_far = replace(so_far, awards=reserve_awards.with_expected_prices(so_far.awards, outlook))
        self.grid: Grid = outlook.grid
        super().__init__(len(self.grid))
        self.hours = np.asarray(self.grid.hours)
        self.book: Sequence[Obligation] = ()  # set before contracts shape the program, for those that ask what rigs earn without them
        self.contract_of: dict[int, str] = {}  # by the first row of a block: the contract that made it
        self.earned: list[Earned] = []
        self.expected: list[Earned] = []
        self.is_for_bids = False  # it prices megawatts for a bid: what the market makes of the bid is not in it
        self.offers: dict[tuple[str, str], Expr] = {}
        # By contract and product: where reserve is taken as sold in the day-ahead market, because it can still be offered there.
        self.sold_ahead: dict[tuple[str, str], NDArray[np.bool_]] = {}
        self.settled: Mapping[str, Mapping[str, Floats]] = {}
        self.hashed: Mapping[str, Mapping[str, Floats]] = {}
        self.behind: Mapping[str, tuple[Generator, ...]] = {}
        self.machines: Mapping[str, Machine] = {}
        self.wakes: dict[str, Ints] = {}
        self.kilorigs = {g.name: _available(g, self.grid, availability or Availability()) / KILO for g in site.groups}
        self._steps = Steps(self, self.grid, site.groups, self.kilorigs, self.overhead)

    # --- what a formula may read (Quantities) ------------------------------------------------------------------------------------------

    def energy_mwh(self, group: str) -> Expr:
        return self._steps.energy_mwh(group)

    def generators(self, meter: str) -> tuple[Generator, ...]:
        return self.behind.get(meter, ())

    def generated_mwh(self, obligation: str) -> Expr:
        return self.machines[obligation].mw * self.hours

    def curtailed_mwh(self, obligation: str) -> Expr:
        machine = self.machines[obligation]
        return machine.mw * -self.hours + machine.most_mw * self.hours

    def runs(self, obligation: str) -> Expr:
        return self.machines[obligation].runs

    def starts(self, obligation: str) -> Expr:
        return self.machines[obligation].starts

    def hash_ph_days(self, group: str) -> Expr:
        return self._steps.hash_ph_days(group)

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

    def peak_share(self, window: PeakWindow) -> Floats:
        series = self.outlook.peak_share.get(window)
        return np.zeros(self.n) if series is None else series.values

    @cached_property
    def matrix(self) -> Rows:
        """The rows as they are solved, once every contract has shaped the program."""
        return self.arrays().matrix

    @property
    def memories(self) -> Mapping[str, Memory]:
        return self.so_far.memory

    def mean(self, quantity: Expr, periods: Ints) -> Expr:
        return total([quantity.at_positions(at) * share for at, share in shares(periods, self.hours)], self.n)

    def highest(self, quantity: Expr, periods: Ints, floor: Floats, least: Floats | None = None) -> Expr:
        return period_rows.highest(self, quantity, periods, floor, least)

    def short(self, quantity: Expr, periods: Ints, need: Floats, before: tuple[float, float] = (0.0, 0.0)) -> Expr:
        return period_rows.short(self, quantity, periods, need, before)

    def calls_of(self, obligation: str) -> tuple[Call, ...]:
        return calls_in_force(self.so_far.calls, obligation)

    def awarded(self, obligation: str, product: str, market: str) -> tuple[Floats, Floats]:
        mw, price, _ = reserve_awards.on(reserve_awards.of(self.so_far.awards, obligation, product, market), self.grid, float)
        return mw, price

    def carried_mw(self, obligation: str, product: str) -> Expr:
        return self.offers.get((obligation, product), total([], self.n))

    def reserve_price(self, obligation: str, product: str) -> Floats:
        expected, awards = reserve_awards.expected(self.outlook, product), self.so_far.awards
        return reserve_awards.real_time_price(awards, obligation, product, self.grid, expected)

    def in_gap(self) -> NDArray[np.bool_]:
        return np.zeros(self.n, dtype=bool)

    def billed(self, obligation: str) -> tuple[Charge[Expr], ...]:
        return tuple(
            Charge(e.charge_type, e.usd, USD, np.ones(self.n), over_period=e.over_period, carried=e.carried, accrued=e.accrued)
            for e in self.earned
            if e.obligation == obligation
        )

    def below(self, quantity: Expr, knots: Floats, slopes: tuple[Floats, ...]) -> Expr:
        """See `Quantities`. Segments fill in order of falling slope by themselves; where a slope rises a binary makes them."""
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

    @cached_property
    def rigs(self) -> dict[str, dict[str, Expr]]:
        """By group and awake mode: thousands of rigs in it."""
        return {g.name: self._steps.rigs(g) for g in self.site.groups}

    def counted(self, x: Floats) -> dict[str, dict[str, Floats]]:
        """The same in a solution: rigs."""
        return self._steps.counted(x)

    def decided_now(self) -> Ints:
        """The columns that are decided before anything more is known: the first interval's rigs, and the reserve that is sold."""
        sold = [mw.cols[mw.coefs != 0.0] for mw in self.offers.values()]
        return np.unique(np.concatenate([self._steps.cols[:, 0], *sold]))

    def awake(self, group: str) -> Expr:
        """Thousands of rigs not asleep."""
        return self._steps.awake(group)

    def awake_of(self, groups: Sequence[str]) -> Expr:
        """The same of several, as a family."""
        return self._steps.awake_of(groups)

    def steps(self, group: str) -> list[Expr]:
        """For each mode awake, by rising watts: thousands of rigs in it or a higher one."""
        return self._steps.up(group)

    def group_load_mw(self, group: str) -> Expr:
        return self._steps.load_mw([group])

    def load_mw(self, groups: Sequence[str]) -> Expr:
        """Load of some groups at their meters, overhead included."""
        return self._steps.load_mw(groups)

    def hashrate_ph(self, group: str) -> Expr:
        """A thousand rigs of 200 TH/s are 200 PH/s."""
        return self._steps.hashrate_ph(group)

    # --- building ---------------------------------------------------------------------------------------------------------------------

    def insist(self, name: str, groups: Sequence[str], bounds: Sequence[Bounds]) -> None:
        """Bounds of an obligation on the load of some groups, one an interval; the firm ones are before every dollar."""
        caps, floors = np.array([b.cap_mw for b in bounds]), np.array([b.floor_mw for b in bounds])
        load = self.load_mw(groups)
        if np.isfinite(caps).any():
            self.cap(f"call {name}", load, caps, kind=RowKind.CALL, obligation=name)
        if (floors > 0).any():
            self.at_least(f"floor {name}", load, floors, Yields.INSTRUCTION, kind=RowKind.FLOOR, obligation=name)

    def earn(self, obligation: str, charge: Charge[Expr]) -> None:
        """Adds a charge to the profit that is maximised: the line whole, its weight without what later hours carry."""
        usd = charge.quantity * np.asarray(charge.rate, dtype=np.float64)
        self.earned.append(Earned(obligation, charge.charge_type, usd, charge.over_period, charge.carried, charge.accrued))
        self.weigh(-usd if charge.carried is None else usd * (charge.carried - 1.0))

    def expect(self, obligation: str, charge_type: str, usd: Expr) -> None:
        """Adds dollars that no bill of these hours holds: what later hours gain or lose by this plan, what a change costs. A plan weighs
        them and publishes them as a line."""
        self.expected.append(Earned(obligation, charge_type, usd))
        self.weigh(-usd)

    # --- inside -----------------------------------------------------------------------------------------------------------------------

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


def _available(group: RigGroup, grid: Grid, availability: Availability) -> Floats:
    series = availability.rigs.get(group.name)
    if series is None:
        return np.full(len(grid), float(group.rigs))
    values = series.values if series.grid == grid else series.onto(grid).values
    return np.clip(np.nan_to_num(values, nan=float(group.rigs)), 0.0, float(group.rigs))
