"""Reconcile: wanted against seen, rig by rig.

Picks who moves, within minimum times, inrush and ramp limits, and counts who does not, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.fit_to_limit import unwakeable
from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, asleep
from dispatch.decide.measured_load import effective, watts_at_meter
from dispatch.decide.move_limits import Limits, Move
from dispatch.decide.reflex import Wanted, wanted
from dispatch.decide.state import State
from dispatch.entries import Commanded, Order, pack
from optimizer.domain.site import RigGroup

# World seconds an order may take; a reading within them shows the outcome. Ticks are longer.
DEADLINE_S = 60.0
ROUNDS = 3

Flags = NDArray[np.bool_]


def decide(state: State, at: datetime, round_: int) -> Commanded | None:
    """The commands of a tick's round, or None when there is nothing to say. After the last round it only says what came of them: which
    promises are missed, and which rigs were left alone for which reason. Pure: the same state and instant give the same bytes."""
    want = wanted(state, at)
    limits = Limits.of(state, at)
    moves: list[Move] = []
    # Stops go first, whoever's they are: they make room under every limit.
    worst_first = sorted(state.site.groups, key=lambda g: -g.full.j_per_th)
    for group in worst_first:
        moves += _moves(state, at, group, want, limits, down=True)
    for group in reversed(worst_first):
        moves += _moves(state, at, group, want, limits, down=False)
    if round_ > ROUNDS:
        moves = []
    said = Commanded(
        at=at,
        round=round_,
        orders=tuple(
            Order(
                id=f"{at:%Y%m%dT%H%M%S.%f}Z-{state.decided}-{k}",
                group=move.group.name,
                mode=move.group.modes[move.to].name,
                rigs=pack(move.rigs.tolist()),
                deadline_s=DEADLINE_S,
                why=_why(want, move.group),
                over_s=limits.over_s(move, moves),
            )
            for k, move in enumerate(moves)
        ),
        target_mw=target_mw(state, at, want),
        skipped=limits.skipped,
        reasons=want.reasons,
        short=want.short,
        fans=limits.fans(moves),
    )
    return said if moves or _is_news(said, state.commanded) else None


def _is_news(said: Commanded, last: Commanded | None) -> bool:
    """Whether something new is missed or left alone: that is written down though nothing moves."""
    known = (last.skipped, last.short) if last else ({}, {})
    return (said.skipped, said.short) != known


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


def _moves(state: State, at: datetime, group: RigGroup, want: Wanted, limits: Limits, *, down: bool) -> list[Move]:
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
        for source in sources:
            n = min(int(surplus[source]), int(-surplus[to]))
            if n <= 0:
                continue
            rigs = _pick(state, at, group, (modes == source) & reachable, to, n, want, limits)
            move = limits.within(Move(group, source, to, rigs, group.name in want.firm))
            surplus[source] -= len(move.rigs)
            surplus[to] += len(move.rigs)
            out += [move] if len(move.rigs) else []
    return out


def _pick(
    state: State, at: datetime, group: RigGroup, candidates: Flags, to: int, n: int, want: Wanted, limits: Limits
) -> NDArray[np.int64]:
    """Up to n rigs that may move: those that obeyed before those that did not, those that were told this mode and drifted out of it
    before others, the longest undisturbed first."""
    now = state.fleet[group.name]
    rigs = np.flatnonzero(candidates)
    drifted = now.wanted[rigs] == to
    fit = np.ones(len(rigs), np.bool_)
    left_alone: list[tuple[str, Flags]] = []
    for reason, which in _let_alone(state, at, group, rigs, drifted, to, want):
        left_alone.append((reason, fit & which))
        fit &= ~which
    barred = now.barred(at)[rigs[fit]]
    order = np.lexsort((rigs[fit], now.since[rigs[fit]], ~drifted[fit], now.tries[rigs[fit]], barred))
    chosen: NDArray[np.int64] = rigs[fit][order][:n]
    missing = n - len(chosen)
    for reason, which in left_alone:
        count = min(missing, int(which.sum()))
        limits.skip(group.name, reason, count)
        missing -= count
    return chosen


def _let_alone(
    state: State, at: datetime, group: RigGroup, rigs: NDArray[np.int64], drifted: Flags, to: int, want: Wanted
) -> list[tuple[str, Flags]]:
    """Which of these rigs may not be moved now, by reason. A firm instruction overrides minimum-on times and
    quarantine (ARCHITECTURE 3)."""
    now, sleep, at_s = state.fleet[group.name], asleep(group), at.timestamp()
    firm, tries = group.name in want.firm, now.tries[rigs] > 0
    awake = now.wanted[rigs] != sleep
    least_s = np.where(awake, 0.0 if firm else group.min_on_min * 60.0, group.min_off_min * 60.0)
    # Time since the last command is only a minimum time where that command moved the rig the other way.
    free = (at_s - now.since[rigs] >= least_s) | tries | drifted
    strangers = unwakeable(state.site, now.not_ours(sleep))[rigs] & (to != sleep)
    nobody = np.zeros(len(rigs), np.bool_)
    just_told = now.told_s[rigs] >= at_s
    return [
        ("asleep, not by us", nobody if group.name in want.wake_allowed else strangers),
        ("did not obey", tries & just_told),
        ("quarantine", now.barred(at)[rigs] & (just_told if firm else ~nobody)),
        ("minimum time", ~free),
    ]
