"""One decision, top to bottom: what is wanted now (reflex), which rigs move for it (reconcile), and the orders that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from dispatch.decide.fit_to_limit import LoadsNow
from dispatch.decide.limits_now import load_limits
from dispatch.decide.measured_load import watts_at_meter
from dispatch.decide.move_limits import Move, MoveLimits
from dispatch.decide.reconcile import reconcile
from dispatch.decide.reflex import Wanted, waits_for_plan, wanted
from dispatch.decide.state import State
from dispatch.entries import Commanded, Order, pack
from optimizer.domain.generator import DUST_MW
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.site import RigGroup
from optimizer.planning.plan_json import planned_generation

# Seconds of the world's clock an order may take; a reading within them shows its outcome. Waking takes as long as the group's rigs need.
DEADLINE_S = 60.0


def decide(state: State, at: datetime, round_: int) -> Commanded | None:
    """The commands of one round of a tick, or None when there is nothing new to record. Without orders it records which promises are missed
    and which rigs were left alone. Pure: the same state and instant give the same bytes."""
    failures = PluginFailures()
    in_force, now = load_limits(state, at, failures), LoadsNow(state, at)
    want = wanted(state, at, now, in_force)
    limits = MoveLimits.of(state, at, now, in_force)
    moves = reconcile(state, at, want, limits)
    commanded = Commanded(
        at=at,
        round=round_,
        orders=_orders(state, at, want, moves, limits),
        target_mw=target_mw(state, at, want),
        skipped=limits.skipped or _kept_while_waiting(state, at, moves),
        reasons=want.reasons,
        shortfall_mw=want.short,
        fans=limits.fans(moves),
        generators=_generators(state, at),
        contract_failures={**state.contract_memories.failures, **{name: repr(fault) for name, fault in failures.by.items()}},
    )
    return commanded if moves or _is_news(commanded, state.commanded) or (round_ == 1 and _reorders(commanded, state)) else None


def _generators(state: State, at: datetime) -> dict[str, bool]:
    """Whether the plan in force has each switched generator run; nothing where no plan says."""
    planned = planned_generation(state.plan, at)
    return {name: planned[name] > DUST_MW for name in state.generators if name in planned}


def _reorders(commanded: Commanded, state: State) -> bool:
    """Whether a generator was last ordered something else, by the reading that this tick began with."""
    return any(state.generators[name].wanted is not run for name, run in commanded.generators.items())


def target_mw(state: State, at: datetime, want: Wanted) -> Mapping[str, float]:
    """By group: the load at the meter that is wanted, MW."""
    return {
        g.name: round(sum(n * w for n, w in zip(want.counts[g.name], watts_at_meter(state, g, at), strict=True)) / 1e6, 6)
        for g in state.site.groups
    }


def _orders(state: State, at: datetime, want: Wanted, moves: Sequence[Move], limits: MoveLimits) -> tuple[Order, ...]:
    return tuple(
        Order(
            id=f"{at:%Y%m%dT%H%M%S.%f}Z-{state.seq}-{k}",
            group=move.group.name,
            mode=move.group.modes[move.to].name,
            rigs=pack(move.rigs.tolist()),
            deadline_s=state.fleet[move.group.name].wake_profile.patience_s(move.group) if move.starts else DEADLINE_S,
            why=_reason(want, move.group),
            spread_s=limits.spread_s(move, moves),
        )
        for k, move in enumerate(moves)
    )


def _kept_while_waiting(state: State, at: datetime, moves: Sequence[Move]) -> Mapping[str, Mapping[str, int]]:
    """The rigs that were left alone before a new plan was on its way: until it is here nothing else is known of them."""
    return state.commanded.skipped if state.commanded and not moves and waits_for_plan(state, at) else {}


def _is_news(commanded: Commanded, last: Commanded | None) -> bool:
    """Whether other promises are missed, other contracts fail or other rigs are left alone than before: that is recorded though nothing
    moves."""
    known = (last.skipped, last.shortfall_mw, last.contract_failures) if last else ({}, {}, {})
    return (commanded.skipped, commanded.shortfall_mw, commanded.contract_failures) != known


def _reason(want: Wanted, group: RigGroup) -> str:
    """The reason that names a group; where a firm instruction cuts it, the first one, which is that instruction's."""
    own = next((r for r in want.reasons if r.startswith(f"{group.name} ")), "")
    return want.reasons[0] if want.reasons and (group.name in want.firm or not own) else own
