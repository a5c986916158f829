"""Lower loads than the merit order's, tried one after the other: what a megawatt costs beyond the price of its own interval shows only in
the money of the whole plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats, Ints, Numbers
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import Scope
from optimizer.lp.breakeven import net
from optimizer.lp.program import KILO, Program
from optimizer.lp.trajectory import Trajectory, float_reader, plan_lines, unpack
from optimizer.planning.merit_walk import LoadCap, Step, follow

Rigs = dict[str, dict[str, Floats]]
Ceilings = Mapping[tuple[str, ...], Floats]

# How many loads are tried: the loop itself waits for this plan when the planner's process has died.
MOST_TRIALS, LEAST_TRIALS, STEPS_VISITED = 48, 12, 120_000
LEAST_GAIN_USD = 1e-6
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LEVEL_HALVINGS, CURVE_HALVINGS = 4, 9
GROUPS_STOPPED = 8  # the groups that earn least for each megawatt-hour, which are tried without


@dataclass(frozen=True, slots=True)
class Trial:
    """A load that was tried: its rigs, what it earns by all lines of a plan, wear included, and the lines by interval, shape (n,)."""

    rigs: Rigs
    path: Trajectory
    ceilings: Ceilings
    usd: float
    usd_by_interval: Floats


class LoadSearch:
    """Lowers the load of groups, window by window, as long as that earns more. A window is some intervals, its load a ceiling in MW."""

    def __init__(
        self, program: Program, book: Sequence[Obligation], limits: Sequence[LoadCap], steps: Sequence[Step], failures: PluginFailures
    ) -> None:
        self.program, self.book, self.limits, self.steps, self.failures = program, book, limits, steps, failures
        self.site = tuple(g.name for g in program.site.groups)
        self.left = min(MOST_TRIALS, max(LEAST_TRIALS, STEPS_VISITED // (program.n * max(1, len(steps)))))
        self.asleep = self._trial([replace(s, usd=np.full(program.n, -1.0)) for s in steps], {})
        self.best = self._trial(steps, {})

    def run(self) -> Trial:
        """The best load found: until nothing earns more or no more may be tried, and never worse than sleeping."""
        before = -np.inf
        while self.left > 0 and self.best.usd > before + LEAST_GAIN_USD and self._costs_more_than_it_shows():
            before = self.best.usd
            self._fit_curves()
            for groups, counted in self._windows():
                self._fit_level(groups, counted)
            for name in self._least_worth():
                self._fit_group(name)
            self._avoid_losses()
        return self.best if self.best.usd >= self.asleep.usd else self.asleep

    # --- what is tried ----------------------------------------------------------------------------------------------------------------

    def _fit_curves(self) -> None:
        """By meter and interval the load at which charges that are no straight line of it (blocks, exports) earn most."""
        straight = sum((self._taken(s) * s.usd for s in self.steps), self._net(self.asleep.rigs))
        if np.allclose(straight, self._net(self.best.rigs), atol=1e-6):
            return
        for meter in self.program.site.meters:
            groups = Scope(meter=meter.id).names(self.program.site)
            if groups:
                share = _highest(partial(self._net_lowered, groups), self.program.n)
                idle, load = self._load_mw(self.asleep, groups), self._load_mw(self.best, groups)
                self._try(groups, np.where(share < 1.0, idle + share * (load - idle), np.inf))

    def _windows(self) -> Iterator[tuple[tuple[str, ...], NDArray[np.bool_]]]:
        """The groups and intervals whose highest load a contract charges, and then the whole horizon."""
        for obligation in (o for o in self.failures.sound(self.book) if not o.charged_on()):
            reader = _HighestReader.of_reader(float_reader(self.program, self.best.path))
            with self.failures.of(obligation):
                list(obligation.charges(reader))
            for counted in reader.found:
                yield obligation.scope.names(self.program.site), counted
        yield self.site, np.ones(self.program.n, dtype=bool)

    def _fit_level(self, groups: tuple[str, ...], counted: NDArray[np.bool_]) -> None:
        """The most that groups draw in a window, as a share of what they draw at most: quarters, then halves around the best."""
        idle, load = self._load_mw(self.asleep, groups), self._load_mw(self.best, groups)
        high, start = float((load - idle)[counted].max(initial=0.0)), self.best
        if high <= 0.0:
            return
        best, step = 1.0, SHARES[1]
        tried = list(SHARES[:-1])
        for _ in range(LEVEL_HALVINGS):
            for share in tried:
                if self._try(groups, np.where(counted, idle + share * high, np.inf), start):
                    best = share
            step /= 2
            tried = [share for share in (best - step, best + step) if 0.0 < share < 1.0]
            if best == 1.0:
                return

    def _fit_group(self, name: str) -> None:
        """A group at rest, or at half its load."""
        idle, load = self._load_mw(self.asleep, (name,)), self._load_mw(self.best, (name,))
        for share in (0.0, 0.5):
            self._try((name,), idle + share * float((load - idle).max()))

    def _avoid_losses(self) -> None:
        """Less load where intervals lose money that a ramp or a minimum time forces on, and in ever more intervals before them."""
        at, idle = np.arange(self.program.n), self._load_mw(self.asleep, self.site)
        lost = self.best.usd_by_interval < self.asleep.usd_by_interval - LEAST_GAIN_USD
        begins = np.flatnonzero(lost & ~np.append(False, lost[:-1]))
        ends = np.flatnonzero(lost & ~np.append(lost[1:], False)) + 1
        for begin, end in zip(begins, ends, strict=True):
            back = 0
            while back <= begin:
                self._try(self.site, np.where((at >= begin - back) & (at < end), idle, np.inf))
                back = 2 * back or 1

    def _costs_more_than_it_shows(self) -> bool:
        """Whether the load earns less over sleeping than its steps that earn: only then can a lower load be better."""
        shown = sum(float(np.maximum(0.0, self._taken(s) * s.usd).sum()) for s in self.steps)
        return self.best.usd - self.asleep.usd < shown - LEAST_GAIN_USD

    def _least_worth(self) -> list[str]:
        """The groups with load that earn least for each megawatt-hour by their steps."""
        usd, mwh = dict.fromkeys(self.site, 0.0), dict.fromkeys(self.site, 0.0)
        for s in self.steps:
            usd[s.group] += float((self._taken(s) * s.usd).sum())
            mwh[s.group] += float((self._taken(s) * s.mw * self.program.hours).sum())
        return sorted((name for name in self.site if mwh[name] > 0), key=lambda name: usd[name] / mwh[name])[:GROUPS_STOPPED]

    # --- how it is tried --------------------------------------------------------------------------------------------------------------

    def _try(self, groups: tuple[str, ...], most_mw: Floats, start: Trial | None = None) -> bool:
        """Whether the ceilings of `start` (the best so far) with one more earn more than the best so far, which they then become."""
        if self.left <= 0:
            return False
        self.left -= 1
        ceilings = dict((start or self.best).ceilings)
        ceilings[groups] = np.minimum(ceilings.get(groups, np.inf), most_mw)
        trial = self._trial(self.steps, ceilings)
        if trial.usd <= self.best.usd + LEAST_GAIN_USD:
            return False
        self.best = trial
        return True

    def _trial(self, steps: Sequence[Step], ceilings: Ceilings) -> Trial:
        rigs = follow(self.program, self.limits, steps, [LoadCap(groups, mw) for groups, mw in ceilings.items()])
        path = unpack(self.program, rigs)
        lines = sum(plan_lines(self.book, self.program, path, self.failures).values(), np.zeros(self.program.n))
        return Trial(rigs, path, ceilings, float(lines.sum()) - path.wear_usd, lines)

    def _load_mw(self, trial: Trial, groups: Sequence[str]) -> Floats:
        return sum((trial.path.group_load_mw[name] for name in groups), np.zeros(self.program.n))

    def _net(self, rigs: Rigs) -> Floats:
        return net(self.failures.sound(self.book), float_reader(self.program, unpack(self.program, rigs)))

    def _net_lowered(self, groups: Sequence[str], share: Floats) -> Floats:
        return self._net(self._lowered(groups, share))

    def _taken(self, step: Step) -> Floats:
        """Thousands of rigs of the best load in the step's mode or in one above it."""
        above = [s.mode for s in self.steps if s.group == step.group]
        modes = self.best.rigs[step.group]
        return sum((modes[mode] for mode in above[above.index(step.mode) :]), np.zeros(self.program.n)) / KILO

    def _lowered(self, groups: Sequence[str], share: Floats) -> Rigs:
        """The best load with only a share of the megawatts of some groups, shape (n,): those that earn least are left out."""
        steps = [s for s in self.steps if s.group in groups]
        mw = np.array([self._taken(s) * s.mw for s in steps])
        rank = np.argsort([-s.usd / s.mw for s in steps], axis=0, kind="stable")
        ranked = np.take_along_axis(mw, rank, axis=0)
        before = np.cumsum(ranked, axis=0) - ranked
        kept = np.empty_like(mw)
        np.put_along_axis(kept, rank, np.clip(share * mw.sum(axis=0) - before, 0.0, ranked), axis=0)
        rigs = {name: dict(modes) for name, modes in self.best.rigs.items()}
        for s, left in zip(steps, kept, strict=True):
            rigs[s.group][s.mode] = left / s.mw * KILO
            if s.below is not None:
                rigs[s.group][s.below] = np.maximum(0.0, rigs[s.group][s.below] - rigs[s.group][s.mode])
        return rigs


def _highest(value: Callable[[Floats], Floats], n: int) -> Floats:
    """The share of a load, 0 to 1, at which `value` is highest in each interval by itself, shape (n,); the largest of several."""
    best, highest = np.ones(n), value(np.ones(n))
    tried = [np.full(n, share) for share in reversed(SHARES[:-1])]
    step = SHARES[1]
    for _ in range(CURVE_HALVINGS):
        for share in tried:
            usd = value(share)
            best, highest = np.where(usd > highest + LEAST_GAIN_USD, share, best), np.maximum(usd, highest)
        step /= 2
        tried = [np.clip(best - step, 0.0, 1.0), np.clip(best + step, 0.0, 1.0)]
    return best


@dataclass(frozen=True, eq=False)
class _HighestReader(ActualQuantities):
    """Quantities that note the intervals of each period whose highest load a formula asks for."""

    found: list[NDArray[np.bool_]] = field(default_factory=list)

    @classmethod
    def of_reader(cls, reader: ActualQuantities) -> _HighestReader:
        return cls(**{f.name: getattr(reader, f.name) for f in fields(reader)})

    def highest(self, quantity: Numbers, periods: Ints, floor: Numbers, least: Numbers | None = None) -> Numbers:
        self.found.extend((periods == number) & (quantity > 0) for number in np.unique(periods))
        return ActualQuantities.highest(self, quantity, periods, floor, least)
