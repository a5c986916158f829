"""What a plan is made from, read off the state; and when one is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from dispatch.decide.fit_to_limit import not_ours_to_wake
from dispatch.decide.group_state import UNREACHABLE, GroupState, sleep_index
from dispatch.decide.holds_ahead import rigs_that_holds_leave, site_holds_as_calls
from dispatch.decide.measured_load import modes_in_effect
from dispatch.decide.memories_now import memories_now, out_of_order
from dispatch.decide.price_risk import SCENARIOS_IN_LOOP, risk_of_facts
from dispatch.decide.state import State
from markets.facts import Call
from markets.forecasting.ladder import outlook, plan_grid
from markets.grid import Grid
from markets.outlook import Outlook, PriceBasis
from markets.series import Series
from optimizer.domain.book import peak_windows
from optimizer.domain.obligation import Book
from optimizer.domain.site import Availability, GroupNow, RigGroup, Site, SoFar
from optimizer.planning.result import Risk


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Everything `optimizer.planning.plan.plan` takes; plain data that crosses to the worker process. `risk` is None where the owner gives
    it no weight."""

    site: Site
    book: Book
    outlook: Outlook
    so_far: SoFar
    availability: Availability
    risk: Risk | None = None


def plan_due(state: State) -> bool:
    """Whether something happened that the plan in force does not know. No plan is due while no price is known: the safe state holds."""
    return bool(state.news) and state.price_basis != PriceBasis.SAFE_STATE


def inputs(state: State, at: datetime) -> PlanInputs:
    """The inputs of a plan made at `at`."""
    site = state.site
    grid = plan_grid(at, site.control_interval_min, site.horizon_h)
    ahead = look_ahead(state, at, grid)
    return PlanInputs(site, state.setup.book, ahead, so_far(state, at), availability(state, grid), _risk(state, at, ahead))


def _risk(state: State, at: datetime, ahead: Outlook) -> Risk | None:
    """The price scenarios that the owner has weighed: none where none can be drawn, which the plan says."""
    if not state.site.risk_weight:
        return None
    try:
        return risk_of_facts(state.facts, ahead, at, state.site.risk_weight, state.setup.book, SCENARIOS_IN_LOOP)
    except LookupError:
        return Risk(state.site.risk_weight, ())


def look_ahead(state: State, at: datetime, grid: Grid) -> Outlook:
    """The outlook on a grid, as the state knows it."""
    windows = peak_windows(state.setup.book)
    found = outlook(state.facts, at, grid, list(state.setup.settlement_points), state.site.market, peak_windows_min=windows)
    out = out_of_order(state, grid)
    return replace(found, available_mw={**found.available_mw, **out}) if out else found


def ladder(state: State, at: datetime) -> tuple[str, str]:
    """The step of the price ladder that this instant stands on, and why."""
    now = plan_grid(at, state.site.control_interval_min, 1)
    seen = outlook(state.facts, at, Grid(now.edges[:2]), list(state.setup.settlement_points), state.site.market)
    return seen.price_basis.value, " ".join(seen.notes)


def so_far(state: State, at: datetime) -> SoFar:
    """What has happened before a plan made at `at`: rigs by mode and their recent moves, calls, awards, and what contracts remember. Holds
    of the site's load are among the calls."""
    return SoFar(
        at=at,
        groups={g.name: _group_now(g, state.fleet[g.name], at) for g in state.site.groups},
        calls=(*(_past_in_whole_seconds(call, at) for call in state.calls), *site_holds_as_calls(state, at)),
        awards=state.awards,
        memory=memories_now(state, at),
    )


def _past_in_whole_seconds(call: Call, at: datetime) -> Call:
    """The call with the edges that lie in the past cut to whole seconds, as the plan's grid is: the grid begins at most a second before
    `at`, and a call that has ended must not bind its first interval."""
    past = {name: edge.replace(microsecond=0) for name in ("start_at", "end_at") if (edge := getattr(call, name)) and edge <= at}
    return replace(call, **past)


def _group_now(group: RigGroup, now: GroupState, at: datetime) -> GroupNow:
    modes, sleep = modes_in_effect(group, now), sleep_index(group)
    return GroupNow(
        modes={m.name: float(np.count_nonzero(modes == k)) for k, m in enumerate(group.modes)},
        woken=_recent(now, now.ordered != sleep, group.min_on_min, at),
        slept=_recent(now, now.ordered == sleep, group.min_off_min, at),
        shed=now.shed_curve.shed(),
    )


def _recent(now: GroupState, which: np.ndarray, minutes: float, at: datetime) -> tuple[tuple[datetime, int], ...]:
    recent = now.ordered_since_s > at.timestamp() - minutes * 60.0  # never is -inf
    if not recent.any():
        return ()
    since = now.ordered_since_s[which & recent & np.isfinite(now.ordered_since_s)]
    stamps, counts = np.unique(since, return_counts=True)
    return tuple((datetime.fromtimestamp(float(s), at.tzinfo), int(n)) for s, n in zip(stamps, counts, strict=True))


def availability(state: State, grid: Grid) -> Availability:
    """Rigs that answer, are ours to wake, and that no hold keeps asleep."""
    rigs = {}
    for group in state.site.groups:
        now = state.fleet[group.name]
        gone = int(((now.seen == UNREACHABLE) | not_ours_to_wake(state.site, now.asleep_by_others(sleep_index(group)))).sum())
        left = rigs_that_holds_leave(state, group, grid, group.rigs - gone)
        if (left < group.rigs).any():
            rigs[group.name] = Series(grid, left, "rigs")
    return Availability(rigs)
