"""Reflex: what is wanted right now. The plan's interval, cut to what calls, holds and limits insist on.

A call never waits for a new plan: it is cut out of the old one first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from dispatch.decide.fit_to_limit import Cap, Counts, fit
from dispatch.decide.group_state import UNREACHABLE, asleep, mode_index
from dispatch.decide.measured_load import effective, load_w, offset_w, silent_w
from dispatch.decide.state import State
from markets.grid import Interval
from markets.outlook import PriceBasis
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.obligation import LOAD_BEFORE_MW
from optimizer.domain.site import RigGroup, SafeState, Scope
from optimizer.planning.plan_json import planned_interval

# A plan that was asked for is waited for so many ticks; then the old one serves.
PATIENCE_TICKS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many rigs of each group in each of its modes, why, which groups a firm instruction has cut, which groups a person wants awake
    whoever put them to sleep, and by promise the MW it will be missed by."""

    counts: Counts
    reasons: tuple[str, ...]
    firm: frozenset[str] = field(default_factory=frozenset)
    wake_allowed: frozenset[str] = field(default_factory=frozenset)
    short: Mapping[str, float] = field(default_factory=dict)


def wanted(state: State, at: datetime) -> Wanted:
    """What the site should be doing at `at`, before minimum times and inrush limits."""
    counts, reasons = _base(state, at)
    firm, wake_allowed = _held(state, counts, reasons)
    short: dict[str, float] = {}
    for cap in caps(state, at):
        drawn_w = sum(_drawn_w(state, at, name) for name in cap.groups)
        fitted = fit(state, at, counts, cap)
        if fitted.moved or (cap.firm and drawn_w + offset_w(state, at, cap.groups) > cap.cap_mw * 1e6):
            reasons.insert(0, cap.why)
            firm.update(cap.groups if cap.firm else ())
        if fitted.short_mw > 0:
            short[cap.promise] = max(short.get(cap.promise, 0.0), round(fitted.short_mw, 6))
            reasons.insert(0, f"{cap.why}: missed by {fitted.short_mw:.3f} MW with every rig that obeys")
    return Wanted(counts, tuple(reasons), frozenset(firm), frozenset(wake_allowed), short)


def _held(state: State, counts: Counts, reasons: list[str]) -> tuple[set[str], set[str]]:
    """Put groups into the modes that people hold them in; those groups, and the ones among them that are to be awake."""
    firm: set[str] = set()
    wake_allowed: set[str] = set()
    for hold in state.holds.values():
        if hold.mode is None:
            continue
        for group in state.site.groups:
            if hold.group in (None, group.name):
                mode = mode_index(group, hold.mode)
                counts[group.name] = _all_in(group, mode, sum(counts[group.name]))
                firm.add(group.name)
                wake_allowed.update({group.name} if mode != asleep(group) else ())
        reasons.append(f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} in {hold.mode}")
    return firm, wake_allowed


def _drawn_w(state: State, at: datetime, name: str) -> float:
    """What a group draws as it is, rigs on their way counted where they go and silent ones as they were."""
    group, now = state.site.group(name), state.fleet[name]
    return load_w(state, at, np.where(now.seen == UNREACHABLE, -1, effective(group, now)), group) + silent_w(state, at, (name,))


def called(state: State, at: datetime) -> bool:
    """Whether a deployed instruction stands now or will by the next tick."""
    over = Interval(at, at + timedelta(seconds=state.site.tick_s))
    return any(active(call, over) for obligation in state.setup.book for call in calls_in_force(state.calls, obligation.name))


def caps(state: State, at: datetime) -> list[Cap]:
    """Everything that insists on a load now: obligations with their calls, and holds."""
    site = state.site
    over = Interval(at, at + timedelta(seconds=site.tick_s))
    out = []
    for obligation in state.setup.book:
        bounds = obligation.bounds(site, {LOAD_BEFORE_MW: state.notice_mw}, state.calls, over)
        if bounds.floor_mw > 0 or bounds.cap_mw < float("inf"):
            out.append(Cap(obligation.name, obligation.scope.names(site), bounds.floor_mw, bounds.cap_mw, bounds.firm, bounds.why))
        for names, mw, why in getattr(obligation, "limits", lambda _: ())(site):
            out.append(Cap(obligation.name, names, 0.0, mw, True, why))
    for hold in state.holds.values():
        if hold.mw_cap is not None:
            scope = Scope(groups=(hold.group,)) if hold.group else Scope()
            why = f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} at most {hold.mw_cap:.3f} MW"
            out.append(Cap(f"hold {hold.id}", scope.names(site), 0.0, hold.mw_cap, True, why))
    return out


def _base(state: State, at: datetime) -> tuple[Counts, list[str]]:
    site = state.site
    if state.price_basis == PriceBasis.SAFE_STATE:
        what = f"safe state {site.safe_state.value!r}: {state.price_basis_reason}"
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
    return counts, list(state.plan["reasons"])


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
