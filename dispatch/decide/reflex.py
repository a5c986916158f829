"""Reflex: what is wanted right now. The plan's interval, cut to what calls, holds and limits insist on.

A call never waits for a new plan: it is cut out of the old one first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from dispatch.decide.group import UNKNOWN, UNREACHABLE, WAKING, GroupState, asleep, mode_index
from dispatch.decide.state import State
from markets.grid import Interval, parse_instant
from markets.outlook import Rung
from optimizer.contract import LOAD_BEFORE_MW
from optimizer.site import RigGroup, SafeState, Scope

# A plan that was asked for is waited for so many ticks; then the old one serves.
PATIENCE_TICKS = 2
# Rigs draw up to this much more than their nameplate says before we distrust the meter instead.
MOST_BIAS = 1.3

Counts = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many rigs of each group in each of its modes, why, and which groups a firm instruction has cut."""

    counts: Counts
    reasons: tuple[str, ...]
    firm: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Cap:
    """The load of some groups, at the meter and overhead included, must stand between two figures, MW."""

    groups: tuple[str, ...]
    floor_mw: float
    cap_mw: float
    firm: bool
    why: str


def wanted(state: State, at: datetime) -> Wanted:
    """What the site should be doing at `at`, before minimum times and inrush limits."""
    counts, reasons = _base(state, at)
    firm: set[str] = set()
    for hold in state.holds.values():
        if hold.mode is not None:
            for group in state.site.groups:
                if hold.group in (None, group.name):
                    counts[group.name] = _all_in(group, mode_index(group, hold.mode), sum(counts[group.name]))
                    firm.add(group.name)
            reasons.append(f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} in {hold.mode}")
    as_is = _as_is(state)
    for cap in caps(state, at):
        moved = _fit(state, at, counts, cap)
        if moved or (cap.firm and _load_w(state, at, as_is, cap.groups) > cap.cap_mw * 1e6):
            reasons.insert(0, cap.why)
            firm.update(cap.groups if cap.firm else ())
    return Wanted(counts, tuple(reasons), frozenset(firm))


def caps(state: State, at: datetime) -> list[Cap]:
    """Everything that insists on a load now: obligations with their calls, and holds."""
    site = state.site
    over = Interval(at, at + timedelta(seconds=site.tick_s))
    out = []
    for obligation in state.setup.book:
        bounds = obligation.bounds(site, {LOAD_BEFORE_MW: state.notice_mw}, state.calls, over)
        if bounds.floor_mw > 0 or bounds.cap_mw < float("inf"):
            out.append(Cap(obligation.scope.names(site), bounds.floor_mw, bounds.cap_mw, bounds.firm, bounds.why))
    for hold in state.holds.values():
        if hold.mw_cap is not None:
            scope = Scope(groups=(hold.group,)) if hold.group else Scope()
            why = f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} at most {hold.mw_cap:.3f} MW"
            out.append(Cap(scope.names(site), 0.0, hold.mw_cap, True, why))
    return out


def _base(state: State, at: datetime) -> tuple[Counts, list[str]]:
    site = state.site
    if state.rung == Rung.SAFE_STATE:
        what = f"safe state {site.safe_state.value!r}: {state.rung_why}"
        if site.safe_state is SafeState.HOLD:
            return _as_is(state), [what]
        return {g.name: _safe(g, site.safe_state, _reachable(state, g)) for g in site.groups}, [what]
    waits = bool(state.news) and at - state.news[0].at < timedelta(seconds=PATIENCE_TICKS * site.tick_s)
    if state.plan is None or waits:
        return _as_is(state), [
            "the rigs stay as they are until the new plan is here" if state.plan else "no plan yet: the rigs stay as they are"
        ]
    planned = planned_interval(state.plan, at)
    if planned is None:
        return _as_is(state), ["the plan has run out: the rigs stay as they are"]
    counts = {g.name: _whole(g, planned["groups"][g.name]["modes"], _reachable(state, g)) for g in site.groups}
    return counts, list(state.plan.get("reasons", ()))


def planned_interval(plan: Mapping[str, Any], at: datetime) -> Mapping[str, Any] | None:
    """The interval of a PLAN that holds an instant."""
    for interval in plan["intervals"]:
        if parse_instant(interval["start"]) <= at < parse_instant(interval["end"]):
            found: Mapping[str, Any] = interval
            return found
    return None


def effective(group: RigGroup, now: GroupState) -> Any:
    """By rig: the index of the mode it is taken to be in, or UNKNOWN.

    What was seen counts once it was looked at after the last command, or where that command did not take;
    a waking rig is where it is going.
    """
    found = np.where(now.seen >= 0, now.seen, np.where(now.seen == WAKING, _going(group, now), now.wanted))
    return np.where((now.looked_s > now.since) | (now.tries > 0), found, now.wanted)


def _going(group: RigGroup, now: GroupState) -> Any:
    """By rig: the awake mode it goes to if it is waking, the fullest where it was not told one."""
    sleep = asleep(group)
    told = (now.wanted >= 0) & (now.wanted != (UNKNOWN if sleep is None else sleep))
    return np.where(told, now.wanted, mode_index(group, group.full.name))


def _reachable(state: State, group: RigGroup) -> int:
    return state.fleet[group.name].reachable or group.rigs


def _as_is(state: State) -> Counts:
    """What the rigs that answer are doing, or on their way to."""
    counts = {}
    for group in state.site.groups:
        now = state.fleet[group.name]
        modes = effective(group, now)[now.seen != UNREACHABLE]
        counts[group.name] = [int((modes == k).sum()) for k in range(len(group.modes))]
    return counts


def _all_in(group: RigGroup, mode: int, rigs: int) -> list[int]:
    return [rigs if k == mode else 0 for k in range(len(group.modes))]


def _safe(group: RigGroup, safe: SafeState, rigs: int) -> list[int]:
    sleep = asleep(group)
    mode = sleep if safe is SafeState.SLEEP and sleep is not None else mode_index(group, group.full.name)
    return _all_in(group, mode, rigs)


def _whole(group: RigGroup, modes: Mapping[str, float], rigs: int) -> list[int]:
    """A plan's rigs by mode as whole rigs, largest remainders first; what does not add up to `rigs` lands in the lowest mode."""
    planned = np.array([max(0.0, modes.get(m.name, 0.0)) for m in group.modes])
    total = min(rigs, round(float(planned.sum())))
    floor = np.floor(planned + 1e-9).astype(int)
    spare = total - int(floor.sum())
    for k in np.argsort(-(planned - floor), kind="stable")[: max(0, spare)]:
        floor[k] += 1
    for k in range(len(floor) - 1, -1, -1):  # fewer rigs than planned: the hungriest modes give first
        over = max(0, int(floor.sum()) - rigs)
        floor[k] -= min(over, floor[k])
    floor[0] += rigs - int(floor.sum())
    return [int(n) for n in floor]


def watts_at_meter(state: State, group: RigGroup, at: datetime) -> list[float]:
    """Watts a rig of each mode adds at the meter now: nameplate, raised by what the group is seen to draw above it, with overhead."""
    overhead = state.overhead(group.name, at)
    now = state.fleet[group.name]
    # The load that was seen is the load of the modes that were seen: what was commanded since has not changed it yet.
    modes = np.where(now.seen == WAKING, _going(group, now), now.seen)
    nominal_w = sum(m.watts * float((modes == k).sum()) for k, m in enumerate(group.modes))
    bias = float(np.clip(now.load_mw * 1e6 / nominal_w, 1.0, MOST_BIAS)) if nominal_w > 0 else 1.0
    return [m.watts * bias * overhead for m in group.modes]


def _load_w(state: State, at: datetime, counts: Counts, names: tuple[str, ...]) -> float:
    groups = [state.site.group(name) for name in names]
    return sum(n * w for g in groups for n, w in zip(counts[g.name], watts_at_meter(state, g, at), strict=True))


def _fit(state: State, at: datetime, counts: Counts, cap: Cap) -> bool:
    """Move rigs down (worst J/TH first) until the cap holds, or up (best first) until the floor does. True when anything moved."""
    groups = [state.site.group(name) for name in cap.groups]
    watts = {g.name: watts_at_meter(state, g, at) for g in groups}
    load_w = _load_w(state, at, counts, cap.groups)
    moved = False
    steps = [(g, k) for g in groups for k in range(1, len(g.modes))]
    for group, k in sorted(steps, key=lambda step: -step[0].modes[step[1]].j_per_th):
        drop_w = watts[group.name][k] - watts[group.name][0]
        excess_w = load_w - cap.cap_mw * 1e6
        n = min(counts[group.name][k], int(np.ceil(excess_w / drop_w - 1e-9))) if excess_w > 1e-3 and drop_w > 0 else 0
        if n > 0:
            counts[group.name][k] -= n
            counts[group.name][0] += n
            load_w -= n * drop_w
            moved = True
    for group, k in sorted(steps, key=lambda step: step[0].modes[step[1]].j_per_th):
        rise_w = watts[group.name][k] - watts[group.name][0]
        short_w = cap.floor_mw * 1e6 - load_w
        n = min(counts[group.name][0], int(short_w / rise_w + 1e-9)) if short_w > 0 and rise_w > 0 else 0
        if n > 0:
            counts[group.name][k] += n
            counts[group.name][0] -= n
            load_w += n * rise_w
            moved = True
    return moved
