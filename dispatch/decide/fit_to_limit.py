"""Fit: the rigs that are wanted in each mode, moved until a part of the site draws what it must.

Rigs that did not obey, and rigs that do not answer, count with what they draw: the others make up for them first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dispatch.decide.group_state import UNREACHABLE, Flags, asleep
from dispatch.decide.measured_load import effective, offset_w, silent_w, watts_at_meter
from dispatch.decide.state import State
from optimizer.domain.site import RigGroup, Site

Counts = dict[str, list[int]]

# What a promise may be missed by before it is called short: less than any rig draws.
NOTHING_W = 50.0


@dataclass(frozen=True, slots=True)
class Cap:
    """The load of some groups, at the meter and overhead included, must stand between two figures, MW."""

    promise: str
    groups: tuple[str, ...]
    floor_mw: float
    cap_mw: float
    firm: bool
    why: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """Whether anything moved, and the MW that cap or floor will be missed by with all that can be moved."""

    moved: bool
    short_mw: float


def fit(state: State, at: datetime, counts: Counts, cap: Cap) -> Fitted:
    """Move rigs down (worst J/TH first, promised tenants last) until the cap holds, or up (best first) until the floor does. `counts` is
    changed in place."""
    groups = [state.site.group(name) for name in cap.groups]
    watts = {g.name: watts_at_meter(state, g, at) for g in groups}
    stands = {g.name: _Standing(state, g, at) for g in groups}
    load_w = sum(n * w for g in groups for n, w in zip(counts[g.name], watts[g.name], strict=True))
    load_w += silent_w(state, at, cap.groups) + offset_w(state, at, cap.groups)
    load_w += sum(stands[g.name].stuck_w(counts[g.name], watts[g.name]) for g in groups)
    tenants = promised(state)
    before = {name: list(counts[name]) for name in cap.groups}
    steps = [(g, k) for g in groups for k in range(1, len(g.modes))]
    down = sorted(steps, key=lambda step: (step[0].name in tenants, -step[0].modes[step[1]].j_per_th))
    excess_w = load_w - cap.cap_mw * 1e6
    for group, k in down:
        excess_w -= _lower(counts[group.name], watts[group.name], k, excess_w, keep=stands[group.name].doubtful[k])
    # What the sound rigs leave can only come from some that did not obey before.
    short_w = excess_w - sum(stands[g.name].hoped_w(watts[g.name]) for g in groups)
    for group, k in down:
        excess_w -= _lower(counts[group.name], watts[group.name], k, excess_w, keep=0)
    missing_w = cap.floor_mw * 1e6 - load_w
    for group, k in sorted(steps, key=lambda step: step[0].modes[step[1]].j_per_th):
        missing_w -= _raise(counts[group.name], watts[group.name], k, missing_w, stands[group.name])
    smallest_w = min((w[k] - w[0] for w in watts.values() for k in range(1, len(w))), default=0.0)
    short_w = max(short_w, missing_w - smallest_w)
    return Fitted(before != {name: counts[name] for name in cap.groups}, short_w / 1e6 if short_w > NOTHING_W else 0.0)


class _Standing:
    """How the rigs of a group that answer stand: by mode, how many did not obey, and how many of those may yet."""

    def __init__(self, state: State, group: RigGroup, at: datetime) -> None:
        now, modes = state.fleet[group.name], effective(group, state.fleet[group.name])
        answers: Flags = now.seen != UNREACHABLE
        doubtful = answers & ((now.tries > 0) | now.barred(at))
        hoped = answers & (now.tries > 0) & ~now.barred(at) & (now.told_s < at.timestamp())
        lame = doubtful | (answers & unwakeable(state.site, now.not_ours(asleep(group))))
        each = range(len(group.modes))
        self.doubtful = [int((doubtful & (modes == k)).sum()) for k in each]
        self.hoped = [int((hoped & (modes == k)).sum()) for k in each]
        self.lame = int((lame & (modes == 0)).sum())

    def stuck_w(self, counts: list[int], watts: list[float]) -> float:
        """Watts of rigs that did not obey beyond what the counts hold in their modes."""
        return sum(max(0, self.doubtful[k] - counts[k]) * (watts[k] - watts[0]) for k in range(1, len(counts)))

    def hoped_w(self, watts: list[float]) -> float:
        """Watts that rigs would shed that failed before and are tried once more."""
        return sum(n * (w - watts[0]) for n, w in zip(self.hoped, watts, strict=True))


def _lower(counts: list[int], watts: list[float], k: int, excess_w: float, *, keep: int) -> float:
    """Take rigs out of mode k into the lowest one, all but `keep`; the watts it sheds."""
    drop_w = watts[k] - watts[0]
    if excess_w <= 1e-3 or drop_w <= 0:
        return 0.0
    n = min(max(0, counts[k] - keep), int(np.ceil(excess_w / drop_w - 1e-9)))
    counts[k] -= n
    counts[0] += n
    return n * drop_w


def _raise(counts: list[int], watts: list[float], k: int, missing_w: float, stands: _Standing) -> float:
    """Bring rigs from the lowest mode into mode k; the watts it adds."""
    rise_w = watts[k] - watts[0]
    if missing_w <= 0 or rise_w <= 0:
        return 0.0
    n = min(max(0, counts[0] - stands.lame), int(missing_w / rise_w + 1e-9))
    counts[k] += n
    counts[0] -= n
    return n * rise_w


def unwakeable(site: Site, not_ours: Flags) -> Flags:
    """Which sleeping rigs are somebody else's to wake."""
    return not_ours if site.wakes == "ours" else np.zeros_like(not_ours)


def promised(state: State) -> frozenset[str]:
    """The groups whose tenants were promised that they run: they are disturbed after the others."""
    return frozenset(n for o in state.setup.book if getattr(o, "uptime", 0.0) for n in o.scope.names(state.site))
