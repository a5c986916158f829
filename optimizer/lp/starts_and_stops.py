"""Starts and stops of rigs as columns that contracts share, and rows for minimum times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import SLEEP, RigGroup
from optimizer.lp.arrays import Yields
from optimizer.lp.expr import Expr
from optimizer.lp.program import KILO, Program

# Never decides anything; keeps a start that nothing needs out of the plan.
IDLE_START_USD_PER_KILORIG = 1e-4


def awake_before(program: Program, group: RigGroup) -> float:
    """Thousands of rigs awake just before the plan, of those that can be used then; all asleep when nothing is known."""
    now = program.so_far.groups.get(group.name)
    awake = sum(rigs for mode, rigs in now.modes.items() if mode != SLEEP) if now else 0.0
    return min(awake / KILO, float(program.kilorigs[group.name][0]))


def moves(program: Program, groups: Sequence[RigGroup]) -> tuple[Expr, Expr]:
    """Thousands of rigs that wake and that go to sleep, shape (groups with a mode awake, n). The columns are made at the first call; later
    calls get the same ones."""
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
    starts, _ = moves(program, groups)
    if wear.any():
        program.weigh(starts * (KILO * wear)[:, None])
    now = [program.so_far.groups.get(name) for name in names]
    on, off = np.array([g.min_on_min for g in groups]), np.array([g.min_off_min for g in groups])
    held = np.array([_held(program, n.woken if n else (), m, most) for n, m, most in zip(now, on, before, strict=True)])
    _keep(program, [f"minimum on {name}" for name in names], starts, on, awake - np.minimum(held, have), held > 0)
    resting = np.array([_held(program, n.slept if n else (), m, most) for n, m, most in zip(now, off, rigs - before, strict=True)])
    _keep(program, [f"minimum off {name}" for name in names], starts, off, rigs[:, None] - resting, resting > 0, (awake, before))
    return starts


def _keep(
    program: Program,
    names: Sequence[str],
    starts: Expr,
    minimum_min: NDArray[np.float64],
    room: Expr | NDArray[np.float64],
    binds: NDArray[np.bool_],
    slept: tuple[Expr, NDArray[np.float64]] | None = None,
) -> None:
    """What woke within the minimum time before each interval's start stays within the room there; elastic. No row where only the moves of
    the interval itself count and the past binds nothing: what starts there runs there. For those who `slept` (who is awake, and was before)
    the sum of what slept since and who is awake is what woke since and who was awake then: fewer terms."""
    start_s, n = program.grid.edges[:-1], program.n
    parts, since = [starts], np.zeros(binds.shape, dtype=np.int64)
    for steps in range(1, n):
        inside = np.zeros(binds.shape)
        inside[:, steps:] = start_s[: n - steps] + minimum_min[:, None] * 60.0 > start_s[steps:]
        if not inside.any():
            break
        binds = binds | (inside > 0)
        since += inside > 0
        parts.append(starts.lag(steps) * inside)
    cols, coefs = np.concatenate([p.cols for p in parts], axis=-2), np.concatenate([p.coefs for p in parts], axis=-2)
    moved = Expr(cols, coefs, np.zeros(binds.shape))
    if slept is not None:
        moved = moved + _earlier(*slept, since + 1)
    program.at_least_blocks(names, room - moved, 0.0, Yields.MINIMUM_TIMES, binds, kind=RowKind.MINIMUM_TIME)


def _earlier(of: Expr, before: NDArray[np.float64], steps: NDArray[np.int64]) -> Expr:
    """A family so many steps earlier in each interval, shape (groups, n); `before` stands before the horizon."""
    at = np.arange(steps.shape[1]) - steps
    known = at >= 0
    cols = np.take_along_axis(of.cols, np.maximum(at, 0)[:, None, :], axis=-1)
    return Expr(cols, known[:, None, :].astype(np.float64), np.where(known, 0.0, before[:, None]))


def _held(program: Program, moves: Sequence[tuple[datetime, int]], minimum_min: float, most: float) -> NDArray[np.float64]:
    """Thousands of rigs that earlier moves still bind at each interval's start."""
    held = np.zeros(program.n)
    for at, rigs in moves:
        free_s = (at + timedelta(minutes=minimum_min)).timestamp()
        held += np.where(program.grid.edges[:-1] < free_s, rigs / KILO, 0.0)
    return np.minimum(held, max(0.0, most))


def minimum_run(program: Program, name: str, on: Expr, minimum_min: float, where: NDArray[np.bool_], begins: NDArray[np.bool_]) -> None:
    """Rows: what is on (1 or 0) turns on only where `begins` allows, and stays on for a minimum time. Only intervals `where` are bound."""
    turned_on = program.column(f"begins {name}", upper=np.where(where & begins, 1.0, 0.0))
    program.row(f"begins {name}", turned_on - on + on.lag(1), lower=0.0, where=where)
    start_s = program.grid.edges[:-1]
    for steps in range(1, program.n):
        bound = np.zeros(program.n, dtype=bool)
        bound[steps:] = start_s[:-steps] + minimum_min * 60.0 > start_s[steps:]
        if not bound.any():
            break
        program.row(f"stays {steps} {name}", on - turned_on.lag(steps), lower=0.0, where=bound & where)
