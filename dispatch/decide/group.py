"""A group of rigs as the journal knows it, rig by rig: what was wanted of it, and what it was seen to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import GroupSeen, Order, Result
from dispatch.rigs import Outcome, unpack
from optimizer.site import SLEEP, RigGroup

# Conditions of a rig that are not a mode of its group.
UNKNOWN, WAKING, UNREACHABLE = -1, -2, -3
CONDITIONS = {"waking": WAKING, "unreachable": UNREACHABLE}

Codes = NDArray[np.int8]
Stamps = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class GroupState:
    """A group, rig by rig. Arrays of length `rigs`, read-only.

    wanted  index of the mode it was last told to be in, UNKNOWN before the first command or look
    seen    index of the mode its draw says it is in, or UNKNOWN, WAKING, UNREACHABLE
    since   when `wanted` last changed, epoch seconds; -inf when it never did
    tries   how often in a row a command did not take
    looked_s  when it was last looked at, epoch seconds
    """

    rigs: int
    wanted: Codes
    seen: Codes
    since: Stamps
    tries: Codes
    load_mw: float = 0.0
    hashrate_ph: float = 0.0
    reachable: int = 0
    looked_s: float = -np.inf

    @classmethod
    def unseen(cls, rigs: int) -> GroupState:
        blank = np.full(rigs, UNKNOWN, dtype=np.int8)
        return cls(rigs, _sealed(blank), _sealed(blank), _sealed(np.full(rigs, -np.inf)), _sealed(np.zeros(rigs, dtype=np.int8)))

    def told(self, order: Order, mode: int, at: datetime) -> GroupState:
        """After a command: what it wants of its rigs, and since when."""
        rigs = np.array(unpack(order.rigs), dtype=np.int64)
        wanted, since = self.wanted.copy(), self.since.copy()
        changed = rigs[wanted[rigs] != mode]
        wanted[changed] = mode
        since[changed] = at.timestamp()
        return replace(self, wanted=_sealed(wanted), since=_sealed(since))

    def answered(self, result: Result) -> GroupState:
        """After the outcome of an order: a rig that did not obey is tried less eagerly than its neighbours."""
        tries = self.tries.copy()
        for outcome, packed in result.by.items():
            rigs = list(unpack(packed))
            tries[rigs] = 0 if outcome == Outcome.REACHED else np.minimum(tries[rigs] + 1, 100)
        return replace(self, tries=_sealed(tries))

    def looked_at(self, group: RigGroup, look: GroupSeen, at: datetime) -> GroupState:
        """After a look. A rig nobody has commanded yet is taken to be wanted as it is."""
        seen, wanted = self.seen.copy(), self.wanted.copy()
        for condition, packed in look.changed.items():
            seen[list(unpack(packed))] = CONDITIONS[condition] if condition in CONDITIONS else mode_index(group, condition)
        fresh = (wanted == UNKNOWN) & (seen >= 0)
        wanted[fresh] = seen[fresh]
        return replace(
            self,
            seen=_sealed(seen),
            wanted=_sealed(wanted),
            load_mw=look.load_mw,
            hashrate_ph=look.hashrate_ph,
            reachable=look.reachable,
            looked_s=at.timestamp(),
        )


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
