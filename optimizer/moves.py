"""Moves: rigs that wake and rigs that go to sleep, as columns that contracts share, and the minimum times over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from optimizer.arrays import Yields
from optimizer.expr import Expr
from optimizer.program import KILO, Program
from optimizer.site import SLEEP, RigGroup

# Never decides anything; keeps a start that nothing needs out of the plan.
IDLE_START_USD_PER_KILORIG = 1e-4


def awake_before(program: Program, group: RigGroup) -> float:
    """Thousands of rigs awake just before the plan, of those that can be used then; all asleep when nothing is known."""
    now = program.so_far.groups.get(group.name)
    awake = sum(rigs for mode, rigs in now.modes.items() if mode != SLEEP) if now else 0.0
    return min(awake / KILO, float(program.kilorigs[group.name][0]))


def moves(program: Program, groups: Sequence[RigGroup]) -> tuple[Expr, Expr]:
    """Thousands of rigs that wake and that go to sleep, families over groups with a mode awake: columns put down once, whoever asks."""
    missing = [g for g in groups if g.name not in program.wakes]
    if missing:
        names, have = [g.name for g in missing], np.array([program.kilorigs[g.name] for g in missing])
        wakes = program.column_blocks([f"starts {name}" for name in names], upper=have)
        program.wakes.update({name: cols[0] for name, cols in zip(names, wakes.cols, strict=True)})
        program.row_blocks([f"stops {name}" for name in names], _stops(program, missing, wakes), lower=0.0)
        program.weigh(wakes * IDLE_START_USD_PER_KILORIG)
    cols = np.array([program.wakes[g.name] for g in groups])[:, None, :]
    wakes = Expr(cols, np.ones(cols.shape), np.zeros((len(groups), program.n)))
    return wakes, _stops(program, groups, wakes)


def _stops(program: Program, groups: Sequence[RigGroup], wakes: Expr) -> Expr:
    awake = program.awake_of([g.name for g in groups])
    return wakes - awake + awake.lag(1, np.array([awake_before(program, g) for g in groups]))


def minimum_times(program: Program, groups: Sequence[RigGroup]) -> Expr:
    """Rows that keep rigs on and off as long as they must once moved, and wear (exact for many like rigs: the tight form of unit commitment
    needs no integers there); what wakes, as a family over the groups."""
    names, awake = [g.name for g in groups], program.awake_of([g.name for g in groups])
    before = np.array([awake_before(program, g) for g in groups])
    have = np.array([program.kilorigs[name] for name in names])
    rigs = np.array([g.rigs / KILO for g in groups])
    wear = np.array([g.wear_usd_per_start for g in groups])
    starts, stops = moves(program, groups)
    if wear.any():
        program.weigh(starts * (KILO * wear)[:, None])
    now = [program.so_far.groups.get(name) for name in names]
    on, off = np.array([g.min_on_min for g in groups]), np.array([g.min_off_min for g in groups])
    held = np.array([_held(program, n.woken if n else (), m, most) for n, m, most in zip(now, on, before, strict=True)])
    _keep(program, [f"minimum on {name}" for name in names], starts, on, awake - np.minimum(held, have), held > 0)
    resting = np.array([_held(program, n.slept if n else (), m, most) for n, m, most in zip(now, off, rigs - before, strict=True)])
    _keep(program, [f"minimum off {name}" for name in names], stops, off, rigs[:, None] - resting - awake, resting > 0)
    return starts


def _keep(
    program: Program, names: Sequence[str], moved: Expr, minimum_min: NDArray[np.float64], room: Expr, binds: NDArray[np.bool_]
) -> None:
    """What moved within the minimum time before each interval's start stays within the room there; elastic. No row where only the moves of
    the interval itself count and the past binds nothing: what starts there runs there."""
    start_s = program.grid.edges[:-1]
    recent = moved
    for steps in range(1, program.n):
        inside = np.zeros(binds.shape)
        inside[:, steps:] = start_s[: program.n - steps] + minimum_min[:, None] * 60.0 > start_s[steps:]
        if not inside.any():
            break
        binds = binds | (inside > 0)
        recent = recent + moved.lag(steps) * inside
    program.at_least_blocks(names, room - recent, 0.0, Yields.MINIMUM_TIMES, binds)


def _held(program: Program, moves: Sequence[tuple[datetime, int]], minimum_min: float, most: float) -> NDArray[np.float64]:
    """Thousands of rigs that earlier moves still bind at each interval's start."""
    held = np.zeros(program.n)
    for at, rigs in moves:
        free_s = (at + timedelta(minutes=minimum_min)).timestamp()
        held += np.where(program.grid.edges[:-1] < free_s, rigs / KILO, 0.0)
    return np.minimum(held, max(0.0, most))
