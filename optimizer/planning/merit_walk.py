"""One pass through a horizon by merit order: in each interval the rigs that earn most for each megawatt run first, within every limit.

merit_order.py makes a plan of it; counterfactuals.py follows other strategies with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats
from optimizer.domain.formula import Bounds
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import SLEEP, RigGroup
from optimizer.domain.site_limits import site_limits
from optimizer.lp.program import KILO, Program


@dataclass(frozen=True, slots=True)
class Step:
    """Moving rigs of a group from one mode to the next one worth using. The arrays are for each thousand rigs, shape (n,). `start_pays`:
    whether rigs that are asleep are started in the interval for their dollars; always when None."""

    group: str
    mode: str
    below: str | None
    mw: Floats
    usd: Floats
    start_pays: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class LoadCap:
    """The most that some groups may draw together, and the least they must draw if they can, MW, shape (n,)."""

    groups: tuple[str, ...]
    most_mw: Floats
    least_mw: Floats | None = None


def follow(
    program: Program, limits: Sequence[LoadCap], steps: Sequence[Step], ceilings: Sequence[LoadCap] = ()
) -> dict[str, dict[str, Floats]]:
    """Rigs by group and awake mode, shape (n,) each.

    Steps with positive dollars are taken as far as `limits` (`load_limits`) and `ceilings` allow, the most dollars for each megawatt
    first. Keeps the site's limits, calls, minimum times, start limits and ramps; minimum times and ramps yield to limits. `ceilings`
    bound only what is taken for its dollars: minimum times, ramps and calls may pass them.
    """
    walk = _Walk(program, limits, steps, ceilings)
    for t in range(program.n):
        walk.step(t)
    return {name: {mode: n * KILO for mode, n in modes.items()} for name, modes in walk.rigs.items()}


class _Walk:
    """One pass through the horizon, interval by interval. It uses plain floats, because steps are visited some ten thousand times."""

    def __init__(self, program: Program, limits: Sequence[LoadCap], steps: Sequence[Step], ceilings: Sequence[LoadCap]) -> None:
        self.program, self.site = program, program.site
        caps = [*limits, *ceilings]
        self.groups = {g.name: g for g in program.site.groups}
        self.rigs = {g: {m: np.zeros(program.n) for m in modes} for g, modes in program.rigs.items()}
        self.caps = caps
        idle = {g.name: program.kilorigs[g.name] * program.mw_per_kilorig(g, g.asleep) for g in program.site.groups}
        self.idle_mw = sum(idle.values(), np.zeros(program.n))
        self.asleep_mw = [sum((idle[g] for g in cap.groups), np.zeros(program.n)) for cap in caps]
        self.hall = {g.name: g.hall for g in program.site.groups}
        self.limited_by = {g: [i for i, cap in enumerate(limits) if g in cap.groups] for g in self.groups}
        self.capped_by = {g: [i for i, cap in enumerate(caps) if g in cap.groups] for g in self.groups}
        self.steps = list(steps)
        self.ranks = _ranks(self.steps, program.n)
        self.mw = np.array([s.mw for s in self.steps]).reshape(-1, program.n)
        self.usd = np.array([s.usd for s in self.steps]).reshape(-1, program.n)
        self.awake = {g.name: _awake_before(program, g) for g in program.site.groups}
        self.starts_made: dict[str, list[tuple[float, float]]] = {g: [] for g in self.groups}
        self.stops: dict[str, list[tuple[float, float]]] = {g: [] for g in self.groups}
        self._add_recent_moves()
        self.load_mw = self._load_before()

    def step(self, t: int) -> None:
        """One interval: rigs that must run first, then rigs that earn, then rigs that a ramp limit still requires."""
        self.t, self.start_s = t, int(self.program.grid.edges[t])
        self.drawn = [float(asleep[t]) for asleep in self.asleep_mw]
        self.room = [float(cap.most_mw[t]) - drawn for cap, drawn in zip(self.caps, self.drawn, strict=True)]
        self.starts = {h.name: self._starts_allowed(h.max_starts_per_min, t) for h in self.site.halls}
        self.now = {g: dict.fromkeys(modes, 0.0) for g, modes in self.rigs.items()}
        ceiling, floor = self._ramp(t)
        self.load_mw = float(self.idle_mw[t])
        have = {g: float(k[t]) for g, k in self.program.kilorigs.items()}
        most = {g: max(0.0, have[g] - self._held_thousands(self.stops[g])) for g in self.groups}
        mw, usd = self.mw[:, t].tolist(), self.usd[:, t].tolist()
        for i, s in enumerate(self.steps):
            if s.below is None and self.starts_made[s.group]:
                self._take(s, mw[i], min(self._held_thousands(self.starts_made[s.group]), have[s.group]))
        ranked = self.ranks[:, t].tolist()
        for earns in (True, False):
            for i in ranked:
                room = (ceiling if earns else min(floor, ceiling)) - self.load_mw
                if ((usd[i] > 0) or not earns) and room > 1e-9:
                    self._take(self.steps[i], mw[i], min(self._left(self.steps[i], most), room / mw[i]), earns)
        for i, cap in enumerate(self.caps):
            if cap.least_mw is not None and cap.least_mw[t] > self.drawn[i]:
                self._lift(i, float(cap.least_mw[t]), [k for k in ranked if self.steps[k].group in cap.groups], mw, most)
        self._close(t)

    def _lift(self, i: int, least_mw: float, ranked: Sequence[int], mw: Sequence[float], most: Mapping[str, float]) -> None:
        """Raises the load to an instruction's floor whatever that earns: the cheapest rigs first, as far as there are any."""
        for k in ranked:
            if (short := least_mw - self.drawn[i]) > 1e-9:
                self._take(self.steps[k], mw[k], min(self._left(self.steps[k], most), short / mw[k]))

    def _take(self, s: Step, mw: float, kilorigs: float, earns: bool = False) -> None:
        """Takes a step for up to `kilorigs` thousand rigs, as far as limits and allowed starts permit; where it `earns`, as far as ceilings
        do and starts pay."""
        rows, n = self.capped_by[s.group], kilorigs
        for i in rows if earns else self.limited_by[s.group]:
            n = min(n, self.room[i] / mw)
        if s.below is None:
            hall = self.hall[s.group]
            free = max(0.0, self.awake[s.group] - sum(self.now[s.group].values()))
            pays = not earns or s.start_pays is None or bool(s.start_pays[self.t])
            n = min(n, free + (self.starts[hall] if pays else 0.0))
            self.starts[hall] -= max(0.0, n - free) if n > 0 else 0.0
        if n <= 0:
            return
        self.now[s.group][s.mode] += n
        if s.below is not None:
            self.now[s.group][s.below] -= n
        self.load_mw += n * mw
        for i in rows:
            self.room[i] -= n * mw
            self.drawn[i] += n * mw

    def _left(self, s: Step, most: Mapping[str, float]) -> float:
        return self.now[s.group][s.below] if s.below is not None else most[s.group] - sum(self.now[s.group].values())

    def _close(self, t: int) -> None:
        for name, group in self.groups.items():
            for mode, n in self.now[name].items():
                self.rigs[name][mode][t] = n
            awake, before = sum(self.now[name].values()), self.awake[name]
            if awake > before:
                self.starts_made[name].append((self.start_s + group.min_on_min * 60.0, awake - before))
            elif awake < before:
                self.stops[name].append((self.start_s + group.min_off_min * 60.0, before - awake))
            self.awake[name] = awake

    def _ramp(self, t: int) -> tuple[float, float]:
        minutes = float(self.program.hours[t]) * 60.0
        up, down = self.site.max_ramp_up_mw_per_min, self.site.max_ramp_down_mw_per_min
        return self.load_mw + up * minutes if up else float("inf"), self.load_mw - down * minutes if down else 0.0

    def _load_before(self) -> float:
        load = 0.0
        for name, group in self.groups.items():
            now = self.program.so_far.groups.get(name)
            modes = now.modes if now else {SLEEP: float(group.rigs)}
            load += sum(modes.get(m.name, 0.0) / KILO * float(self.program.mw_per_kilorig(group, m)[0]) for m in group.modes)
        return load

    def _starts_allowed(self, per_min: float | None, t: int) -> float:
        return float("inf") if per_min is None else per_min * float(self.program.hours[t]) * 60.0 / KILO

    def _held_thousands(self, moves: list[tuple[float, float]]) -> float:
        """Thousands of rigs that earlier moves still hold in their mode. Drops the moves that no longer hold any."""
        moves[:] = [(free_s, n) for free_s, n in moves if free_s > self.start_s]
        return sum(n for _, n in moves)

    def _add_recent_moves(self) -> None:
        for name, group in self.groups.items():
            now = self.program.so_far.groups.get(name)
            for at, n in now.woken if now else ():
                self.starts_made[name].append(((at + timedelta(minutes=group.min_on_min)).timestamp(), n / KILO))
            for at, n in now.slept if now else ():
                self.stops[name].append(((at + timedelta(minutes=group.min_off_min)).timestamp(), n / KILO))


def _ranks(steps: Sequence[Step], n: int) -> NDArray[np.int64]:
    """Positions of the steps in each interval, the most dollars for each megawatt first, shape (steps, n)."""
    worth = np.array([s.usd / s.mw for s in steps]).reshape(-1, n)
    return np.argsort(-worth, axis=0, kind="stable")


def load_limits(program: Program, book: Sequence[Obligation], faults: PluginFailures | None = None) -> list[LoadCap]:
    """The limits on what groups draw together: those of the site, and the bounds of contracts, what these raise goes to `faults`."""
    failures = faults or PluginFailures()
    limits = site_limits(program.site, book, program.grid, failures, program.outlook.available_mw)
    caps = [LoadCap(limit.groups, limit.most_mw) for limit in limits]
    for obligation in book:
        with failures.of(obligation):
            memory = obligation.memory_from(program.memories)
            called = any(c.obligation == obligation.name for c in program.so_far.calls)
            bounds = [obligation.bounds(program.site, memory, program.so_far.calls, over) for over in program.grid.intervals]
            bounds = [b if b.firm or called else Bounds() for b in bounds]
            cap, floor = np.array([b.cap_mw for b in bounds]), np.array([b.floor_mw for b in bounds])
            if np.isfinite(cap).any() or floor.any():
                caps.append(LoadCap(obligation.scope.names(program.site), cap, floor))
    return caps


def _awake_before(program: Program, group: RigGroup) -> float:
    now = program.so_far.groups.get(group.name)
    return sum(rigs for mode, rigs in now.modes.items() if mode != SLEEP) / KILO if now else 0.0
