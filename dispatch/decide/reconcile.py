"""Reconcile: wanted against seen, rig by rig.

Picks the rigs that move, within minimum times, inrush and ramp limits, and counts those that do not, by reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.fit_to_limit import not_ours_to_wake
from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, Codes, Flags, sleep_index
from dispatch.decide.measured_load import modes_in_effect
from dispatch.decide.move_limits import Move, MoveLimits
from dispatch.decide.order_budget import NEEDED_TO_LOWER, NEEDED_TO_RAISE, wait_after_failures_s
from dispatch.decide.reflex import Wanted
from dispatch.decide.state import State
from optimizer.domain.site import RigGroup

# Rigs that were ordered so already wait for their outcome: they are not left alone.
UNDER_WAY = "order under way"


@dataclass(frozen=True, slots=True)
class _Group:
    """A group in one decision: by rig the mode it is in, whether it answers, and whether it was chosen to move (no rig gets two orders); by
    mode how many rigs are wanted; whether a firm instruction cuts it, and whether a hold wants it awake whoever put it to sleep."""

    group: RigGroup
    modes: Codes
    reachable: Flags
    chosen: Flags
    wanted: list[int]
    firm: bool
    wake_allowed: bool


def reconcile(state: State, at: datetime, want: Wanted, limits: MoveLimits) -> list[Move]:
    """The moves from what the rigs do to what is wanted. Takes from `limits` what they use, and counts there the rigs left alone."""
    groups = [_in_decision(state, g, want) for g in sorted(state.site.groups, key=lambda g: -g.full.j_per_th)]
    for each in groups:
        limits.skip(each.group.name, "unreachable", int((state.fleet[each.group.name].seen == UNREACHABLE).sum()))
    # Stops go first: they make room under every limit. The worst J/TH stops first and starts last.
    stops = [move for each in groups for move in _moves(state, at, each, limits, down=True)]
    starts = [move for each in reversed(groups) for move in _moves(state, at, each, limits, down=False)]
    return stops + starts


def _in_decision(state: State, group: RigGroup, want: Wanted) -> _Group:
    now = state.fleet[group.name]
    modes = modes_in_effect(group, now)
    reachable = (now.seen != UNREACHABLE) & (modes != UNKNOWN)
    chosen = np.zeros(len(modes), np.bool_)
    return _Group(group, modes, reachable, chosen, want.counts[group.name], group.name in want.firm, group.name in want.wake_allowed)


def _moves(state: State, at: datetime, each: _Group, limits: MoveLimits, *, down: bool) -> list[Move]:
    """The rigs of a group that change to a lower (or a higher) mode, by the mode they change to."""
    modes = range(len(each.group.modes))
    surplus = np.array([int(((each.modes == k) & each.reachable).sum()) for k in modes]) - np.array(each.wanted)
    out = []
    for to in modes:
        for source in reversed(modes[to + 1 :]) if down else modes[:to]:
            n = min(int(surplus[source]), int(-surplus[to]))
            if n <= 0:
                continue
            rigs = _pick(state, at, each, source, to, n, limits)
            move = limits.within(Move(each.group, source, to, rigs, each.firm))
            each.chosen[move.rigs] = True
            surplus[source] -= len(move.rigs)
            surplus[to] += len(move.rigs)
            out += [move] if len(move.rigs) else []
    return out


def _pick(state: State, at: datetime, each: _Group, source: int, to: int, n: int, limits: MoveLimits) -> NDArray[np.int64]:
    """Up to n rigs to move from one mode to another: those without failed orders first, then those that left this very mode by
    themselves, then those whose last order is the longest ago."""
    now = state.fleet[each.group.name]
    rigs = np.flatnonzero((each.modes == source) & each.reachable & ~each.chosen)
    departed = now.ordered[rigs] == to
    free = np.ones(len(rigs), np.bool_)
    left_alone: list[tuple[str, Flags]] = []
    for reason, which in _left_alone(state, at, each, rigs, departed, to):
        left_alone.append((reason, free & which))
        free &= ~which
    quarantined = now.in_quarantine(at)[rigs[free]]
    order = np.lexsort((rigs[free], now.ordered_since_s[rigs[free]], ~departed[free], now.failed_orders[rigs[free]], quarantined))
    chosen: NDArray[np.int64] = rigs[free][order][:n]
    missing = n - len(chosen)
    for reason, which in left_alone:
        count = min(missing, int(which.sum()))
        if reason != UNDER_WAY:
            limits.skip(each.group.name, reason, count)
        missing -= count
    return chosen


def _left_alone(state: State, at: datetime, each: _Group, rigs: NDArray[np.int64], departed: Flags, to: int) -> list[tuple[str, Flags]]:
    """Which of these rigs may not be moved now, by reason. A deployed instruction is firm: minimum-on times yield to it, and so does the
    quarantine of rigs that obey and then leave their mode. The budget of commands and the wait after failed orders yield to nothing."""
    group, now, at_s = each.group, state.fleet[each.group.name], at.timestamp()
    sleep, failed = sleep_index(group), now.failed_orders[rigs] > 0
    awake = now.ordered[rigs] != sleep
    least_s = np.where(awake, 0.0 if each.firm else group.min_on_min * 60.0, group.min_off_min * 60.0)
    # The time since the last order is a minimum time only where that order moved the rig the other way.
    old_enough = (at_s - now.ordered_since_s[rigs] >= least_s) | failed | departed
    not_ours = not_ours_to_wake(state.site, now.asleep_by_others(sleep))[rigs] & (to != sleep)
    none = np.zeros(len(rigs), np.bool_)
    waits = at_s < now.last_order_s[rigs] + wait_after_failures_s(now.failed_orders[rigs])
    needed = np.where(now.last_drawn[rigs] > to, NEEDED_TO_LOWER, NEEDED_TO_RAISE)
    return [
        (UNDER_WAY, now.under_way[rigs] & (now.ordered[rigs] == to)),
        ("asleep, not by us", none if each.wake_allowed else not_ours),
        ("did not obey", failed & waits),
        ("quarantine", now.in_quarantine(at)[rigs] & (failed | (not each.firm))),
        ("order budget", now.commands_saved(at)[rigs] < needed),
        ("minimum time", ~old_enough),
    ]
