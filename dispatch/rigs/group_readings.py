"""The newest readings of a group's rigs, and the condition each rig is in by them. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import GroupSeen
from dispatch.rigs import Readings
from optimizer.domain.site import SLEEP, RigGroup

UNREAD, WAKING, UNREACHABLE = -1, -2, -3
# One missed answer is put down to the network; two make a rig unreachable.
MAX_MISSES = 2
# An awake rig under this share of its mode's TH/s is still waking, for at most twice its model's wake time.
FULL_HASHRATE_SHARE = 0.9
# A rig has moved once its watts have changed by this share of the way.
MOVED_SHARE = 0.1
# A rig that hashes more than this share of its lowest mode runs, whatever watts it reports.
HASHING_SHARE = 0.02
# Whether a rig stands still is known for so long after it was read.
READ_LATELY_S = 120.0

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class GroupReadings:
    """The newest readings of one group, arrays of length `rigs`.

    watts, ths  last good reading; NaN before the first
    at_s        when that was, epoch seconds; -inf before the first
    misses      answers missed in a row
    """

    def __init__(self, group: RigGroup) -> None:
        self.group = group
        self.watts = np.full(group.rigs, np.nan)
        self.ths = np.full(group.rigs, np.nan)
        self.at_s = np.full(group.rigs, -np.inf)
        self.misses = np.zeros(group.rigs, np.int64)
        self._woke_s = np.full(group.rigs, -np.inf)
        self._ordered_awake_s = np.full(group.rigs, -np.inf)
        self._reported = np.full(group.rigs, UNREAD, np.int64)
        self.mode_watts = np.array([m.watts for m in group.modes])
        self._mode_ths = np.array([m.ths for m in group.modes])
        self._between = (self.mode_watts[1:] + self.mode_watts[:-1]) / 2.0
        self._asleep = next((k for k, m in enumerate(group.modes) if m.name == SLEEP), None)
        self._wake_s = max(120.0, 2.0 * 60.0 * group.wake_min)

    def add(self, readings: Readings) -> None:
        """Take in new readings; ones older than those known are dropped."""
        answered = np.isfinite(readings.watts) & np.isfinite(readings.ths)
        self.misses[readings.rigs[~answered]] += 1
        answered &= readings.at >= self.at_s[readings.rigs]
        rigs = readings.rigs[answered]
        first, was = ~np.isfinite(self.at_s[rigs]), self.nearest(self.watts[rigs])
        self.watts[rigs], self.ths[rigs], self.at_s[rigs] = readings.watts[answered], readings.ths[answered], readings.at[answered]
        self.misses[rigs] = 0
        woke = (self.nearest(self.watts[rigs]) != self._asleep) & (first | (was == self._asleep))
        self._woke_s[rigs[woke]] = self.at_s[rigs[woke]]

    def order_sent(self, rigs: Ints, mode: str, at_s: float) -> None:
        """An order into a mode went out to rigs: those that are to wake count as waking as soon as they draw more than asleep."""
        self._ordered_awake_s[rigs] = -np.inf if mode == SLEEP else at_s

    def nearest(self, watts: Floats) -> Ints:
        """The position of the mode whose watts are nearest, shape of `watts`."""
        return np.searchsorted(self._between, np.nan_to_num(watts)).astype(np.int64)

    def conditions(self, at_s: float) -> Ints:
        """The condition of every rig: the position of a mode, or UNREAD, WAKING, UNREACHABLE."""
        code = self.nearest(self.watts)
        short = self.ths < FULL_HASHRATE_SHARE * self._mode_ths[code]
        code = np.where((code != self._asleep) & short & (at_s < self._woke_s + self._wake_s), WAKING, code)
        if self._asleep is not None:
            least_w = self.mode_watts[self._asleep] + MOVED_SHARE * (self._lowest_awake_w() - self.mode_watts[self._asleep])
            code = np.where((code == self._asleep) & (self.watts > least_w) & (at_s < self._ordered_awake_s + 120.0), WAKING, code)
        return np.where((self.misses >= MAX_MISSES) | ~np.isfinite(self.at_s), UNREACHABLE, code)

    def runs(self, at_s: float) -> bool | None:
        """Whether any rig draws more than asleep or hashes; None when that is not known of one: it is unread, silent, was last read long
        ago, or was ordered to wake so lately that it may be starting."""
        code = self.conditions(at_s)
        lowest_ths = min((t for m, t in zip(self.group.modes, self._mode_ths, strict=True) if m.name != SLEEP), default=0.0)
        hashes = np.nan_to_num(self.ths) > HASHING_SHARE * lowest_ths
        if (((code >= 0) & (code != self._asleep)) | (code == WAKING) | hashes).any():
            return True
        unknown = (code == UNREACHABLE) | (at_s - self.at_s > READ_LATELY_S) | (at_s < self._ordered_awake_s + self._wake_s)
        return None if unknown.any() else False

    def _lowest_awake_w(self) -> float:
        return float(min((m.watts for m in self.group.modes if m.name != SLEEP), default=0.0))

    def snapshot(self, at_s: float) -> GroupSeen:
        """The group's totals, with the rigs whose condition changed since the snapshot before.

        A rig that does not answer counts with its last reading: silence is no shed load.
        """
        code = self.conditions(at_s)
        changed = np.flatnonzero(code != self._reported)
        self._reported = code
        by = {self._name(int(c)): ranges(changed[code[changed] == c]) for c in np.unique(code[changed])}
        return GroupSeen(
            rigs=self.group.rigs,
            reachable=int((code != UNREACHABLE).sum()),
            load_mw=round(float(np.nansum(self.watts)) / 1e6, 9),
            hashrate_ph=round(float(np.nansum(self.ths)) / 1e3, 9),
            changed=by,
        )

    def _name(self, code: int) -> str:
        return {WAKING: "waking", UNREACHABLE: "unreachable"}.get(code) or self.group.modes[code].name


def ranges(rigs: Ints) -> str:
    """`dispatch.entries.pack` of an array of ascending positions, vectorised."""
    if not len(rigs):
        return ""
    cuts = np.flatnonzero(np.diff(rigs) != 1)
    firsts, lasts = rigs[[0, *(cuts + 1)]].tolist(), rigs[[*cuts, -1]].tolist()
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(firsts, lasts, strict=True))
