"""Reflex: what is wanted right now. The plan's interval, then holds on a mode, then the limits that calls, holds and the site insist on.

A call never waits for a new plan: it cuts the old one at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from dispatch.decide.fit_to_limit import Counts, LoadLimit, fit
from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, mode_index, sleep_index
from dispatch.decide.measured_load import load_w, modes_in_effect, offset_w, silent_w
from dispatch.decide.memories_now import memories_now
from dispatch.decide.state import State
from markets.grid import Interval
from markets.outlook import PriceBasis
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.site import RigGroup, SafeState, Scope
from optimizer.planning.plan_json import planned_interval

# A new plan is waited for this many ticks; then the old one is followed.
WAIT_FOR_PLAN_TICKS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the site should be doing now.

    counts        rigs of each group in each of its modes
    reasons       sentences, the most pressing first
    firm          groups that a firm instruction or a hold cuts: minimum-on times, ramps and quarantine yield to it
    wake_allowed  groups that a hold wants awake, whoever put them to sleep
    short         by promise, the MW it will be missed by
    """

    counts: Counts
    reasons: tuple[str, ...] = ()
    firm: frozenset[str] = field(default_factory=frozenset)
    wake_allowed: frozenset[str] = field(default_factory=frozenset)
    short: Mapping[str, float] = field(default_factory=dict)


def wanted(state: State, at: datetime) -> Wanted:
    """What the site should be doing at `at`, before minimum times and inrush limits."""
    want = _by_mode_holds(state, _by_plan(state, at))
    for limit in load_limits(state, at):
        want = _within_limit(state, at, want, limit)
    return want


def instruction_in_force(state: State, at: datetime) -> bool:
    """Whether a deployed instruction is in force now or will be by the next tick."""
    over = Interval(at, at + timedelta(seconds=state.site.tick_s))
    return any(active(call, over) for obligation in state.setup.book for call in calls_in_force(state.calls, obligation.name))


def load_limits(state: State, at: datetime) -> list[LoadLimit]:
    """Everything that insists on a load now: obligations with their calls, the site's own limits, and holds."""
    site = state.site
    over = Interval(at, at + timedelta(seconds=site.tick_s))
    out = []
    memories = memories_now(state, at)
    for obligation in state.setup.book:
        bounds = obligation.bounds(site, obligation.memory_from(memories), state.calls, over)
        if bounds.floor_mw > 0 or bounds.cap_mw < float("inf"):
            groups = obligation.scope.names(site)
            out.append(LoadLimit(obligation.name, groups, bounds.floor_mw, bounds.cap_mw, bounds.firm, bounds.why))
        for limit in obligation.limits(site):
            out.append(LoadLimit(obligation.name, limit.groups, 0.0, limit.mw, True, limit.why))
    for hold in state.holds.values():
        if hold.mw_cap is not None:
            scope = Scope(groups=(hold.group,)) if hold.group else Scope()
            why = f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} at most {hold.mw_cap:.3f} MW"
            out.append(LoadLimit(f"hold {hold.id}", scope.names(site), 0.0, hold.mw_cap, True, why))
    return out


def _by_plan(state: State, at: datetime) -> Wanted:
    """What the plan wants; the rigs as they are where there is none to follow, or the safe state where no price is known."""
    site = state.site
    if state.price_basis == PriceBasis.SAFE_STATE:
        reason = f"safe state {site.safe_state.value!r}: {state.price_basis_reason}"
        if site.safe_state is SafeState.HOLD:
            return Wanted(_as_is(state), (reason,))
        return Wanted({g.name: _safe(g, site.safe_state, _reachable(state, g)) for g in site.groups}, (reason,))
    if state.plan is None:
        return Wanted(_as_is(state), ("no plan yet: the rigs stay as they are",))
    if state.news and at - state.news[0].at < timedelta(seconds=WAIT_FOR_PLAN_TICKS * site.tick_s):
        return Wanted(_as_is(state), ("the rigs stay as they are until the new plan is here",))
    planned = planned_interval(state.plan, at)
    if planned is None:
        return Wanted(_as_is(state), ("the plan has run out: the rigs stay as they are",))
    counts = {g.name: _in_whole_rigs(g, planned["groups"][g.name]["modes"], _reachable(state, g)) for g in site.groups}
    return Wanted(counts, tuple(state.plan["reasons"]))


def _by_mode_holds(state: State, want: Wanted) -> Wanted:
    """With every group in the mode that a person holds it in."""
    for hold in state.holds.values():
        if hold.mode is None:
            continue
        held = {g.name: mode_index(g, hold.mode) for g in state.site.groups if hold.group in (None, g.name)}
        awake = {name for name, mode in held.items() if mode != sleep_index(state.site.group(name))}
        all_held = {name: _all_in(state.site.group(name), mode, sum(want.counts[name])) for name, mode in held.items()}
        want = replace(
            want,
            counts={**want.counts, **all_held},
            reasons=(*want.reasons, f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} in {hold.mode}"),
            firm=want.firm | set(held),
            wake_allowed=want.wake_allowed | awake,
        )
    return want


def _within_limit(state: State, at: datetime, want: Wanted, limit: LoadLimit) -> Wanted:
    """Cut or raised to a limit; `short` has what the limit will still be missed by."""
    fitted = fit(state, at, want.counts, limit)
    drawn_w = sum(_drawn_w(state, at, name) for name in limit.groups) + offset_w(state, at, limit.groups)
    reasons, firm, short = want.reasons, want.firm, dict(want.short)
    if fitted.moved or (limit.firm and drawn_w > limit.cap_mw * 1e6):
        reasons = (limit.why, *reasons)
        firm = firm | set(limit.groups) if limit.firm else firm
    if fitted.short_mw > 0:
        short[limit.promise] = max(short.get(limit.promise, 0.0), round(fitted.short_mw, 6))
        reasons = (f"{limit.why}: missed by {fitted.short_mw:.3f} MW with every rig that obeys", *reasons)
    return replace(want, counts=fitted.counts, reasons=reasons, firm=firm, short=short)


def _drawn_w(state: State, at: datetime, name: str) -> float:
    """Watts a group draws now, rigs with an order counted in the mode they go to and unreachable ones as last read."""
    group, now = state.site.group(name), state.fleet[name]
    reachable = np.where(now.seen == UNREACHABLE, UNKNOWN, modes_in_effect(group, now))
    return load_w(state, at, reachable, group) + silent_w(state, at, (name,))


def _reachable(state: State, group: RigGroup) -> int:
    return state.fleet[group.name].reachable or group.rigs


def _as_is(state: State) -> Counts:
    """The modes that the reachable rigs are in, or on their way to."""
    counts = {}
    for group in state.site.groups:
        now = state.fleet[group.name]
        modes = modes_in_effect(group, now)[now.seen != UNREACHABLE]
        counts[group.name] = [int((modes == k).sum()) for k in range(len(group.modes))]
    return counts


def _all_in(group: RigGroup, mode: int, rigs: int) -> list[int]:
    return [rigs if k == mode else 0 for k in range(len(group.modes))]


def _safe(group: RigGroup, safe: SafeState, rigs: int) -> list[int]:
    sleep = sleep_index(group)
    mode = sleep if safe is SafeState.SLEEP and sleep is not None else mode_index(group, group.full.name)
    return _all_in(group, mode, rigs)


def _in_whole_rigs(group: RigGroup, modes: Mapping[str, float], rigs: int) -> list[int]:
    """A plan's rigs by mode as whole rigs, largest remainders first; rigs the plan does not count go to the lowest mode."""
    planned = np.array([max(0.0, modes.get(m.name, 0.0)) for m in group.modes])
    total = min(rigs, round(float(planned.sum())))
    floor = np.floor(planned + 1e-9).astype(int)
    spare = total - int(floor.sum())
    for k in np.argsort(-(planned - floor), kind="stable")[: max(0, spare)]:
        floor[k] += 1
    for k in range(len(floor) - 1, -1, -1):  # fewer rigs than planned: the modes with the most watts give up theirs first
        over = max(0, int(floor.sum()) - rigs)
        floor[k] -= min(over, floor[k])
    floor[0] += rigs - int(floor.sum())
    return [int(n) for n in floor]
