"""The columns of a site's rigs by mode, all groups side by side, and the load and hashrate that follow from them.

A column counts the thousands of rigs in a mode or a higher one, so that a mode's own count is the difference to the next: where more is
better all columns stand at their upper bound, and a simplex starts there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from markets.grid import Grid
from optimizer.domain.array_types import Floats, Ints
from optimizer.domain.site import RigGroup
from optimizer.lp.blocks import Blocks
from optimizer.lp.expr import Expr, total

KILO = 1000.0
# Dollars per MWh, at most: of plans that earn the same, one is always the plan, now and an interval later.
TIE_USD_PER_MWH = 1e-3
QUARTER_S = 900
# A thousandth of a rig is solver dust.
DUST_RIGS = 1e-4


class Steps:
    """One row for each awake mode of each group, in the site's order; arrays have shape (rows, n) unless said.

    groups      the site's rig groups
    have        thousands of rigs available, by group name, shape (n,)
    overhead    1 + the overhead share of each hall, by hall name, shape (n,)
    """

    def __init__(
        self, program: Blocks, grid: Grid, groups: Sequence[RigGroup], have: Mapping[str, Floats], overhead: Mapping[str, Floats]
    ) -> None:
        n = program.n
        self.n, self._groups, self._hours = n, groups, np.asarray(grid.hours)
        sizes = [len(g.awake_modes) for g in groups]
        ends = np.cumsum(sizes)
        self._span = {g.name: slice(int(end) - size, int(end)) for g, size, end in zip(groups, sizes, ends, strict=True)}
        self._place = {g.name: place for place, g in enumerate(groups)}
        owner = np.repeat(np.arange(len(groups)), sizes)
        available = np.array([have[g.name] for g in groups]).reshape(-1, n)
        factor = np.array([overhead[g.hall] for g in groups]).reshape(-1, n)
        standby_kw = np.array([g.asleep.watts for g in groups]) / KILO
        self._have = available[owner]
        self._mw = factor[owner] * _rises([(g.asleep.watts, *(m.watts for m in g.awake_modes)) for g in groups])[:, None] / KILO
        self._idle_mw = factor * standby_kw[:, None] * available
        self._mwh, self._idle_mwh = self._mw * self._hours, self._idle_mw * self._hours
        self._ths = _rises([(0.0, *(m.ths for m in g.awake_modes)) for g in groups])[:, None]
        self._ph_days = self._ths * (self._hours / 24.0)
        self._lay(program)
        self._break_ties(program, grid, owner)

    def awake(self, group: str) -> Expr:
        """Thousands of rigs not asleep."""
        cols = self.cols[self._span[group]][:1]
        return Expr(cols, np.ones(cols.shape), np.zeros(self.n))

    def awake_of(self, groups: Sequence[str]) -> Expr:
        """The same of several groups, each with a mode awake, as a family."""
        cols = self.cols[[self._span[name].start for name in groups], None, :]
        return Expr(cols, np.ones(cols.shape), np.zeros((len(groups), self.n)))

    def load_mw(self, groups: Sequence[str]) -> Expr:
        if len(groups) == len(self._groups):
            return Expr(self.cols, self._mw, self._idle_mw.sum(axis=0))
        return total([self._of(name, self._mw, self._idle_mw) for name in groups], self.n)

    def energy_mwh(self, group: str) -> Expr:
        return self._of(group, self._mwh, self._idle_mwh)

    def hashrate_ph(self, group: str) -> Expr:
        at = self._span[group]
        return Expr(self.cols[at], np.broadcast_to(self._ths[at], self.cols[at].shape), np.zeros(self.n))

    def hash_ph_days(self, group: str) -> Expr:
        at = self._span[group]
        return Expr(self.cols[at], self._ph_days[at], np.zeros(self.n))

    def up(self, group: str) -> list[Expr]:
        """Thousands of rigs in each awake mode or a higher one."""
        at = self._span[group]
        return [Expr(self.cols[k : k + 1], np.ones((1, self.n)), np.zeros(self.n)) for k in range(at.start, at.stop)]

    def rigs(self, group: RigGroup) -> dict[str, Expr]:
        """Thousands of rigs in each awake mode."""
        steps = self.up(group.name)
        own = [step - above for step, above in zip(steps, steps[1:], strict=False)] + steps[-1:]
        return {m.name: rigs for m, rigs in zip(group.awake_modes, own, strict=True)}

    def counted(self, x: Floats) -> dict[str, dict[str, Floats]]:
        """Rigs by group and awake mode in a solution, dust swept, within what is available."""
        up, have = x[self.cols] * KILO, self._have * KILO
        own = up.copy()
        own[self._below] -= up[self._below + 1]
        own = np.clip(own, 0.0, have)
        own = np.where(own < DUST_RIGS, 0.0, np.where(have - own < DUST_RIGS, have, own))
        return {g.name: {m.name: own[self._span[g.name].start + k] for k, m in enumerate(g.awake_modes)} for g in self._groups}

    def _of(self, group: str, coefs: Floats, idle: Floats) -> Expr:
        at = self._span[group]
        return Expr(self.cols[at], coefs[at], idle[self._place[group]])

    def _lay(self, program: Blocks) -> None:
        """The columns, and rows: no more rigs in a mode or above than in the one below it or above."""
        modes = [(g.name, m.name, m is g.awake_modes[-1]) for g in self._groups for m in g.awake_modes]
        names = [f"rigs {group} {mode}{'' if top else ' up'}" for group, mode, top in modes]
        self.cols: Ints = program.column_blocks(names, upper=self._have).cols[:, 0, :]
        self._below = np.array([k for k, (_, _, top) in enumerate(modes) if not top], dtype=np.int64)
        if len(self._below):
            cols = np.stack((self.cols[self._below], self.cols[self._below + 1]), axis=1)
            coefs = np.broadcast_to(np.array([[1.0], [-1.0]]), cols.shape)
            order = Expr(cols, coefs, np.zeros((len(cols), self.n)))
            program.row_blocks([f"rigs {modes[k][0]} {modes[k][1]}" for k in self._below], order, lower=0.0)

    def _break_ties(self, program: Blocks, grid: Grid, owner: Ints) -> None:
        place = np.arange(len(self._groups))
        tie = TIE_USD_PER_MWH * 0.5 * ((place + 1) / (len(place) + 1))[:, None]
        tie = tie + TIE_USD_PER_MWH * 0.5 * _clock_keys(grid.edges, place)
        kw = _rises([(0.0, *(m.watts for m in g.awake_modes)) for g in self._groups])[:, None] / KILO
        program.weigh(Expr(self.cols, tie[owner] * kw * self._hours, np.zeros(self.n)))


def _rises(levels: Sequence[tuple[float, ...]]) -> Floats:
    """From level to level, one list after the other, shape (steps,)."""
    return np.array([high - low for of in levels for low, high in zip(of, of[1:], strict=False)], dtype=np.float64)


def _clock_keys(edges: NDArray[np.int64], place: NDArray[np.intp]) -> Floats:
    """Numbers in 0..1 that belong to a group and a quarter hour of the calendar, averaged over longer intervals, shape (groups, n): the
    same in every plan, whatever its horizon, and never the same sum for two ways of swapping groups or hours."""
    first, last = edges[:-1] // QUARTER_S, np.maximum(edges[:-1] // QUARTER_S + 1, edges[1:] // QUARTER_S)
    quarters = np.arange(first[0], last[-1] + 1).astype(np.float64)
    keys = (quarters * (0.6180339887498949 + place * 0.41421356237309515)[:, None]) % 1.0
    key = np.concatenate([np.zeros((len(place), 1)), np.cumsum(keys, axis=1)], axis=1)
    return np.asarray((key[:, last - first[0]] - key[:, first - first[0]]) / (last - first))
