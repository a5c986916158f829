"""Plant: what the site itself can do. Interconnect, hall limits, ramp, minimum times, how many rigs may start a minute, wear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from markets.facts import Call
from markets.grid import Interval
from optimizer.arrays import Yields
from optimizer.contract import LOAD_BEFORE_MW, Contract
from optimizer.expr import Expr
from optimizer.obligations import Bounds, called_bounds
from optimizer.program import KILO, Program
from optimizer.site import SLEEP, Hall, RigGroup, Site

# Never decides anything; keeps a start that nothing needs out of the plan.
IDLE_START_USD_PER_KILORIG = 1e-4


class Plant(Contract):
    """The site's own limits, from the site file. Earns and costs nothing; wear steers the plan and is not cash."""

    type: ClassVar[str] = "plant"
    name: str = "plant"

    def bounds(self, site: Site, memory: Mapping[str, Any], calls: Sequence[Call], over: Interval) -> Bounds:
        """The interconnect, or a lower cap called under this name."""
        called = called_bounds(calls, self.name, over, memory.get(LOAD_BEFORE_MW, {}))
        if called.cap_mw <= site.interconnect_mw:
            return called
        return Bounds(called.floor_mw, site.interconnect_mw, True, f"interconnect: at most {site.interconnect_mw:g} MW")

    def shape(self, program: Program) -> None:
        site = program.site
        everything = [g.name for g in site.groups]
        program.cap("interconnect", program.load_mw(everything), site.interconnect_mw)
        moving = [g for g in site.groups if g.awake_modes and _needs_starts(program, g)]
        starts = _starts(program, moving) if moving else None
        for hall in site.halls:
            behind = [g.name for g in site.groups if g.hall == hall.name]
            if behind:
                program.cap(f"hall {hall.name}", program.load_mw(behind), hall.limit_mw)
                _limit_starts(program, hall, starts, np.array([g.hall == hall.name for g in moving], dtype=bool))
        _ramp(program, everything)
        if any(c.obligation == self.name for c in program.so_far.calls):
            memory = program.so_far.memory.get(self.name, {}).get(LOAD_BEFORE_MW, {})
            bounds = [called_bounds(program.so_far.calls, self.name, over, memory) for over in program.grid.intervals]
            program.insist(self.name, everything, bounds)


def awake_now(program: Program, group: RigGroup) -> float:
    """Thousands of rigs awake when the plan begins, of those that can be used then; all asleep when nothing is known."""
    now = program.so_far.groups.get(group.name)
    awake = sum(rigs for mode, rigs in now.modes.items() if mode != SLEEP) if now else 0.0
    return min(awake / KILO, float(program.kilorigs[group.name][0]))


def _needs_starts(program: Program, group: RigGroup) -> bool:
    shortest_min = float(program.hours.min()) * 60.0
    hall = program.site.hall_of[group.name]
    now = program.so_far.groups.get(group.name)
    bound_by_the_past = bool(now and (now.woken or now.slept))
    minimum = max(group.min_on_min, group.min_off_min)
    return minimum > shortest_min or (bound_by_the_past and minimum > 0) or group.wear_usd_per_start > 0 or _limits_starts(program, hall)


def _limits_starts(program: Program, hall: Hall) -> bool:
    if hall.max_starts_per_min is None:
        return False
    rigs = sum(g.rigs for g in program.site.groups if g.hall == hall.name)
    return rigs > hall.max_starts_per_min * float(program.hours.min()) * 60.0


def _starts(program: Program, groups: Sequence[RigGroup]) -> Expr:
    """Columns of starts, thousands of rigs, a family over the groups, with the minimum times as rows over them (exact for many like rigs:
    the tight form of unit commitment needs no integers there)."""
    names, awake = [g.name for g in groups], program.awake_of([g.name for g in groups])
    before = np.array([awake_now(program, g) for g in groups])
    have = np.array([program.kilorigs[name] for name in names])
    rigs = np.array([g.rigs / KILO for g in groups])
    wear = np.array([g.wear_usd_per_start for g in groups])
    starts = program.column_blocks([f"starts {name}" for name in names])
    stops = starts - awake + awake.lag(1, before)
    program.row_blocks([f"stops {name}" for name in names], stops, lower=0.0)
    program.weigh(starts * (KILO * wear + IDLE_START_USD_PER_KILORIG)[:, None])
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


def _limit_starts(program: Program, hall: Hall, starts: Expr | None, here: NDArray[np.bool_]) -> None:
    if starts is None or not here.any() or hall.max_starts_per_min is None or not _limits_starts(program, hall):
        return
    together = starts.among(here).summed()
    program.row(f"starts hall {hall.name}", together, upper=hall.max_starts_per_min * program.hours * 60.0 / KILO)


def _ramp(program: Program, groups: Sequence[str]) -> None:
    """Change from interval to interval, over the minutes of the later one; gives way to a deployed instruction."""
    site = program.site
    if site.max_ramp_up_mw_per_min is None and site.max_ramp_down_mw_per_min is None:
        return
    load = program.load_mw(groups)
    change = load - load.lag(1, _load_now_mw(program))
    minutes = program.hours * 60.0
    if site.max_ramp_up_mw_per_min is not None:
        program.at_least("ramp up", -change, -site.max_ramp_up_mw_per_min * minutes, Yields.RAMP)
    if site.max_ramp_down_mw_per_min is not None:
        program.at_least("ramp down", change, -site.max_ramp_down_mw_per_min * minutes, Yields.RAMP)


def _load_now_mw(program: Program) -> float:
    load = 0.0
    for group in program.site.groups:
        now = program.so_far.groups.get(group.name)
        modes = now.modes if now else {SLEEP: float(group.rigs)}
        load += sum(rigs / KILO * program.mw_per_kilorig(group, m)[0] for m in group.modes if (rigs := modes.get(m.name, 0.0)))
    return float(load)
