"""Fit the wanted rigs per mode to limits: move rigs between modes until a part of the site draws no more, or no less, than it must.

Rigs with failed orders and unreachable rigs count with what they draw: the other rigs make up for them first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np

from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, Flags, sleep_index
from dispatch.decide.measured_load import MeasuredLoad, modes_in_effect
from dispatch.decide.state import State
from optimizer.domain.site import RigGroup, Site

Counts = dict[str, list[int]]

# A promise missed by less than this is kept: it is less than any rig draws.
KEPT_WITHIN_W = 50.0
# More than this share of the rigs that are told next is not expected to disobey, and the share may be this many standard deviations higher.
MOST_DISOBEYED, DEVIATIONS = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class LoadLimit:
    """The load of some groups at the meter, overhead included, must lie between two figures, MW. `promise` names what insists on it;
    `firm` for an instruction, a hold and the site's own limits, which no price outweighs; `of_site` for the latter, which no instruction
    outweighs either."""

    promise: str
    groups: tuple[str, ...]
    floor_mw: float
    cap_mw: float
    firm: bool
    why: str
    of_site: bool = False

    @property
    def is_set_point(self) -> bool:
        """Whether the load is to be one figure, which it misses from either side alike."""
        return 0.0 < self.cap_mw <= self.floor_mw


class LoadsNow(MeasuredLoad):
    """What the groups of a state draw at an instant, and which of their rigs may not obey; each figure worked out once a decision."""

    def __init__(self, state: State, at: datetime) -> None:
        super().__init__(state, at)
        self.site = state.site
        # By group name: the rigs that may not obey.
        self.doubtful: Callable[[str], Doubtful] = cache(lambda name: Doubtful(state, state.site.group(name), at))
        # By group name: what it draws, rigs with an order counted in the mode they go to and unreachable ones as last read.
        self.ordered: Callable[[str], float] = cache(lambda name: self._ordered_w(state, name))

    def _ordered_w(self, state: State, name: str) -> float:
        now = state.fleet[name]
        codes = np.where(now.seen == UNREACHABLE, UNKNOWN, modes_in_effect(state.site.group(name), now))
        return self.of_modes(name, codes) + self.silent(name)

    def drawn(self, names: tuple[str, ...]) -> float:
        """What these groups draw now, with orders under way counted as done."""
        return sum(self.ordered(name) for name in names) + self.offset(names)

    def wanted(self, counts: Counts, names: tuple[str, ...]) -> float:
        """What these groups would draw with so many rigs in each mode."""
        own = sum(n * w for name in names for n, w in zip(counts[name], self.watts(name), strict=True))
        stuck = sum(self.doubtful(name).stuck_w(counts[name], self.watts(name)) for name in names)
        return own + stuck + sum(self.silent(name) for name in names) + self.offset(names)

    def missed_mw(self, counts: Counts, limit: LoadLimit) -> float:
        """MW by which a limit will be missed; 0 where it is kept. Rigs that failed orders count as they draw, though they may be tried
        again."""
        load_w = self.wanted(counts, limit.groups)
        above_w = load_w - limit.cap_mw * 1e6
        smallest_w = min((w[k] - w[0] for w in map(self.watts, limit.groups) for k in range(1, len(w))), default=0.0)
        missed_w = max(above_w, limit.floor_mw * 1e6 - load_w - smallest_w)
        return missed_w / 1e6 if missed_w > KEPT_WITHIN_W else 0.0


def lower(now: LoadsNow, counts: Counts, limit: LoadLimit, last: Iterable[str]) -> Counts:
    """With rigs moved down until the cap holds: the worst J/TH first, the groups in `last` after the others, rigs that may not obey last
    of all. Under a firm cap some more where rigs of the group did not obey: rigs that stop in their place may not either."""
    excess_w = now.wanted(counts, limit.groups) - limit.cap_mw * 1e6
    if excess_w <= 1e-3:
        return counts
    out, protected = {name: list(by_mode) for name, by_mode in counts.items()}, frozenset(last)
    steps = sorted(_steps(now.site, limit), key=lambda step: (step[0].name in protected, -step[0].modes[step[1]].j_per_th))
    for keep_doubtful in (True, False):
        for group, k in steps:
            doubtful = now.doubtful(group.name)
            keep = doubtful.doubtful[k] if keep_doubtful else 0
            enough = doubtful.enough if limit.firm and limit.floor_mw <= 0 else _as_many
            excess_w -= _lower(out[group.name], now.watts(group.name), k, excess_w, keep=keep, enough=enough)
    return out


def lift(now: LoadsNow, counts: Counts, limit: LoadLimit, ceilings: Sequence[LoadLimit]) -> Counts:
    """With rigs moved up until the floor holds: sleeping rigs first, then those awake in a lower mode, the best J/TH first, as far as the
    caps of `ceilings` leave room."""
    missing_w = limit.floor_mw * 1e6 - now.wanted(counts, limit.groups)
    if missing_w <= 0:
        return counts
    out = {name: list(by_mode) for name, by_mode in counts.items()}
    room_w = [c.cap_mw * 1e6 - now.wanted(counts, c.groups) for c in ceilings]
    over = {name: [i for i, c in enumerate(ceilings) if name in c.groups] for name in limit.groups}
    steps = sorted(_steps(now.site, limit), key=lambda step: step[0].modes[step[1]].j_per_th)
    awake = [(group, source, to) for group, to in steps for source in range(1, to)]
    for group, source, to in [*((group, 0, to) for group, to in steps), *awake]:
        least_w = min((room_w[i] for i in over[group.name]), default=missing_w)
        keep = now.doubtful(group.name).kept_below(source)
        added_w = _raise(out[group.name], now.watts(group.name), (source, to), min(missing_w, least_w), keep=keep)
        missing_w -= added_w
        for i in over[group.name]:
            room_w[i] -= added_w
    return out


def _steps(site: Site, limit: LoadLimit) -> list[tuple[RigGroup, int]]:
    return [(group, k) for group in map(site.group, limit.groups) for k in range(1, len(group.modes))]


class Doubtful:
    """The reachable rigs of a group that may not obey: by mode, how many have failed orders, are in quarantine or do not show an order that
    is under way (`doubtful`); and how many sleeping rigs cannot be woken (`not_wakeable`). `disobeyed` is the share of those last told to
    sleep that do not; `asleep` are the rigs that obey that, `stopping` whether some of them still may."""

    def __init__(self, state: State, group: RigGroup, at: datetime) -> None:
        now, modes = state.fleet[group.name], modes_in_effect(group, state.fleet[group.name])
        reachable: Flags = now.seen != UNREACHABLE
        does_not_show = now.under_way & ~now.awaited & (now.seen >= 0) & (now.seen != now.ordered)
        doubtful = reachable & ((now.failed_orders > 0) | now.in_quarantine(at) | does_not_show)
        not_wakeable = doubtful | (reachable & not_ours_to_wake(state.site, now.asleep_by_others(sleep_index(group))))
        self.doubtful = [int((doubtful & (modes == k)).sum()) for k in range(len(group.modes))]
        self.not_wakeable = int((not_wakeable & (modes == 0)).sum())
        told = reachable & (now.ordered == 0) & np.isfinite(now.last_order_s)
        shown = told & ~now.awaited
        self.disobeyed = min(MOST_DISOBEYED, float((shown & (now.seen != 0)).sum()) / max(1, int(shown.sum())))
        self.asleep = int((reachable & ~doubtful & (modes == 0)).sum())
        self.stopping = bool((told & now.awaited).any())

    def enough(self, asleep: int, rigs: int) -> int:
        """How many rigs to stop beside `asleep` others so that `rigs` of them do, if a share `disobeyed` of those not told yet will not.
        Without it each round of replacements, of a dozen seconds, would leave that share of the one before. Rigs told too many are not
        taken back while they stop."""
        new = asleep + rigs - self.asleep
        if self.disobeyed == 0.0 or (new <= 0 and not self.stopping):
            return rigs
        if new <= 0:
            return rigs - new
        return rigs - new + int(np.rint((new + DEVIATIONS * np.sqrt(new * self.disobeyed)) / (1.0 - self.disobeyed)))

    def kept_below(self, mode: int) -> int:
        """How many rigs of a mode are not counted on to go to a higher one."""
        return self.doubtful[mode] if mode else self.not_wakeable

    def stuck_w(self, counts: list[int], watts: list[float]) -> float:
        """Watts that doubtful rigs draw beyond what the counts have in their modes."""
        return sum(max(0, self.doubtful[k] - counts[k]) * (watts[k] - watts[0]) for k in range(1, len(counts)))


def _as_many(asleep: int, rigs: int) -> int:
    return rigs


def _lower(counts: list[int], watts: list[float], k: int, excess_w: float, *, keep: int, enough: Callable[[int, int], int]) -> float:
    """Move rigs from mode k into the lowest one, all but `keep`; returns the watts that sheds if as many as are needed obey. `enough` says
    how many to move, beside those already in the lowest mode, so that as many as are needed do."""
    drop_w = watts[k] - watts[0]
    if excess_w <= 1e-3 or drop_w <= 0:
        return 0.0
    needed = int(np.ceil(excess_w / drop_w - 1e-9))
    n = min(max(0, counts[k] - keep), enough(counts[0], needed))
    counts[k] -= n
    counts[0] += n
    return min(n, needed) * drop_w


def _raise(counts: list[int], watts: list[float], step: tuple[int, int], missing_w: float, *, keep: int) -> float:
    """Move rigs from one mode into a higher one, all but `keep`; returns the watts that adds."""
    source, to = step
    rise_w = watts[to] - watts[source]
    if missing_w <= 0 or rise_w <= 0:
        return 0.0
    n = min(max(0, counts[source] - keep), int(missing_w / rise_w + 1e-9))
    counts[to] += n
    counts[source] -= n
    return n * rise_w


def not_ours_to_wake(site: Site, asleep_by_others: Flags) -> Flags:
    """Which sleeping rigs are not ours to wake; none where the site file says `wakes = "all"`."""
    return asleep_by_others if site.wakes == "ours" else np.zeros_like(asleep_by_others)


def uptime_promised(state: State) -> frozenset[str]:
    """The groups whose tenants are promised uptime: they are stopped after the others."""
    return frozenset(n for o in state.setup.book if o.protects_uptime() for n in o.scope.names(state.site))
