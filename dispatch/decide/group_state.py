"""A group of rigs as the journal knows it, rig by rig: what was ordered of it, and what readings show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import GroupSeen, Order, Result, unpack
from dispatch.rigs import Outcome
from dispatch.rigs.shed_curve import ShedCurve
from optimizer.domain.site import SLEEP, RigGroup

# Conditions of a rig that are not a mode of its group.
UNKNOWN, WAKING, UNREACHABLE = -1, -2, -3
CONDITIONS = {"waking": WAKING, "unreachable": UNREACHABLE}

# Orders in a row that failed, or times a rig left its ordered mode by itself, before it is left alone for QUARANTINE_S.
MAX_FAILED_ORDERS, MAX_DEPARTURES = 3, 3
QUARANTINE_S = 3600.0
# Departures are counted anew once a rig has kept its ordered mode for this long.
FORGET_DEPARTURES_S = 2 * 3600.0

Codes = NDArray[np.int8]
Stamps = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GroupState:
    """A group, rig by rig. Arrays of length `rigs`, read-only; instants are epoch seconds, -inf for never.

    ordered              index of the mode last ordered, UNKNOWN before the first order or reading
    seen                 index of the mode that the rig's draw matches, or UNKNOWN, WAKING, UNREACHABLE
    last_drawn           index of the mode the rig was last read to draw; silence does not change it
    ordered_since_s      when `ordered` last changed
    last_order_s         when the rig last got any order
    failed_orders        how many orders in a row failed
    departures           how often of late the rig left its ordered mode by itself; `departed_s` when it last did
    departed             whether it left its ordered mode and got no order since
    quarantined_until_s  when its quarantine ends
    shed_curve           how quickly its rigs shed their load, as measured
    seen_s               when the group was last read, one instant for all rigs
    """

    rigs: int
    ordered: Codes
    seen: Codes
    last_drawn: Codes
    ordered_since_s: Stamps
    last_order_s: Stamps
    failed_orders: Codes
    departures: Codes
    departed_s: Stamps
    departed: Flags
    quarantined_until_s: Stamps
    shed_curve: ShedCurve = field(default_factory=ShedCurve)
    load_mw: float = 0.0
    hashrate_ph: float = 0.0
    reachable: int = 0
    seen_s: float = -np.inf

    @classmethod
    def unseen(cls, rigs: int) -> GroupState:
        """A group that was never read or ordered."""
        unknown, never = _read_only(np.full(rigs, UNKNOWN, np.int8)), _read_only(np.full(rigs, -np.inf))
        none, no = _read_only(np.zeros(rigs, np.int8)), _read_only(np.zeros(rigs, np.bool_))
        return cls(rigs, unknown, unknown, unknown, never, never, none, none, never, no, never)

    def after_order(self, order: Order, mode: int, at: datetime) -> GroupState:
        """After an order to some of its rigs to go into a mode, by index."""
        rigs = np.array(unpack(order.rigs), dtype=np.int64)
        ordered, since_s, last_s = self.ordered.copy(), self.ordered_since_s.copy(), self.last_order_s.copy()
        departed = self.departed.copy()
        changed = rigs[ordered[rigs] != mode]
        ordered[changed] = mode
        since_s[changed] = at.timestamp()
        last_s[rigs] = at.timestamp()
        departed[rigs] = False
        return replace(
            self,
            ordered=_read_only(ordered),
            ordered_since_s=_read_only(since_s),
            last_order_s=_read_only(last_s),
            departed=_read_only(departed),
        )

    def after_result(self, order: Order, result: Result, at: datetime) -> GroupState:
        """After the outcome of an order: a rig that failed is chosen after its neighbours, and after MAX_FAILED_ORDERS not at all."""
        failed, until_s = self.failed_orders.copy(), self.quarantined_until_s.copy()
        for outcome, packed in result.rigs_by_outcome.items():
            rigs = np.array(unpack(packed), dtype=np.int64)
            # A rig that moved and has not arrived may only have been interrupted.
            more = np.maximum(failed[rigs], 1) if outcome == Outcome.PARTLY else failed[rigs] + 1
            failed[rigs] = 0 if outcome == Outcome.REACHED else more
        given_up = failed >= MAX_FAILED_ORDERS
        failed[given_up] = 1
        until_s[given_up] = at.timestamp() + QUARANTINE_S
        curve = self.shed_curve
        if order.mode == SLEEP and result.shed_within_s:
            curve = curve.after(result.shed_within_s, len(unpack(order.rigs)))
        return replace(self, failed_orders=_read_only(failed), quarantined_until_s=_read_only(until_s), shed_curve=curve)

    def after_reading(self, group: RigGroup, reading: GroupSeen, at: datetime) -> GroupState:
        """After a reading of the group. A rig that never got an order counts as ordered into the mode it is in."""
        seen, ordered = self.seen.copy(), self.ordered.copy()
        for condition, packed in reading.changed.items():
            seen[list(unpack(packed))] = CONDITIONS[condition] if condition in CONDITIONS else mode_index(group, condition)
        fresh = (ordered == UNKNOWN) & (seen >= 0)
        ordered[fresh] = seen[fresh]
        drawn = np.where(seen >= 0, seen, np.where(seen == WAKING, awake_target(group, ordered), self.last_drawn))
        state = replace(
            self,
            seen=_read_only(seen),
            ordered=_read_only(ordered),
            last_drawn=_read_only(drawn.astype(np.int8)),
            load_mw=reading.load_mw,
            hashrate_ph=reading.hashrate_ph,
            reachable=reading.reachable,
            seen_s=at.timestamp(),
        )
        return state._after_departures(self, sleep_index(group), at.timestamp())

    def _after_departures(self, before: GroupState, sleep: int | None, at_s: float) -> GroupState:
        """Count the rigs that left the mode they were ordered into and had reached; too many departures are quarantine."""
        was_there = (before.seen == self.ordered) & (before.ordered == self.ordered) & np.isfinite(self.ordered_since_s)
        woke = (self.seen == WAKING) & (self.ordered == sleep)
        left = was_there & (((self.seen >= 0) & (self.seen != self.ordered)) | woke)
        forgotten = at_s - self.departed_s > FORGET_DEPARTURES_S
        departures = np.where(left, np.where(forgotten, 0, self.departures) + 1, self.departures).astype(np.int8)
        too_many = left & (departures >= MAX_DEPARTURES)
        return replace(
            self,
            departures=_read_only(np.where(too_many, 0, departures).astype(np.int8)),
            departed_s=_read_only(np.where(left, at_s, self.departed_s)),
            departed=_read_only((self.departed | left) & (self.seen != self.ordered)),
            quarantined_until_s=_read_only(np.where(too_many, at_s + QUARANTINE_S, self.quarantined_until_s)),
        )

    def in_quarantine(self, at: datetime) -> Flags:
        """Which rigs are in quarantine."""
        found: Flags = self.quarantined_until_s > at.timestamp()
        return found

    def asleep_by_others(self, sleep: int | None) -> Flags:
        """Which rigs sleep without an order of ours: somebody put them to sleep by hand, or they failed."""
        sleeping: Flags = (self.seen == (UNKNOWN if sleep is None else sleep)) & (self.seen >= 0)
        ours = np.isfinite(self.ordered_since_s) & ~(self.departed & (self.ordered != sleep))
        others: Flags = sleeping & ~ours
        return others


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def mode_index(group: RigGroup, name: str) -> int:
    """The position of a mode among the group's. Raises KeyError for a mode the group does not have."""
    for k, mode in enumerate(group.modes):
        if mode.name == name:
            return k
    raise KeyError(f"group {group.name!r} has no mode {name!r}")


def sleep_index(group: RigGroup) -> int | None:
    """The position of the sleep mode, None where the owner allows none."""
    return next((k for k, m in enumerate(group.modes) if m.name == SLEEP), None)


def awake_target(group: RigGroup, ordered: Codes) -> Codes:
    """By rig: the awake mode it goes to if it is waking; the fullest where none was ordered."""
    sleep = sleep_index(group)
    known = (ordered >= 0) & (ordered != (UNKNOWN if sleep is None else sleep))
    found: Codes = np.where(known, ordered, mode_index(group, group.full.name)).astype(np.int8)
    return found
