"""What one tick may move: starts by hall, ramps of the site and room under its limits, used up as rigs are picked; and the rigs left alone,
by reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.fit_to_limit import LoadLimit, LoadsNow
from dispatch.decide.group_state import UNKNOWN, sleep_index
from dispatch.decide.measured_load import FALL_S, Watts
from dispatch.decide.state import State
from optimizer.domain.site import RigGroup, Site

INF = float("inf")
# The reason of rigs that may start only when others are read to have stopped.
NO_ROOM = "no room under a limit yet"
# Sums of watts may be off by this share of a rig.
ROUNDING_RIGS = 1e-6


@dataclass(frozen=True, slots=True)
class Move:
    """Rigs of a group that go from one mode to another: positions of the modes, and of the rigs (int64). The ramp down does not hold up a
    firm instruction."""

    group: RigGroup
    source: int
    to: int
    rigs: NDArray[np.int64]
    firm: bool = False

    @property
    def up(self) -> bool:
        """Whether it draws more afterwards."""
        return self.to > self.source

    @property
    def starts(self) -> bool:
        """Whether it wakes rigs."""
        return self.source == sleep_index(self.group)


@dataclass(slots=True)
class _Room:
    """What may still be added under a cap, W, and the most that each rig draws before it is added to, by group.

    Under a cap no order to draw less makes room before it is read back. To a set point the rigs are moved by what was ordered; `most_w` is
    None.
    """

    groups: frozenset[str]
    left_w: float
    most_w: Mapping[str, Watts] | None

    @classmethod
    def under(cls, limit: LoadLimit, now: LoadsNow) -> _Room:
        cap_w, groups = limit.cap_mw * 1e6, frozenset(limit.groups)
        if limit.is_set_point:
            return cls(groups, cap_w - now.drawn(limit.groups), None)
        return cls(groups, cap_w - now.most(limit.groups), {name: now.range_by_rig(name, None)[1] for name in groups})

    def added_w(self, move: Move, watts: Sequence[float]) -> Watts:
        """What each rig of a move adds; `watts` at the meter by mode. Negative where it makes room."""
        if self.most_w is None:
            return np.full(len(move.rigs), watts[move.to] - watts[move.source])
        if not move.up:
            return np.zeros(len(move.rigs))
        added: Watts = np.maximum(watts[move.to] - self.most_w[move.group.name][move.rigs], 0.0)
        return added


@dataclass(slots=True)
class MoveLimits:
    """What is left of this tick's starts by hall and of the ramps, W; a tick has its minutes' worth of each. `room` is what may still be
    added under each firm cap, W, with the groups it limits: rigs that cannot stop yet leave none for others to start."""

    site: Site
    starts: dict[str, float]
    ramp_up_w: float
    ramp_down_w: float
    watts: dict[str, list[float]]
    room: list[_Room]
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State, at: datetime, now: LoadsNow, limits: Sequence[LoadLimit]) -> MoveLimits:
        """What the orders of the last tick have left, under the limits in force."""
        site, minutes = state.site, state.site.tick_s / 60.0
        watts = {g.name: now.watts(g.name) for g in site.groups}
        starts = {}
        for hall in site.halls:
            recent = sum(_recent_starts(state, g, at) for g in site.groups if g.hall == hall.name)
            starts[hall.name] = INF if hall.max_starts_per_min is None else max(0.0, hall.max_starts_per_min * minutes - recent)
        up, down = site.max_ramp_up_mw_per_min, site.max_ramp_down_mw_per_min
        used = [_under_way_w(state, g, watts[g.name]) for g in site.groups] if up or down else []
        return cls(
            site,
            starts,
            max(0.0, up * minutes * 1e6 - sum(u for u, _ in used)) if up else INF,
            max(0.0, down * minutes * 1e6 - sum(d for _, d in used)) if down else INF,
            watts,
            [_Room.under(c, now) for c in limits if c.firm and c.cap_mw < INF],
        )

    def skip(self, group: str, reason: str, rigs: int) -> None:
        """Count rigs left alone for a reason."""
        if rigs > 0:
            by = self.skipped.setdefault(group, {})
            by[reason] = by.get(reason, 0) + rigs

    def within(self, move: Move) -> Move:
        """As many of the rigs as the limits let move."""
        step_w = self._step_w(move)
        allowed = float(len(move.rigs))
        if move.starts:
            allowed = min(allowed, self.starts[move.group.hall])
        if step_w > 0 and (move.up or not move.firm):
            allowed = min(allowed, (self.ramp_up_w if move.up else self.ramp_down_w) / step_w)
        added_w = [(room, room.added_w(move, self.watts[move.group.name])) for room in self.room if move.group.name in room.groups]
        least_w = step_w * ROUNDING_RIGS
        within_caps = [int((np.cumsum(each) <= room.left_w + least_w).sum()) for room, each in added_w if move.up and step_w > 0]
        n = max(0, int(min([allowed, *within_caps]) + ROUNDING_RIGS))
        by_caps = max(0, int(allowed + 1e-9) - n)
        self.skip(move.group.name, NO_ROOM, by_caps)
        self.skip(move.group.name, "inrush or ramp limit", len(move.rigs) - n - by_caps)
        for room, each in added_w:
            room.left_w -= float(each[:n].sum())
        if move.starts:
            self.starts[move.group.hall] -= n
        if move.up:
            self.ramp_up_w -= n * step_w
        else:
            self.ramp_down_w -= n * step_w
        return replace(move, rigs=np.sort(move.rigs[:n]))

    def spread_s(self, move: Move, moves: Sequence[Move]) -> float:
        """The seconds over which the rigs of a move get their orders, so that no minute has more starts or ramp than the limits allow."""
        hall = self.site.hall_of[move.group.name]
        spans = [0.0]
        if move.starts and hall.max_starts_per_min:
            here = sum(len(m.rigs) for m in moves if m.starts and m.group.hall == hall.name)
            spans.append(here / hall.max_starts_per_min * 60.0)
        ramp = self.site.max_ramp_up_mw_per_min if move.up else self.site.max_ramp_down_mw_per_min
        if ramp and (move.up or not move.firm):
            same_way = sum(self._step_w(m) * len(m.rigs) for m in moves if m.up == move.up and (m.up or not m.firm))
            spans.append(same_way / 1e6 / ramp * 60.0)
        longest = min(max(spans), float(self.site.tick_s))
        return round(longest, 1) if longest >= 1.0 else 0.0

    def fans(self, moves: Sequence[Move]) -> tuple[str, ...]:
        """The halls whose pumps and fans are to run before rigs wake there."""
        return tuple(h.name for h in self.site.halls if h.cooling and any(m.starts and m.group.hall == h.name for m in moves))

    def _step_w(self, move: Move) -> float:
        watts = self.watts[move.group.name]
        return abs(watts[move.to] - watts[move.source])


def _recent_starts(state: State, group: RigGroup, at: datetime) -> int:
    now, sleep = state.fleet[group.name], sleep_index(group)
    return int(((now.ordered != sleep) & (at.timestamp() - now.ordered_since_s < state.site.tick_s)).sum())


def _under_way_w(state: State, group: RigGroup, watts: list[float]) -> tuple[float, float]:
    """Watts up and down of orders that no reading shows yet."""
    now = state.fleet[group.name]
    moved = now.awaited & (now.last_drawn != UNKNOWN) & (now.ordered != UNKNOWN) & (now.failed_orders == 0)
    by_mode = np.array(watts)
    steps = by_mode[now.ordered[moved]] - by_mode[now.last_drawn[moved]]
    return float(steps[steps > 0].sum()), float(-steps[steps < 0].sum())


def room_is_read_at(state: State) -> datetime | None:
    """From when on meters show what the newest orders made of the load, where rigs wait for room under a limit and the meters were not read
    since; None otherwise."""
    waits = state.commanded is not None and any(NO_ROOM in reasons for reasons in state.commanded.skipped.values())
    if not waits or not state.meters or state.meters_at is None:
        return None
    shows_s = max(float(now.last_order_s.max()) for now in state.fleet.values()) + FALL_S
    return datetime.fromtimestamp(shows_s, UTC) if state.meters_at.timestamp() < shows_s < np.inf else None
