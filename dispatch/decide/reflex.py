"""Reflex: what is wanted right now. The plan's interval, then holds on a mode, then the limits that calls, holds and the site insist on.

A call never waits for a new plan: it cuts the old one at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from dispatch.decide.fit_to_limit import Counts, LoadLimit, LoadsNow, lift, lower, uptime_promised
from dispatch.decide.group_state import UNREACHABLE, mode_index, sleep_index
from dispatch.decide.limits_now import load_limits
from dispatch.decide.measured_load import modes_in_effect
from dispatch.decide.state import State
from dispatch.entries import Hold
from markets.grid import Interval
from markets.outlook import PriceBasis
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.site import RigGroup, SafeState
from optimizer.planning.plan_json import planned_interval

# A new plan is waited for this many ticks; then the old one is followed.
STOP_ID = "global-stop"  # the hold that the global stop is: every rig sleeps, whatever else is asked
WAIT_FOR_PLAN_TICKS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the site should be doing now.

    counts        rigs of each group in each of its modes
    reasons       sentences, the most pressing first
    firm          groups that a firm instruction or a hold cuts: minimum-on times and ramps yield to it
    wake_allowed  groups that a hold wants awake, whoever put them to sleep
    short         by promise, the MW it will be missed by
    """

    counts: Counts
    reasons: tuple[str, ...] = ()
    firm: frozenset[str] = field(default_factory=frozenset)
    wake_allowed: frozenset[str] = field(default_factory=frozenset)
    short: Mapping[str, float] = field(default_factory=dict)


def wanted(state: State, at: datetime, now: LoadsNow | None = None, limits: Sequence[LoadLimit] | None = None) -> Wanted:
    """What the site should be doing at `at`, before minimum times and inrush limits. `now` and `limits` are worked out where they are not
    given."""
    if (stop := state.holds.get(STOP_ID)) is not None:  # Asker.STOP outweighs all
        return _stopped(state, stop)
    in_force = load_limits(state, at) if limits is None else limits
    want = _by_mode_holds(state, _kept_where_a_load_is_insisted_on(state, _by_plan(state, at), in_force))
    return within_limits(want, now or LoadsNow(state, at), in_force, uptime_promised(state))


def _stopped(state: State, stop: Hold) -> Wanted:
    """Every rig asleep, whatever plan, contracts and calls ask: no floor is stronger than the global stop."""
    groups = state.site.groups
    asleep = {g.name: _safe(g, SafeState.SLEEP, _reachable(state, g)) for g in groups}
    return Wanted(asleep, (f"global stop by {stop.by}: every rig sleeps until it is ended",), firm=frozenset(g.name for g in groups))


def instruction_in_force(state: State, at: datetime) -> bool:
    """Whether a deployed instruction is in force now or will be by the next tick."""
    over = Interval(at, at + timedelta(seconds=state.site.tick_s))
    return any(active(call, over) for obligation in state.setup.book for call in calls_in_force(state.calls, obligation.name))


def waits_for_plan(state: State, at: datetime) -> bool:
    """Whether the rigs stay as they are because a new plan is on its way."""
    return bool(state.news) and at - state.news[0].at < timedelta(seconds=WAIT_FOR_PLAN_TICKS * state.site.tick_s)


def next_call_edge(state: State, after: datetime) -> datetime | None:
    """When a call next begins or ends; None when none will."""
    calls = [call for obligation in state.setup.book for call in calls_in_force(state.calls, obligation.name)]
    return min((edge for call in calls for edge in (call.start_at, call.end_at) if edge and edge > after), default=None)


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
    if waits_for_plan(state, at):
        return Wanted(_as_is(state), ("the rigs stay as they are until the new plan is here",))
    planned = planned_interval(state.plan, at)
    if planned is None:
        return Wanted(_as_is(state), ("the plan has run out: the rigs stay as they are",))
    counts = {g.name: _in_whole_rigs(g, planned["groups"][g.name]["modes"], _reachable(state, g)) for g in site.groups}
    return Wanted(counts, tuple(state.plan["reasons"]))


def _kept_where_a_load_is_insisted_on(state: State, want: Wanted, limits: Sequence[LoadLimit]) -> Wanted:
    """With the rigs as they are in groups whose load must not fall below an instruction (a set point, the band of a block). A plan may swap
    groups, and a rig that stops is gone in seconds where one that starts takes minutes: meanwhile the load would be too low."""
    kept = {name for limit in limits if limit.firm and limit.floor_mw > 0 for name in limit.groups}
    as_is = _as_is(state) if kept else {}
    return replace(want, counts={**want.counts, **{name: as_is[name] for name in kept}}) if kept else want


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


def within_limits(want: Wanted, now: LoadsNow, limits: Sequence[LoadLimit], uptime: frozenset[str] = frozenset()) -> Wanted:
    """Raised to the floors, then cut to the caps, in the order of `limits`; what is missed in the end is named. `uptime` are the groups
    whose tenants are promised uptime."""
    floors = [limit for limit in limits if limit.floor_mw > 0]
    # Groups with a floor are cut after those without, groups whose tenants are promised uptime likewise.
    last = uptime | {name for limit in floors for name in limit.groups}
    caps = [limit for limit in limits if limit.cap_mw < float("inf")]
    counts = want.counts
    for floor in floors:
        want, counts = _fitted(want, counts, lift(now, counts, floor, caps), floor, now)
        if floor.firm:  # other rigs make room for it under the caps
            want, counts = _fitted(want, counts, lift(now, counts, floor, ()), floor, now)
    for cap in caps:
        want, counts = _fitted(want, counts, lower(now, counts, cap, last), cap, now)
    for floor in floors:  # a wish's cap does not hold down what an instruction insists on
        ceilings = [cap for cap in caps if cap.firm or not floor.firm]
        want, counts = _fitted(want, counts, lift(now, counts, floor, ceilings), floor, now)
    reasons, short = want.reasons, dict(want.short)
    for limit in limits:
        if (missed_mw := now.missed_mw(counts, limit)) > 0:
            short[limit.promise] = max(short.get(limit.promise, 0.0), round(missed_mw, 6))
            reasons = (f"{limit.why}: missed by {missed_mw:.3f} MW with every rig that obeys", *reasons)
    return replace(want, counts=counts, reasons=reasons, short=short)


def _fitted(want: Wanted, before: Counts, counts: Counts, limit: LoadLimit, now: LoadsNow) -> tuple[Wanted, Counts]:
    """With a limit applied, and its reason where it changed anything. Minimum times and ramps yield to a firm one; to a limit of the site
    only where more is drawn already: a plan that is a part of a rig above it is cut without a word."""
    above = now.drawn(limit.groups) > limit.cap_mw * 1e6
    rounding_w = sum(now.watts(name)[-1] for name in limit.groups) if limit.of_site else 0.0
    cut_w = now.wanted(before, limit.groups) - now.wanted(counts, limit.groups)
    if not (abs(cut_w) > rounding_w or (limit.firm and above)):
        return want, counts
    firm = want.firm | set(limit.groups) if limit.firm and (above or not limit.of_site) else want.firm
    reasons = want.reasons if limit.why in want.reasons else (limit.why, *want.reasons)
    return replace(want, reasons=reasons, firm=firm), counts


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
