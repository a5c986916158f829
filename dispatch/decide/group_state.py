"""A group of rigs as the journal knows it, rig by rig: what was wanted of it, and what it was seen to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import GroupSeen, Order, Result, unpack
from dispatch.rigs import Outcome
from dispatch.rigs.shed_curve import Curve
from optimizer.domain.site import SLEEP, RigGroup

# Conditions of a rig that are not a mode of its group.
UNKNOWN, WAKING, UNREACHABLE = -1, -2, -3
CONDITIONS = {"waking": WAKING, "unreachable": UNREACHABLE}

# Orders in a row that did not take, or times a rig left the mode it was told, after which it is let alone for a while.
TRIES_MOST, FLIPS_MOST = 3, 3
QUARANTINE_S = 3600.0
# A rig that stayed where it was told for so long has a clean sheet.
FORGIVEN_S = 2 * 3600.0

Codes = NDArray[np.int8]
Stamps = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GroupState:
    """A group, rig by rig. Arrays of length `rigs`, read-only; instants are epoch seconds.

    wanted    index of the mode it was last told to be in, UNKNOWN before the first command or look
    seen      index of the mode its draw says it is in, or UNKNOWN, WAKING, UNREACHABLE
    drew      index of the mode it was last seen to draw, which silence does not change; UNKNOWN before the first look
    since     when `wanted` last changed; -inf when it never did
    told_s    when it was last told anything; -inf when it never was
    tries     how often in a row a command did not take
    flips     how often of late it left by itself the mode it was told; `flip_s` when it last did
    strayed   it left the mode it was told and was not told again since
    barred_s  until when it is in quarantine; -inf when it is not
    curve     how quickly its rigs shed their load, as measured
    looked_s  when the group was last looked at
    """

    rigs: int
    wanted: Codes
    seen: Codes
    drew: Codes
    since: Stamps
    told_s: Stamps
    tries: Codes
    flips: Codes
    flip_s: Stamps
    strayed: Flags
    barred_s: Stamps
    curve: Curve = field(default_factory=Curve)
    load_mw: float = 0.0
    hashrate_ph: float = 0.0
    reachable: int = 0
    looked_s: float = -np.inf

    @classmethod
    def unseen(cls, rigs: int) -> GroupState:
        blank, never, none = _sealed(np.full(rigs, UNKNOWN, np.int8)), _sealed(np.full(rigs, -np.inf)), _sealed(np.zeros(rigs, np.int8))
        return cls(rigs, blank, blank, blank, never, never, none, none, never, _sealed(np.zeros(rigs, np.bool_)), never)

    def told(self, order: Order, mode: int, at: datetime) -> GroupState:
        """After a command: what it wants of its rigs, and since when."""
        rigs = np.array(unpack(order.rigs), dtype=np.int64)
        wanted, since, told_s, strayed = self.wanted.copy(), self.since.copy(), self.told_s.copy(), self.strayed.copy()
        changed = rigs[wanted[rigs] != mode]
        wanted[changed] = mode
        since[changed] = at.timestamp()
        told_s[rigs] = at.timestamp()
        strayed[rigs] = False
        return replace(self, wanted=_sealed(wanted), since=_sealed(since), told_s=_sealed(told_s), strayed=_sealed(strayed))

    def answered(self, order: Order, result: Result, at: datetime) -> GroupState:
        """After the outcome of an order: a rig that did not obey is tried less eagerly than its neighbours, and in the end not at all."""
        tries, barred_s = self.tries.copy(), self.barred_s.copy()
        for outcome, packed in result.by.items():
            rigs = np.array(unpack(packed), dtype=np.int64)
            # A rig that moved and has not arrived may only have been cut short.
            more = np.maximum(tries[rigs], 1) if outcome == Outcome.PARTLY else tries[rigs] + 1
            tries[rigs] = 0 if outcome == Outcome.REACHED else more
        spent = tries >= TRIES_MOST
        tries[spent] = 1
        barred_s[spent] = at.timestamp() + QUARANTINE_S
        curve = self.curve.after(result.took_s, len(unpack(order.rigs))) if order.mode == SLEEP and result.took_s else self.curve
        return replace(self, tries=_sealed(tries), barred_s=_sealed(barred_s), curve=curve)

    def looked_at(self, group: RigGroup, look: GroupSeen, at: datetime) -> GroupState:
        """After a look. A rig nobody has commanded yet is taken to be wanted as it is."""
        seen, wanted = self.seen.copy(), self.wanted.copy()
        for condition, packed in look.changed.items():
            seen[list(unpack(packed))] = CONDITIONS[condition] if condition in CONDITIONS else mode_index(group, condition)
        fresh = (wanted == UNKNOWN) & (seen >= 0)
        wanted[fresh] = seen[fresh]
        state = replace(
            self,
            seen=_sealed(seen),
            wanted=_sealed(wanted),
            drew=_sealed(np.where(seen >= 0, seen, np.where(seen == WAKING, heading(group, wanted), self.drew)).astype(np.int8)),
            load_mw=look.load_mw,
            hashrate_ph=look.hashrate_ph,
            reachable=look.reachable,
            looked_s=at.timestamp(),
        )
        return state._strays(self, asleep(group), at.timestamp())

    def _strays(self, before: GroupState, sleep: int | None, at_s: float) -> GroupState:
        """Who left the mode it was told and had reached: each time counts, and too many times are quarantine."""
        was_there = (before.seen == self.wanted) & (before.wanted == self.wanted) & np.isfinite(self.since)
        woke = (self.seen == WAKING) & (self.wanted == sleep)
        left = was_there & (((self.seen >= 0) & (self.seen != self.wanted)) | woke)
        forgiven = at_s - self.flip_s > FORGIVEN_S
        flips = np.where(left, np.where(forgiven, 0, self.flips) + 1, self.flips).astype(np.int8)
        spent = left & (flips >= FLIPS_MOST)
        return replace(
            self,
            flips=_sealed(np.where(spent, 0, flips).astype(np.int8)),
            flip_s=_sealed(np.where(left, at_s, self.flip_s)),
            strayed=_sealed((self.strayed | left) & (self.seen != self.wanted)),
            barred_s=_sealed(np.where(spent, at_s + QUARANTINE_S, self.barred_s)),
        )

    def barred(self, at: datetime) -> Flags:
        """Which rigs are in quarantine."""
        found: Flags = self.barred_s > at.timestamp()
        return found

    def not_ours(self, sleep: int | None) -> Flags:
        """Which rigs sleep without having been told to by us: somebody else's hand, or a rig that fell over."""
        asleep_: Flags = (self.seen == (UNKNOWN if sleep is None else sleep)) & (self.seen >= 0)
        ours = np.isfinite(self.since) & ~(self.strayed & (self.wanted != sleep))
        strangers: Flags = asleep_ & ~ours
        return strangers


def _sealed(array: Any) -> Any:
    array.flags.writeable = False
    return array


def mode_index(group: RigGroup, name: str) -> int:
    for k, mode in enumerate(group.modes):
        if mode.name == name:
            return k
    raise KeyError(f"group {group.name!r} has no mode {name!r}")


def asleep(group: RigGroup) -> int | None:
    """The index of the sleep mode, None where the owner allows none."""
    return next((k for k, m in enumerate(group.modes) if m.name == SLEEP), None)


def heading(group: RigGroup, wanted: Codes) -> Codes:
    """By rig: the awake mode it goes to if it is waking, the fullest where it was not told one."""
    sleep = asleep(group)
    told = (wanted >= 0) & (wanted != (UNKNOWN if sleep is None else sleep))
    found: Codes = np.where(told, wanted, mode_index(group, group.full.name)).astype(np.int8)
    return found
