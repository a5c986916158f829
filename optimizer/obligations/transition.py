"""The cost of changing modes: hashing lost while rigs wake, wear, and the least gain for which a change is made.

Weights that steer the plan, no cash: what waking really cost shows in what was hashed. A start costs the hashing that the model loses while
it wakes, at hashprice, whatever the length of the interval; the energy drawn while waking is in the load already. In every book, so that no
rig starts, or stops, for less than the next start costs.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.domain.contract import Contract
from optimizer.domain.site import SLEEP, NotNegative, RigGroup
from optimizer.lp.expr import Expr
from optimizer.lp.program import KILO, Program
from optimizer.lp.starts_and_stops import moves


class Transition(Contract):
    """The cost of changing.

    wear_usd_per_start     of each rig, on top of the groups' own
    lost_hashing           count the hashing lost while rigs wake
    min_gain_usd_per_mw    what a change of a megawatt, there and back, must earn to be made
    weight                 of all of it: 0 ignores it, 1 takes it at its cost, more keeps schedules stiller
    """

    type: ClassVar[str] = "transition"
    name: str = "transition"
    wear_usd_per_start: NotNegative = 0.0
    lost_hashing: bool = True
    min_gain_usd_per_mw: NotNegative = 0.0
    weight: NotNegative = 1.0

    def weighs_changes(self) -> bool:
        return True

    def shape(self, program: Program) -> None:
        super().shape(program)
        groups = [program.site.group(name) for name in self.scope.names(program.site)] if self.weight else []
        costs = [KILO * (np.full(program.n, self.wear_usd_per_start) + self._lost_usd(program, group)) for group in groups]
        waking = [(group, usd) for group, usd in zip(groups, costs, strict=True) if usd.any() and group.awake_modes]
        if waking:
            starts, _ = moves(program, [group for group, _ in waking])
            program.weigh(starts * (self.weight * np.array([usd for _, usd in waking])))
        for group in groups if self.min_gain_usd_per_mw else ():
            up, down = _changes(program, f"moves {group.name}", _rated_mw(program, group), _before_mw(program, group))
            program.weigh((up + down) * (0.5 * self.weight * self.min_gain_usd_per_mw))

    def _lost_usd(self, program: Program, group: RigGroup) -> Floats:
        """What the site loses of a rig's hashing while it wakes, before the pool's fee, shape (n,)."""
        if not self.lost_hashing:
            return np.zeros(program.n)
        ph_days = group.full.ths / KILO * group.lost_on_start_min / (24 * 60)
        return np.asarray(np.maximum(program.hashprice(), 0.0) * ph_days * (1.0 - program.hashed_apart(group.name)))


def _changes(program: Program, name: str, of: Expr, before: float) -> tuple[Expr, Expr]:
    """What an expression rises from interval to interval, in columns of its own, and what it falls."""
    up = program.column(name)
    down = up - of + of.lag(1, before)
    program.row(name, down, lower=0.0)
    return up, down


def _rated_mw(program: Program, group: RigGroup) -> Expr:
    """Load of a group at its modes' watts, without overhead: a warmer day is no change."""
    modes = {m.name: m.watts / KILO for m in group.modes}
    return program.sum([rigs * (modes[mode] - modes.get(SLEEP, 0.0)) for mode, rigs in program.rigs[group.name].items()])


def _before_mw(program: Program, group: RigGroup) -> float:
    """The same just before the plan, of rigs that can be used; all asleep when nothing is known."""
    now = program.so_far.groups.get(group.name)
    modes = {m.name: (m.watts - next((s.watts for s in group.modes if s.name == SLEEP), 0.0)) / KILO for m in group.modes}
    awake = {mode: rigs / KILO for mode, rigs in now.modes.items() if mode != SLEEP} if now else {}
    count = sum(awake.values())
    fits = min(1.0, float(program.kilorigs[group.name][0]) / count) if count else 1.0
    return fits * sum(rigs * modes[mode] for mode, rigs in awake.items())
