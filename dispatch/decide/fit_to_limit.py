"""Fit the wanted rigs per mode to a limit: move rigs between modes until a part of the site draws no more, or no less, than it must.

Rigs with failed orders and unreachable rigs count with what they draw: the other rigs make up for them first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dispatch.decide.group_state import UNREACHABLE, Flags, sleep_index
from dispatch.decide.measured_load import modes_in_effect, offset_w, silent_w, watts_at_meter
from dispatch.decide.state import State
from optimizer.domain.site import RigGroup, Site

Counts = dict[str, list[int]]

# A promise missed by less than this is kept: it is less than any rig draws.
KEPT_WITHIN_W = 50.0


@dataclass(frozen=True, slots=True)
class LoadLimit:
    """The load of some groups at the meter, overhead included, must lie between two figures, MW. `promise` names what insists on it;
    `firm` for an instruction, a hold and the site's own limits, which no price outweighs."""

    promise: str
    groups: tuple[str, ...]
    floor_mw: float
    cap_mw: float
    firm: bool
    why: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rigs by group and mode after the fit, whether that moved any, and the MW the limit is missed by with all rigs that can move."""

    counts: Counts
    moved: bool
    short_mw: float


def fit(state: State, at: datetime, wanted: Counts, limit: LoadLimit) -> Fitted:
    """Move rigs down (worst J/TH first, groups with promised uptime last) until the cap holds, or up (best first) until the floor does."""
    counts = {name: list(by_mode) for name, by_mode in wanted.items()}
    groups = [state.site.group(name) for name in limit.groups]
    watts = {g.name: watts_at_meter(state, g, at) for g in groups}
    doubts = {g.name: _Doubtful(state, g, at) for g in groups}
    load_w = sum(n * w for g in groups for n, w in zip(counts[g.name], watts[g.name], strict=True))
    load_w += silent_w(state, at, limit.groups) + offset_w(state, at, limit.groups)
    load_w += sum(doubts[g.name].stuck_w(counts[g.name], watts[g.name]) for g in groups)
    protected = uptime_promised(state)
    steps = [(g, k) for g in groups for k in range(1, len(g.modes))]
    down = sorted(steps, key=lambda step: (step[0].name in protected, -step[0].modes[step[1]].j_per_th))
    excess_w = load_w - limit.cap_mw * 1e6
    for group, k in down:
        excess_w -= _lower(counts[group.name], watts[group.name], k, excess_w, keep=doubts[group.name].doubtful[k])
    # What the other rigs leave can only come from rigs with failed orders.
    short_w = excess_w - sum(doubts[g.name].retried_w(watts[g.name]) for g in groups)
    for group, k in down:
        excess_w -= _lower(counts[group.name], watts[group.name], k, excess_w, keep=0)
    missing_w = limit.floor_mw * 1e6 - load_w
    for group, k in sorted(steps, key=lambda step: step[0].modes[step[1]].j_per_th):
        missing_w -= _raise(counts[group.name], watts[group.name], k, missing_w, doubts[group.name])
    smallest_w = min((w[k] - w[0] for w in watts.values() for k in range(1, len(w))), default=0.0)
    short_w = max(short_w, missing_w - smallest_w)
    return Fitted(counts, counts != wanted, short_w / 1e6 if short_w > KEPT_WITHIN_W else 0.0)


class _Doubtful:
    """The reachable rigs of a group that may not obey: by mode, how many have failed orders or are in quarantine (`doubtful`), how many of
    those may obey if tried again (`retried`), and how many cannot be woken (`not_wakeable`)."""

    def __init__(self, state: State, group: RigGroup, at: datetime) -> None:
        now, modes = state.fleet[group.name], modes_in_effect(group, state.fleet[group.name])
        reachable: Flags = now.seen != UNREACHABLE
        doubtful = reachable & ((now.failed_orders > 0) | now.in_quarantine(at))
        retried = reachable & (now.failed_orders > 0) & ~now.in_quarantine(at) & (now.last_order_s < at.timestamp())
        not_wakeable = doubtful | (reachable & not_ours_to_wake(state.site, now.asleep_by_others(sleep_index(group))))
        each = range(len(group.modes))
        self.doubtful = [int((doubtful & (modes == k)).sum()) for k in each]
        self.retried = [int((retried & (modes == k)).sum()) for k in each]
        self.not_wakeable = int((not_wakeable & (modes == 0)).sum())

    def stuck_w(self, counts: list[int], watts: list[float]) -> float:
        """Watts that doubtful rigs draw beyond what the counts have in their modes."""
        return sum(max(0, self.doubtful[k] - counts[k]) * (watts[k] - watts[0]) for k in range(1, len(counts)))

    def retried_w(self, watts: list[float]) -> float:
        """Watts that doubtful rigs would shed if they obeyed when tried again."""
        return sum(n * (w - watts[0]) for n, w in zip(self.retried, watts, strict=True))


def _lower(counts: list[int], watts: list[float], k: int, excess_w: float, *, keep: int) -> float:
    """Move rigs from mode k into the lowest one, all but `keep`; returns the watts that sheds."""
    drop_w = watts[k] - watts[0]
    if excess_w <= 1e-3 or drop_w <= 0:
        return 0.0
    n = min(max(0, counts[k] - keep), int(np.ceil(excess_w / drop_w - 1e-9)))
    counts[k] -= n
    counts[0] += n
    return n * drop_w


def _raise(counts: list[int], watts: list[float], k: int, missing_w: float, doubts: _Doubtful) -> float:
    """Move rigs from the lowest mode into mode k; returns the watts that adds."""
    rise_w = watts[k] - watts[0]
    if missing_w <= 0 or rise_w <= 0:
        return 0.0
    n = min(max(0, counts[0] - doubts.not_wakeable), int(missing_w / rise_w + 1e-9))
    counts[k] += n
    counts[0] -= n
    return n * rise_w


def not_ours_to_wake(site: Site, asleep_by_others: Flags) -> Flags:
    """Which sleeping rigs are not ours to wake; none where the site file says `wakes = "all"`."""
    return asleep_by_others if site.wakes == "ours" else np.zeros_like(asleep_by_others)


def uptime_promised(state: State) -> frozenset[str]:
    """The groups whose tenants are promised uptime: they are stopped after the others."""
    return frozenset(n for o in state.setup.book if o.protects_uptime() for n in o.scope.names(state.site))
