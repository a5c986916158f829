"""Everything that limits the load at an instant, in the order in which it gives way (`precedence.LIMITS`): what contracts wish for,
instructions, holds, and last the limits of the site itself, which nothing outweighs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from dispatch.decide.fit_to_limit import LoadLimit
from dispatch.decide.memories_now import memories_now, out_of_order
from dispatch.decide.precedence import LIMITS, Asker
from dispatch.decide.state import State
from markets.facts import CallKind
from markets.forecasting.generation import available_generation
from markets.grid import Grid, Interval
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Scope
from optimizer.domain.site_limits import site_limits

# The promise under which rigs are kept down after an event: the call is over, so that its contract misses nothing.
POST_EVENT_HOLD = "post-event hold"


def load_limits(state: State, at: datetime, failures: PluginFailures | None = None) -> list[LoadLimit]:
    """The limits in force until the next tick, the weakest first. What a contract raises goes to `failures` and its limits are left out."""
    failures = failures or PluginFailures()
    contracts = _contract_limits(state, at, failures)
    found = {
        Asker.WISH: [limit for limit in contracts if not limit.firm],
        Asker.INSTRUCTION: [limit for limit in contracts if limit.firm],
        Asker.LOAD_HOLD: _hold_limits(state),
        Asker.SITE: _site_limits(state, at, failures),
    }
    return [limit for asker in LIMITS for limit in found[asker]]


def _contract_limits(state: State, at: datetime, failures: PluginFailures) -> list[LoadLimit]:
    site, found = state.site, []
    memories = memories_now(state, at, failures)
    for obligation in state.setup.book:
        with failures.of(obligation):
            bounds = obligation.bounds(site, obligation.memory_from(memories), state.calls, _until_decided_again(state, at, obligation))
            if bounds.floor_mw > 0 or bounds.cap_mw < float("inf"):
                groups = obligation.scope.names(site)
                found.append(LoadLimit(obligation.name, groups, bounds.floor_mw, bounds.cap_mw, bounds.firm, bounds.why))
            found += _after_events(state, at, obligation, obligation.memory_from(memories))
    return found


def _until_decided_again(state: State, at: datetime, obligation: Obligation) -> Interval:
    """From now to the next tick, or to the start of a call that is still to come: the loop makes a tick there, and the rigs are left alone
    until then. A price that comes between two ticks of the grid is no reason to answer a call minutes before it begins."""
    starts = (call.start_at for call in calls_in_force(state.calls, obligation.name) if call.start_at > at)
    return Interval(at, min([at + timedelta(seconds=state.site.tick_s), *starts]))


def _after_events(state: State, at: datetime, obligation: Obligation, memory: Any) -> Iterator[LoadLimit]:
    """The limits of deployments and tests that ended less than `post_event_hold_min` ago: rigs come back only then, so that a call that
    is given again soon after finds them down. A wish of the site; none while a call or set point is in force over
    any of the groups."""
    held, step = timedelta(minutes=state.site.post_event_hold_min), timedelta(seconds=1)
    groups = obligation.scope.names(state.site)
    for call in calls_in_force(state.calls, obligation.name) if held else ():
        end = call.end_at
        if call.kind not in (CallKind.DEPLOY, CallKind.TEST) or end is None or not end <= at < end + held:
            continue
        bounds = obligation.bounds(state.site, memory, (call,), Interval(end - step, end))
        if bounds.cap_mw < float("inf") and not _called(state, at, groups):
            why = f"call {call.id} ended at {end:%H:%M} UTC: rigs stay down until {end + held:%H:%M} (post_event_hold_min)"
            yield LoadLimit(POST_EVENT_HOLD, groups, 0.0, bounds.cap_mw, False, why)


def _called(state: State, at: datetime, groups: Collection[str]) -> bool:
    """Whether a call of any contract with some of these groups is in force."""
    now = Interval(at, at + timedelta(seconds=1))
    contracts = [o for o in state.setup.book if not set(groups).isdisjoint(o.scope.names(state.site))]
    return any(active(call, now) for o in contracts for call in calls_in_force(state.calls, o.name))


def _hold_limits(state: State) -> list[LoadLimit]:
    found = []
    for hold in state.holds.values():
        if hold.mw_cap is not None:
            scope = Scope(groups=(hold.group,)) if hold.group else Scope()
            why = f"hold {hold.id} by {hold.by}: {hold.group or 'the site'} at most {hold.mw_cap:.3f} MW"
            found.append(LoadLimit(f"hold {hold.id}", scope.names(state.site), 0.0, hold.mw_cap, True, why))
    return found


def _site_limits(state: State, at: datetime, failures: PluginFailures) -> list[LoadLimit]:
    start = int(at.timestamp())
    grid = Grid(np.array([start, start + state.site.tick_s]))
    available_mw, _ = available_generation(state.facts, at, grid)
    return [
        LoadLimit(limit.name, limit.groups, 0.0, float(limit.most_mw[0]), True, limit.why, of_site=True)
        for limit in site_limits(state.site, state.setup.book, grid, failures, available_mw | out_of_order(state, grid))
    ]
