"""Reconcile: wanted against seen, rig by rig.

Picks who moves, within minimum times, inrush and ramp limits, and counts who does not, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.group import UNKNOWN, UNREACHABLE, asleep
from dispatch.decide.reflex import Wanted, effective, wanted, watts_at_meter
from dispatch.decide.state import State
from dispatch.entries import Commanded, Order
from dispatch.rigs import pack
from optimizer.site import RigGroup

# World seconds an order may take; a reading within them shows the outcome. Ticks are longer.
DEADLINE_S = 60.0
ROUNDS = 3


@dataclass(slots=True)
class _Limits:
    """What is left of this tick's starts by hall and of the ramp, consumed as rigs are picked."""

    starts: dict[str, float]
    ramp_up_w: float
    ramp_down_w: float
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)

    def skip(self, group: str, reason: str, rigs: int) -> None:
        if rigs > 0:
            by = self.skipped.setdefault(group, {})
            by[reason] = by.get(reason, 0) + rigs


def decide(state: State, at: datetime, round_: int) -> Commanded | None:
    """The commands of a tick's round, or None when nothing has to move. Pure: the same state and instant give the same bytes."""
    if round_ > ROUNDS:
        return None
    want = wanted(state, at)
    limits = _limits(state, at)
    moves: list[tuple[RigGroup, int, NDArray[np.int64]]] = []
    # Stops go first, whoever's they are: they make room under every limit.
    for group in state.site.groups:
        moves += _moves(state, at, group, want, limits, down=True)
    for group in sorted(state.site.groups, key=lambda g: g.full.j_per_th):
        moves += _moves(state, at, group, want, limits, down=False)
    if not moves:
        return None
    orders = tuple(
        Order(
            id=f"{at:%Y%m%dT%H%M%S.%f}Z-{state.decided}-{k}",
            group=group.name,
            mode=group.modes[mode].name,
            rigs=pack(rigs.tolist()),
            deadline_s=DEADLINE_S,
            why=_why(want, group),
        )
        for k, (group, mode, rigs) in enumerate(moves)
    )
    return Commanded(at=at, round=round_, orders=orders, target_mw=target_mw(state, at, want), skipped=limits.skipped, reasons=want.reasons)


def _why(want: Wanted, group: RigGroup) -> str:
    """The reason that speaks of a group; a cap's reason stands first and speaks of all it cuts."""
    own = next((r for r in want.reasons if r.startswith(f"{group.name} ")), "")
    return want.reasons[0] if want.reasons and (group.name in want.firm or not own) else own


def target_mw(state: State, at: datetime, want: Wanted) -> Mapping[str, float]:
    """By group: the load at the meter that is wanted, MW."""
    return {
        g.name: round(sum(n * w for n, w in zip(want.counts[g.name], watts_at_meter(state, g, at), strict=True)) / 1e6, 6)
        for g in state.site.groups
    }


def _limits(state: State, at: datetime) -> _Limits:
    site, minutes = state.site, state.site.tick_s / 60.0
    starts = {}
    for hall in site.halls:
        recent = sum(_recent_starts(state, g, at) for g in site.groups if g.hall == hall.name)
        starts[hall.name] = float("inf") if hall.max_starts_per_min is None else max(0.0, hall.max_starts_per_min * minutes - recent)
    up, down = site.max_ramp_up_mw_per_min, site.max_ramp_down_mw_per_min
    return _Limits(starts, up * minutes * 1e6 if up else float("inf"), down * minutes * 1e6 if down else float("inf"))


def _recent_starts(state: State, group: RigGroup, at: datetime) -> int:
    now, sleep = state.fleet[group.name], asleep(group)
    return int(((now.wanted != sleep) & (at.timestamp() - now.since < state.site.tick_s)).sum())


def _moves(
    state: State, at: datetime, group: RigGroup, want: Wanted, limits: _Limits, *, down: bool
) -> list[tuple[RigGroup, int, NDArray[np.int64]]]:
    """The rigs of a group that change to a lower (or a higher) mode, by the mode they change to."""
    now = state.fleet[group.name]
    modes = effective(group, now)
    reachable = (now.seen != UNREACHABLE) & (modes != UNKNOWN)
    if down:
        limits.skip(group.name, "unreachable", int((now.seen == UNREACHABLE).sum()))
    surplus = np.array([int(((modes == k) & reachable).sum()) for k in range(len(group.modes))]) - np.array(want.counts[group.name])
    out = []
    for to in range(len(group.modes)):
        sources = range(len(group.modes) - 1, to, -1) if down else range(to)
        picked: list[NDArray[np.int64]] = []
        for source in sources:
            n = min(int(surplus[source]), int(-surplus[to]))
            if n <= 0:
                continue
            rigs = _pick(state, at, group, (modes == source) & reachable, to, n, group.name in want.firm, limits)
            rigs = _within(state, at, group, source, to, rigs, group.name in want.firm, limits)
            surplus[source] -= len(rigs)
            surplus[to] += len(rigs)
            picked.append(rigs)
        if picked and (all_ := np.concatenate(picked)).size:
            out.append((group, to, all_))
    return out


def _pick(
    state: State, at: datetime, group: RigGroup, candidates: NDArray[np.bool_], to: int, n: int, firm: bool, limits: _Limits
) -> NDArray[np.int64]:
    """Up to n rigs whose minimum time is over: those that obeyed before those that did not, those that were told this mode and drifted
    out of it before others, the longest undisturbed first. A firm instruction overrides minimum-on times (ARCHITECTURE 3)."""
    now, sleep = state.fleet[group.name], asleep(group)
    rigs = np.flatnonzero(candidates)
    awake = now.wanted[rigs] != sleep
    least_s = np.where(awake, 0.0 if firm else group.min_on_min * 60.0, group.min_off_min * 60.0)
    # Time since the last command is only a minimum time where that command moved the rig the other way.
    drifted = now.wanted[rigs] == to
    free = (at.timestamp() - now.since[rigs] >= least_s) | (now.tries[rigs] > 0) | drifted
    order = np.lexsort((rigs[free], now.since[rigs][free], ~drifted[free], now.tries[rigs][free]))
    chosen: NDArray[np.int64] = rigs[free][order][:n]
    limits.skip(group.name, "minimum time", min(n - len(chosen), int((~free).sum())))
    return chosen


def _within(
    state: State, at: datetime, group: RigGroup, source: int, to: int, rigs: NDArray[np.int64], firm: bool, limits: _Limits
) -> NDArray[np.int64]:
    """As many of the picked rigs as inrush and ramp limits let move in this tick."""
    watts = watts_at_meter(state, group, at)
    step_w = abs(watts[to] - watts[source])
    allowed = float(len(rigs))
    if source == asleep(group):
        allowed = min(allowed, limits.starts[group.hall])
    if not firm and step_w > 0:
        allowed = min(allowed, (limits.ramp_up_w if to > source else limits.ramp_down_w) / step_w)
    n = int(allowed + 1e-9)
    limits.skip(group.name, "inrush or ramp limit", len(rigs) - n)
    if source == asleep(group):
        limits.starts[group.hall] -= n
    if to > source:
        limits.ramp_up_w -= n * step_w
    else:
        limits.ramp_down_w -= n * step_w
    return rigs[:n]
