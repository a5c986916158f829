"""What a part of the site draws: the best measurement there is of it, and how far it is from what the rigs' modes should draw.

Source order: a meter, then a feeder or a PDU, then what the rigs say themselves, then the catalogue's watts of their modes. A meter with
generation behind it reads net load, and is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.group_state import UNKNOWN, UNREACHABLE, WAKING, Codes, GroupState, awake_target
from dispatch.decide.load_at_meters import groups_behind
from dispatch.decide.state import State
from dispatch.power_meters import MeterKind
from optimizer.domain.site import RigGroup

Watts = NDArray[np.float64]

# A group may be read to draw this many times its nameplate; beyond it the reading is taken to be wrong.
MOST_ABOVE_NAMEPLATE = 1.3
# Watts fall within so many seconds of an order to sleep: a meter that was read sooner may read what was drawn before it.
FALL_S = 6.0
# A meter may read this share less than the reachable rigs should draw; beyond it the meter is taken to be wrong.
MOST_BELOW_RIGS = 0.1


def watts_at_meter(state: State, group: RigGroup, at: datetime) -> list[float]:
    """Watts at the meter of one rig in each mode: the nameplate, raised by what the group is read to draw above it, with overhead."""
    overhead = state.overhead(group.name, at)
    now = state.fleet[group.name]
    # The load last read belongs to the modes last read, but for rigs on their way to another; silent rigs count with what they last drew.
    settled = now.last_drawn[~now.unsettled]
    nominal_w = sum(m.watts * float((settled == k).sum()) for k, m in enumerate(group.modes))
    settled_w = (now.load_mw - now.unsettled_mw) * 1e6
    bias = float(np.clip(settled_w / nominal_w, 1.0, MOST_ABOVE_NAMEPLATE)) if nominal_w > 0 else 1.0
    return [m.watts * bias * overhead for m in group.modes]


def modes_in_effect(group: RigGroup, now: GroupState) -> Codes:
    """By rig: the index of the mode it counts as being in, or UNKNOWN.

    That is the mode it was read in; the ordered one while nothing could show yet what the order did, unless the rig failed orders before.
    A waking rig counts as being in the mode it is waking to.
    """
    found = np.where(now.seen >= 0, now.seen, np.where(now.seen == WAKING, awake_target(group, now.ordered), now.ordered))
    codes: Codes = np.where(now.awaited & (now.failed_orders == 0), now.ordered, found)
    return codes


class MeasuredLoad:
    """What the groups of a state draw at an instant, each figure worked out once. Watts at the meter."""

    def __init__(self, state: State, at: datetime) -> None:
        self._state, self._at = state, at
        group = cache(state.site.group)
        # By group name: watts of one rig in each mode, and what unreachable rigs drew when they were last read: silence is no shed load.
        self.watts: Callable[[str], list[float]] = cache(lambda name: watts_at_meter(state, group(name), at))
        self.silent: Callable[[str], float] = cache(self._silent_w)
        # By group name and when its meter was read: the least and the most that each rig draws.
        self.range_by_rig: Callable[[str, datetime | None], tuple[Watts, Watts]] = cache(self._range_by_rig)
        # By groups: what is measured beyond what their rigs should draw, and the most that they may draw while orders are under way.
        self.offset: Callable[[tuple[str, ...]], float] = cache(self._offset_w)
        self.most: Callable[[tuple[str, ...]], float] = cache(self._most_w)

    def of_modes(self, name: str, codes: Codes) -> float:
        """What the rigs of a group would draw in these modes."""
        return sum(w * float((codes == k).sum()) for k, w in enumerate(self.watts(name)))

    def _silent_w(self, name: str) -> float:
        now = self._state.fleet[name]
        return self.of_modes(name, np.where(now.seen == UNREACHABLE, now.last_drawn, UNKNOWN))

    def _offset_w(self, names: tuple[str, ...]) -> float:
        """What a part of the site is measured to draw beyond what its rigs should draw in their modes."""
        parts = _parts(self._state, self._at, names)
        found = sum(_beyond(part.measured_w, *self._expected_w(part.groups, part.read_at)) for part in parts)
        as_last_read = sum(self.of_modes(n, self._state.fleet[n].last_drawn) for n in names)
        least = -MOST_BELOW_RIGS * as_last_read - sum(self.silent(n) for n in names)
        return max(found, least)

    def _most_w(self, names: tuple[str, ...]) -> float:
        """The most that a part of the site may draw. No order to draw less counts as carried out before a reading shows it,
        and where a meter measures the rigs, a reading of that meter; every order to draw more does."""
        parts = _parts(self._state, self._at, names)
        return sum(self._expected_w(part.groups, part.read_at)[1] for part in parts) + self.offset(names)

    def _expected_w(self, names: Iterable[str], meters_at: datetime | None) -> tuple[float, float]:
        """The least and the most that groups should draw as they were last read: a rig with an order that cannot show yet,
        or not in a meter that was read at `meters_at`, draws what it drew or what was ordered, and the watts of a waking rig may still
        rise."""
        ranges = [self.range_by_rig(name, meters_at) for name in names]
        return sum(float(least.sum()) for least, _ in ranges), sum(float(most.sum()) for _, most in ranges)

    def _range_by_rig(self, name: str, meters_at: datetime | None) -> tuple[Watts, Watts]:
        shows_until_s = np.inf if meters_at is None else meters_at.timestamp() - FALL_S
        now = self._state.fleet[name]
        changing = now.awaited | (now.last_order_s > shows_until_s)
        before, ordered = (np.where(changing, codes, now.last_drawn) for codes in (now.drawn_before, now.ordered))
        watts = np.array([*self.watts(name), 0.0])  # the last one for rigs in no known mode
        each = watts[np.stack([before, now.last_drawn, ordered])]
        return np.where(now.seen == WAKING, watts[0], each.min(axis=0)), each.max(axis=0)


def _beyond(measured: float, least: float, most: float) -> float:
    """How far a measurement is outside of what was to be expected: between two figures while orders are under way or rigs wake."""
    return measured - min(max(measured, least), most)


@dataclass(frozen=True, slots=True)
class _Part:
    """Groups that are measured together: watts at the meter, and when that was read; None where it is their rigs' own readings."""

    groups: tuple[str, ...]
    measured_w: float
    read_at: datetime | None


def _parts(state: State, at: datetime, names: Sequence[str]) -> Iterator[_Part]:
    """The parts of the site that are measured one by one."""
    left, net = set(names), state.net_meters
    for kind in MeterKind:
        for meter, mw in state.believed_meters.items():
            behind = groups_behind(state.site, meter)
            if meter.kind is MeterKind.METER and meter.name in net:
                continue  # it reads net of what is generated: less than the rigs draw, and by how much is not known here
            if meter.kind is kind and behind and left.issuperset(behind):
                left -= set(behind)
                overhead = state.overhead(behind[0], at) if kind is MeterKind.GROUP else 1.0
                yield _Part(behind, mw * 1e6 * overhead, state.meters_at)
    for name in names:
        if name in left:
            yield _Part((name,), state.fleet[name].load_mw * 1e6 * state.overhead(name, at), None)
