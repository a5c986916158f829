"""What was last read of a group's rigs, and what condition that puts each of them in. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import GroupSeen
from dispatch.rigs import Readings
from optimizer.domain.site import SLEEP, RigGroup

UNREAD, WAKING, UNREACHABLE = -1, -2, -3
# One missed answer is the network; two are the rig.
MISSES = 2
# Under this share of its mode's TH/s an awake rig is still on its way up, for at most twice its model's wake time.
WHOLE_HASH = 0.9
MOVED = 0.1

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
        self._up_s = np.full(group.rigs, -np.inf)
        self._ordered_up_s = np.full(group.rigs, -np.inf)
        self._told = np.full(group.rigs, UNREAD, np.int64)
        self.mode_watts = np.array([m.watts for m in group.modes])
        self._mode_ths = np.array([m.ths for m in group.modes])
        self._between = (self.mode_watts[1:] + self.mode_watts[:-1]) / 2.0
        self._asleep = next((k for k, m in enumerate(group.modes) if m.name == SLEEP), None)
        self._wake_s = max(120.0, 2.0 * 60.0 * group.wake_min)

    def take(self, readings: Readings) -> None:
        """A look came back. Readings older than what is known are not taken."""
        heard = np.isfinite(readings.watts) & np.isfinite(readings.ths)
        self.misses[readings.rigs[~heard]] += 1
        heard &= readings.at >= self.at_s[readings.rigs]
        rigs = readings.rigs[heard]
        first, was = ~np.isfinite(self.at_s[rigs]), self.nearest(self.watts[rigs])
        self.watts[rigs], self.ths[rigs], self.at_s[rigs] = readings.watts[heard], readings.ths[heard], readings.at[heard]
        self.misses[rigs] = 0
        woke = (self.nearest(self.watts[rigs]) != self._asleep) & (first | (was == self._asleep))
        self._up_s[rigs[woke]] = self.at_s[rigs[woke]]

    def ordered(self, rigs: Ints, mode: str, at_s: float) -> None:
        """An order went out: rigs that are to wake are waking as soon as they draw more than asleep."""
        self._ordered_up_s[rigs] = -np.inf if mode == SLEEP else at_s

    def nearest(self, watts: Floats) -> Ints:
        """The position of the mode whose watts are nearest, shape of `watts`."""
        return np.searchsorted(self._between, np.nan_to_num(watts)).astype(np.int64)

    def conditions(self, at_s: float) -> Ints:
        """The condition of every rig: the position of a mode, or UNREAD, WAKING, UNREACHABLE."""
        code = self.nearest(self.watts)
        short = self.ths < WHOLE_HASH * self._mode_ths[code]
        code = np.where((code != self._asleep) & short & (at_s < self._up_s + self._wake_s), WAKING, code)
        if self._asleep is not None:
            least_w = self.mode_watts[self._asleep] + MOVED * (self._lowest_awake_w() - self.mode_watts[self._asleep])
            code = np.where((code == self._asleep) & (self.watts > least_w) & (at_s < self._ordered_up_s + 120.0), WAKING, code)
        return np.where((self.misses >= MISSES) | ~np.isfinite(self.at_s), UNREACHABLE, code)

    def _lowest_awake_w(self) -> float:
        return float(min((m.watts for m in self.group.modes if m.name != SLEEP), default=0.0))

    def seen(self, at_s: float) -> GroupSeen:
        """The roll-up of a snapshot, with the rigs whose condition changed since the one before.

        A rig that does not answer counts with its last reading: silence is no shed load.
        """
        code = self.conditions(at_s)
        changed = np.flatnonzero(code != self._told)
        self._told = code
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
