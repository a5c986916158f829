"""Rows that limit reserve to the megawatts a load can drop or rise by (headroom)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats
from optimizer.domain.calls import active
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import SLEEP, RigGroup
from optimizer.lp.expr import Expr
from optimizer.lp.program import KILO, Program
from optimizer.lp.starts_and_stops import moves


def up_pool(
    program: Program, name: str, groups: Sequence[str], sold: Expr, floor_mw: Floats, quick: Sequence[tuple[Expr, Floats]] = ()
) -> None:
    """Reserve against dropping load, all products together: what rigs that may sleep draw over sleep, and load above the floor (nothing is
    sold where the load stands below it). `quick` are the products with their response times in minutes: where it was measured how quickly
    a group sheds, those that must be there within a time are not sold beyond what then is."""
    parts = [_can_drop(program, name, program.site.group(g)) for g in groups]
    program.row(f"headroom {name}", program.sum(parts) - sold, lower=0.0)
    _in_time(program, name, groups, parts, quick)
    load = program.load_mw(groups)
    least, most = load.range(program.lower, program.upper)
    binds = floor_mw > least + 1e-9
    if binds.any():
        above = program.column(f"above floor {name}", upper=np.where(binds, 1.0, 0.0), integer=True)
        program.row(f"floor of headroom {name}", load - above * floor_mw - sold, lower=0.0, where=binds, kind=RowKind.FLOOR)
        program.row(f"headroom above floor {name}", sold - above * most, upper=0.0, where=binds)


def _in_time(program: Program, name: str, groups: Sequence[str], parts: Sequence[Expr], quick: Sequence[tuple[Expr, Floats]]) -> None:
    """For each response time: what must be there within it is at most what was measured to be (99 of 100)."""
    now = [program.so_far.groups.get(g) for g in groups]
    if not any(n.shed for n in now if n):
        return
    unique = {tuple(minutes.tolist()): minutes for _, minutes in quick}
    for k, response_min in enumerate(unique.values()):
        shares = [np.array([n.shed_within(m * 60.0) if n else 1.0 for m in response_min]) for n in now]
        drops = program.sum([part * share for part, share in zip(parts, shares, strict=True)])
        within = program.sum([mw for mw, minutes in quick if (minutes <= response_min).all()])
        program.row(f"shed in time {k} {name}", drops - within, lower=0.0)


def down_pool(program: Program, name: str, groups: Sequence[str], sold: Expr, most_mw: float | None, response_min: Floats) -> None:
    """Reserve against raising load: modes reachable in time, and room under MPC, halls, the interconnect and limits of the whole site with
    all of it deployed."""
    site = program.site
    rises = {}
    for g in groups:
        group = site.group(g)
        rises[g] = program.column(f"rise {name} {g}")
        program.row(f"rise {name} {g}", _can_rise(program, group, response_min) - rises[g], lower=0.0)
    program.row(f"footroom {name}", program.sum(list(rises.values())) - sold, lower=0.0)
    if most_mw is not None:
        _room(program, f"ceiling of footroom {name}", program.load_mw(groups), sold, most_mw, RowKind.OTHER)
    _room(program, f"interconnect footroom {name}", program.load_mw([g.name for g in site.groups]), sold, _most_of_site_mw(program))
    for hall in site.halls:
        here = [rises[g] for g in groups if site.group(g).hall == hall.name]
        if here:
            load = program.load_mw([g.name for g in site.groups if g.hall == hall.name])
            _room(program, f"hall footroom {name} {hall.name}", load, program.sum(here), hall.limit_mw)


def _most_of_site_mw(program: Program) -> Floats:
    """The most that the whole site may draw in each interval, MW: its interconnect, or less where a contract limits all of its groups."""
    site, everything, failures = program.site, {g.name for g in program.site.groups}, PluginFailures()
    most_mw = np.full(program.n, site.interconnect_mw)
    for contract in program.book:
        with failures.of(contract):  # what a plug-in raises is named where its own limits are kept
            for limit in contract.limits(site):
                if set(limit.groups) == everything:
                    most_mw = np.minimum(most_mw, limit.most_mw(program.grid))
    return most_mw


def _room(program: Program, name: str, load: Expr, sold: Expr, most_mw: float | Floats, kind: RowKind = RowKind.SITE_LIMIT) -> None:
    least, _ = load.range(program.lower, program.upper)
    program.row(name, load + sold, upper=np.maximum(most_mw, least), kind=kind)


def _can_drop(program: Program, name: str, group: RigGroup) -> Expr:
    """MW over sleep of rigs that may be told to sleep. Rigs still waking, or bound by their minimum time on, give none; they are the ones
    in the lowest modes. What they hold back is counted, not what the others give: of a load that stands still that is nothing."""
    standby = program.mw_per_kilorig(group, group.asleep)
    over_sleep = program.group_load_mw(group.name) - standby * program.kilorigs[group.name]
    minutes = max(group.min_on_min, group.wake_min)
    if minutes <= 0 or not group.awake_modes:
        return over_sleep
    young = _young(program, name, group, minutes)
    draws = [standby, *(program.mw_per_kilorig(group, m) for m in group.awake_modes)]
    held = young * (draws[1] - draws[0])
    awake, *higher = program.steps(group.name)
    for k, step in enumerate(higher, start=1):
        # Of the rigs in a mode or above it, those that the old ones do not fill.
        above = program.column(f"young {name} {group.name} {k}", upper=program.kilorigs[group.name])
        program.row(f"young {name} {group.name} {k}", above - step + awake - young, lower=0.0)
        held = held + above * (draws[k + 1] - draws[k])
    return over_sleep - held


def _young(program: Program, name: str, group: RigGroup, minutes: float) -> Expr:
    """Thousands of rigs awake that were not through the last `minutes` at each interval's start: no fewer than are awake now beyond those
    at any moment of them, and those bound from before."""
    now = program.so_far.groups.get(group.name)
    before = sum(rigs for mode, rigs in now.modes.items() if mode != SLEEP) / KILO if now else 0.0
    free = before - _bound(program, group, minutes, before)
    share = free / before if before > 0 else np.ones(program.n)
    awake, start_s = program.awake(group.name), program.grid.edges[:-1]
    young = program.column(f"young {name} {group.name}", upper=program.kilorigs[group.name])
    program.row(f"bound {name} {group.name}", young - awake * (1.0 - share), lower=0.0, where=share < 1.0)
    said = _woken(program, name, group, young) & (share >= 1.0) & (minutes <= group.min_on_min)
    for steps in range(program.n):
        recent = np.zeros(program.n, dtype=bool)
        recent[steps:] = start_s[: program.n - steps] + minutes * 60.0 > start_s[steps:]
        if not recent.any():
            break
        # Who woke since then is no fewer than what rose since then: where that is a row this one says nothing.
        recent &= ~said
        through = awake.lag(steps + 1, before) * share
        program.row(f"young {steps} {name} {group.name}", young - awake + through, lower=0.0, where=recent)
    return young


def _woken(program: Program, name: str, group: RigGroup, young: Expr) -> NDArray[np.bool_]:
    """No fewer are young than woke within their minimum time on: when some sleep meanwhile it is others. Not where an instruction or
    maintenance may cut that time short: a row nothing can break must not stand against either. Returns where the row stands."""
    if group.min_on_min <= float(program.hours.min()) * 60.0:
        return np.zeros(program.n, dtype=bool)
    start_s, have, n = program.grid.edges[:-1], program.kilorigs[group.name], program.n
    free = np.array([not any(active(c, over) for c in program.so_far.calls) for over in program.grid.intervals])
    wakes = moves(program, [group])[0].summed()
    woke, safe, binds = wakes, free.copy(), np.zeros(n, dtype=bool)
    for steps in range(1, n):
        inside = np.zeros(n, dtype=bool)
        inside[steps:] = start_s[: n - steps] + group.min_on_min * 60.0 > start_s[steps:]
        if not inside.any():
            break
        binds |= inside
        safe[steps:] &= ~inside[steps:] | (free[: n - steps] & (have[: n - steps] <= have[steps:]))
        woke = woke + wakes.lag(steps) * inside.astype(np.float64)
    stands: NDArray[np.bool_] = binds & safe
    program.row(f"woken {name} {group.name}", young - woke, lower=0.0, where=stands)
    return stands


def _bound(program: Program, group: RigGroup, minutes: float, most: float) -> Floats:
    """Thousands of rigs that were woken before the plan and may not sleep yet at each interval's start."""
    now = program.so_far.groups.get(group.name)
    bound = np.zeros(program.n)
    for at, rigs in now.woken if now else ():
        free_s = (at + timedelta(minutes=minutes)).timestamp()
        bound += np.where(program.grid.edges[:-1] < free_s, rigs / KILO, 0.0)
    return np.minimum(bound, most)


def _can_rise(program: Program, group: RigGroup, response_min: Floats) -> Expr:
    """MW up to the highest mode: of all rigs where waking is quick enough, else of those awake."""
    full = program.mw_per_kilorig(group, max(group.awake_modes, key=lambda m: m.watts))
    standby = program.mw_per_kilorig(group, group.asleep)
    have = program.kilorigs[group.name]
    quick = group.wake_min <= response_min
    over_sleep = program.group_load_mw(group.name) - standby * have
    reach = program.awake(group.name) * np.where(quick, 0.0, full - standby) + np.where(quick, (full - standby) * have, 0.0)
    return reach - over_sleep


def highest_within(program: Program, values: Floats, hours: Floats) -> Floats:
    """The highest of `values` from each interval's start over the next `hours`, shape (n,)."""
    start_s = program.grid.edges[:-1]
    within = (start_s >= start_s[:, None]) & (start_s < (start_s + hours * 3600.0)[:, None])
    return np.asarray(np.where(within, values, -np.inf).max(axis=1))
