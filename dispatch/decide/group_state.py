"""A group of rigs as the journal knows it, rig by rig: what was ordered of it, and what readings show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.decide.order_budget import MOST_SAVED, saved
from dispatch.entries import GroupSeen, Order, Result, unpack
from dispatch.rigs import Outcome
from dispatch.rigs.shed_curve import ShedCurve
from dispatch.rigs.wake_profile import WakeProfile
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
    last_drawn           index of the mode the rig was last read to draw; silence does not change it, and a rig that was never read counts
                         as running in full; `drawn_before` the same at its last order
    ordered_since_s      when `ordered` last changed
    last_order_s         when the rig last got any order
    failed_orders        how many orders in a row failed
    departures           how often of late the rig left its ordered mode by itself; `departed_s` when it last did
    departed             whether it left its ordered mode and got no order since
    quarantined_until_s  when its quarantine ends
    awaited              whether it was not read yet since its last order could show
    unsettled            the same as of the last reading, in which these rigs drew `unsettled_mw`
    under_way            whether its last order has no outcome yet
    commands_left        how many commands it might be sent at `last_command_s` (`dispatch.decide.order_budget`)
    shed_curve           how quickly its rigs shed their load, as measured
    wake_profile         how quickly they draw more after an order to wake
    """

    rigs: int
    ordered: Codes
    seen: Codes
    last_drawn: Codes
    drawn_before: Codes
    ordered_since_s: Stamps
    last_order_s: Stamps
    failed_orders: Codes
    departures: Codes
    departed_s: Stamps
    departed: Flags
    quarantined_until_s: Stamps
    awaited: Flags
    unsettled: Flags
    under_way: Flags
    commands_left: Stamps
    last_command_s: Stamps
    shed_curve: ShedCurve = field(default_factory=ShedCurve)
    wake_profile: WakeProfile = field(default_factory=WakeProfile)
    load_mw: float = 0.0
    unsettled_mw: float = 0.0
    hashrate_ph: float = 0.0
    reachable: int = 0

    @classmethod
    def unseen(cls, rigs: int) -> GroupState:
        """A group that was never read or ordered."""
        unknown, never = _read_only(np.full(rigs, UNKNOWN, np.int8)), _read_only(np.full(rigs, -np.inf))
        none, no = _read_only(np.zeros(rigs, np.int8)), _read_only(np.zeros(rigs, np.bool_))
        budget = _read_only(np.full(rigs, MOST_SAVED))
        return cls(rigs, unknown, unknown, unknown, unknown, never, never, none, none, never, no, never, no, no, no, budget, never)

    def after_order(self, order: Order, mode: int, at: datetime) -> GroupState:
        """After an order to some of its rigs to go into a mode, by index."""
        rigs = np.array(unpack(order.rigs), dtype=np.int64)
        ordered, since_s, last_s = self.ordered.copy(), self.ordered_since_s.copy(), self.last_order_s.copy()
        departed, awaited, under_way = self.departed.copy(), self.awaited.copy(), self.under_way.copy()
        drawn_before = self.drawn_before.copy()
        drawn_before[rigs] = self.last_drawn[rigs]
        changed = rigs[ordered[rigs] != mode]
        ordered[changed] = mode
        since_s[changed] = at.timestamp()
        last_s[rigs] = at.timestamp()
        departed[rigs] = False
        awaited[rigs] = under_way[rigs] = True
        return replace(
            self._after_commands(rigs, at.timestamp()),
            ordered=_read_only(ordered),
            ordered_since_s=_read_only(since_s),
            last_order_s=_read_only(last_s),
            departed=_read_only(departed),
            drawn_before=_read_only(drawn_before),
            awaited=_read_only(awaited),
            under_way=_read_only(under_way),
        )

    def _after_commands(self, rigs: NDArray[np.int64], at_s: float) -> GroupState:
        """With one command to each of these rigs taken off its budget."""
        left, command_s = self.commands_left.copy(), self.last_command_s.copy()
        left[rigs] = saved(left[rigs], command_s[rigs], at_s) - 1.0
        command_s[rigs] = at_s
        return replace(self, commands_left=_read_only(left), last_command_s=_read_only(command_s))

    def commands_saved(self, at: datetime) -> Stamps:
        """How many commands each rig may be sent now."""
        return saved(self.commands_left, self.last_command_s, at.timestamp())

    def after_restart(self) -> GroupState:
        """After a start of the process: nobody waits for the orders that were under way, and the next reading shows what they did."""
        no = _read_only(np.zeros(self.rigs, np.bool_))
        return replace(self, awaited=no, under_way=no)

    def after_result(self, order: Order, result: Result, at: datetime) -> GroupState:
        """After the outcome of an order: a rig that failed is chosen after its neighbours, and after MAX_FAILED_ORDERS not at all."""
        failed, until_s, under_way = self.failed_orders.copy(), self.quarantined_until_s.copy(), self.under_way.copy()
        judged = 0
        for outcome, packed in result.rigs_by_outcome.items():
            rigs = np.array(unpack(packed), dtype=np.int64)
            # A rig that moved in part is tried again, after a wait; one that did not move is given up in the end.
            more = np.maximum(failed[rigs], 1) if outcome == Outcome.PARTLY else failed[rigs] + 1
            failed[rigs] = 0 if outcome == Outcome.REACHED else more
            under_way[rigs] = False
            judged += len(rigs)
        given_up = failed >= MAX_FAILED_ORDERS
        failed[given_up] = 1
        until_s[given_up] = at.timestamp() + QUARANTINE_S
        curve = self.shed_curve
        if order.mode == SLEEP and result.shed_within_s:
            curve = curve.after(result.shed_within_s, judged)
        return replace(
            self._after_commands(np.array(unpack(result.resent_rigs), dtype=np.int64), at.timestamp()),
            failed_orders=_read_only(failed),
            quarantined_until_s=_read_only(until_s),
            under_way=_read_only(under_way),
            shed_curve=curve,
            wake_profile=self.wake_profile.after(result.rose_within_s),
        )

    def after_reading(self, group: RigGroup, reading: GroupSeen, at: datetime) -> GroupState:
        """After a reading of the group. A rig that never got an order counts as ordered into the mode it is in."""
        seen, ordered = self.seen.copy(), self.ordered.copy()
        for condition, packed in reading.changed.items():
            seen[list(unpack(packed))] = CONDITIONS[condition] if condition in CONDITIONS else mode_index(group, condition)
        fresh = (ordered == UNKNOWN) & (seen >= 0)
        ordered[fresh] = seen[fresh]
        drawn = np.where(seen >= 0, seen, np.where(seen == WAKING, awake_target(group, ordered), self.last_drawn))
        drawn[(seen == UNREACHABLE) & (drawn == UNKNOWN)] = mode_index(group, group.full.name)
        state = replace(
            self,
            seen=_read_only(seen),
            ordered=_read_only(ordered),
            last_drawn=_read_only(drawn.astype(np.int8)),
            awaited=_read_only(_flags(self.rigs, reading.awaited)),
            load_mw=reading.load_mw,
            unsettled=_read_only(_flags(self.rigs, reading.awaited)),
            unsettled_mw=reading.awaited_mw,
            hashrate_ph=reading.hashrate_ph,
            reachable=reading.reachable,
        )
        # A rig leaves its mode only where a reading shows another one than the last.
        return state._after_departures(self, sleep_index(group), at.timestamp()) if reading.changed else state

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


def _flags(rigs: int, packed: str) -> Flags:
    found = np.zeros(rigs, np.bool_)
    found[list(unpack(packed))] = True
    return found


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
