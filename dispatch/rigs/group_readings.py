"""The newest readings of a group's rigs, and the condition each rig is in by them. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import GroupSeen
from dispatch.rigs import Readings
from optimizer.domain.site import SLEEP, RigGroup

UNREAD, WAKING, UNREACHABLE, NO_MODE = -1, -2, -3, -4
# One missed answer is put down to the network; two make a rig unreachable.
MAX_MISSES = 2
# An awake rig under this share of its mode's TH/s is still waking, for at most twice its model's wake time.
FULL_HASHRATE_SHARE = 0.9
# A hashing rig that reports under this share of the watts its TH/s need does not measure its watts.
LEAST_WATTS_SHARE = 0.5
# The TH/s that a rig reports are an average: for this long after an order to sleep they may be those of the time before.
AVERAGED_S = 180.0
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

    A rig that hashes while it reports next to no watts counts with the catalogue's watts of its TH/s.
    """

    def __init__(self, group: RigGroup) -> None:
        self.group = group
        self.watts = np.full(group.rigs, np.nan)
        self.ths = np.full(group.rigs, np.nan)
        self.at_s = np.full(group.rigs, -np.inf)
        self.misses = np.zeros(group.rigs, np.int64)
        self._woke_s = np.full(group.rigs, -np.inf)
        self._ordered_mode = np.full(group.rigs, UNREAD, np.int64)
        self._ordered_s = np.full(group.rigs, -np.inf)
        self._response_s = np.zeros(group.rigs)
        self._shown = np.ones(group.rigs, bool)
        self._ordered_asleep = np.zeros(group.rigs, bool)
        self._reported_departed = np.zeros(group.rigs, bool)
        self._reported_awaited = np.zeros(group.rigs, bool)
        self._reports_no_watts = np.zeros(group.rigs, bool)
        self._reported = np.full(group.rigs, UNREAD, np.int64)
        self.mode_watts = np.array([m.watts for m in group.modes])
        self._mode_ths = np.array([m.ths for m in group.modes])
        self._between = (self.mode_watts[1:] + self.mode_watts[:-1]) / 2.0
        # The position of the sleep mode; of no mode where the owner allows none.
        self._asleep = next((k for k, m in enumerate(group.modes) if m.name == SLEEP), NO_MODE)
        self._lowest_awake = min((k for k, m in enumerate(group.modes) if m.name != SLEEP), default=0)
        asleep_w = 0.0 if self._asleep == NO_MODE else group.modes[self._asleep].watts
        self._most_asleep_w = asleep_w + MOVED_SHARE * (group.modes[self._lowest_awake].watts - asleep_w)
        hashing = sorted((m.ths, m.watts) for m in group.modes if m.name != SLEEP)
        self._hashing_ths, self._hashing_watts = np.array([(0.0, 0.0), *hashing]).T
        self._wake_s = max(120.0, 2.0 * 60.0 * group.wake_min)

    def with_known_watts(self, readings: Readings) -> Readings:
        """The readings, with the catalogue's watts for rigs that hash and do not measure what they draw."""
        rigs, needed_w = readings.rigs, np.interp(readings.ths, self._hashing_ths, self._hashing_watts)
        answered = np.isfinite(readings.watts) & np.isfinite(readings.ths)
        hashes = answered & (readings.ths > MOVED_SHARE * self._hashing_ths[1])
        too_few = hashes & (readings.watts < LEAST_WATTS_SHARE * needed_w)
        to_sleep = self._ordered_mode[rigs] == self._asleep
        settled = ~to_sleep | (readings.at >= self._ordered_s[rigs] + AVERAGED_S)
        unmeasured = np.where(hashes & ~too_few, False, self._reports_no_watts[rigs] | (too_few & settled))
        self._reports_no_watts[rigs] = unmeasured
        return replace(readings, watts=np.where(unmeasured & hashes, needed_w, readings.watts))

    def add(self, readings: Readings) -> None:
        """Take in new readings; ones older than those known are dropped."""
        answered = np.isfinite(readings.watts) & np.isfinite(readings.ths)
        self.misses[readings.rigs[~answered]] += 1
        answered &= readings.at >= self.at_s[readings.rigs]
        rigs = readings.rigs[answered]
        woke = ~np.isfinite(self.at_s[rigs]) | self.asleep(rigs)
        self.watts[rigs], self.ths[rigs], self.at_s[rigs] = readings.watts[answered], readings.ths[answered], readings.at[answered]
        self.misses[rigs] = 0
        woke &= ~self.asleep(rigs)
        self._woke_s[rigs[woke]] = self.at_s[rigs[woke]]
        later = self.at_s[rigs] >= self._ordered_s[rigs]
        self._shown[rigs] |= later & self._shows_order(rigs)

    def ordered(self, rigs: Ints, mode: str, response_s: float) -> None:
        """Rigs are about to be sent an order, which readings should show `response_s` after they answered it."""
        self._ordered_mode[rigs] = [m.name for m in self.group.modes].index(mode)
        self._ordered_s[rigs], self._response_s[rigs], self._shown[rigs] = np.inf, response_s, False
        self._ordered_asleep[rigs] = self.asleep(rigs)

    def order_answered(self, rigs: Ints, at_s: float) -> None:
        """Rigs answered an order, or did not in time: their time to respond runs from here."""
        self._ordered_s[rigs] = at_s

    def _shows_order(self, rigs: Ints) -> NDArray[np.bool_]:
        """Whether the newest reading of rigs agrees with their last order; one to wake is shown by watts over those of sleep."""
        ordered, watts = self._ordered_mode[rigs], self.watts[rigs]
        awake = np.where(self._ordered_asleep[rigs], self.draws(watts), self.nearest(watts) == ordered)
        shows: NDArray[np.bool_] = np.where(ordered == self._asleep, ~self.draws(watts), awake)
        return shows

    def draws(self, watts: Floats) -> NDArray[np.bool_]:
        """Whether watts are more than those of sleep, shape of `watts`."""
        found: NDArray[np.bool_] = watts > self._most_asleep_w
        return found

    def asleep(self, rigs: Ints | slice) -> NDArray[np.bool_]:
        """Whether rigs were last read asleep. One that draws more than that sleeps only where it was ordered to and never drew less since:
        then it obeyed in part."""
        near = self.nearest(self.watts[rigs]) == self._asleep
        in_part = (self._ordered_mode[rigs] == self._asleep) & ~self._shown[rigs]
        sleeps: NDArray[np.bool_] = near & (~self.draws(self.watts[rigs]) | in_part)
        return sleeps

    def awaited(self) -> NDArray[np.bool_]:
        """Which rigs were not read yet late enough after their last order to show what it did."""
        late: NDArray[np.bool_] = self.at_s >= self._ordered_s + self._response_s
        return ~self._shown & ~late

    def departed(self) -> NDArray[np.bool_]:
        """Which rigs answer and are awake though ordered to sleep, or asleep though ordered awake. Rigs that were never ordered are judged
        by how they were first read."""
        known = (self.misses < MAX_MISSES) & np.isfinite(self.at_s) & (self._ordered_mode != UNREAD)
        obeys = self.asleep(slice(None)) == (self._ordered_mode == self._asleep)
        departed: NDArray[np.bool_] = known & ~self.awaited() & ~obeys
        return departed

    def has_news(self) -> bool:
        """Whether since the last snapshot a rig departed from its order, or had the time to show it and did not."""
        overdue = self._reported_awaited & ~self.awaited() & ~self._shown
        return bool((overdue | (self.departed() & ~self._reported_departed)).any())

    def nearest(self, watts: Floats) -> Ints:
        """The position of the mode whose watts are nearest, shape of `watts`."""
        return np.searchsorted(self._between, np.fmax(watts, 0.0)).astype(np.int64)

    def conditions(self, at_s: float) -> Ints:
        """The condition of every rig: the position of a mode, or UNREAD, WAKING, UNREACHABLE."""
        near = self.nearest(self.watts)
        code = np.where((near == self._asleep) & ~self.asleep(slice(None)), self._lowest_awake, near)
        short = self.ths < FULL_HASHRATE_SHARE * self._mode_ths[code]
        code = np.where((code != self._asleep) & short & (at_s < self._woke_s + self._wake_s), WAKING, code)
        return np.where((self.misses >= MAX_MISSES) | ~np.isfinite(self.at_s), UNREACHABLE, code)

    def runs(self, at_s: float) -> bool | None:
        """Whether any rig draws more than asleep or hashes; None when that is not known of one: it is unread, silent, was last read long
        ago, or was ordered to wake so lately that it may be starting."""
        code = self.conditions(at_s)
        lowest_ths = min((t for m, t in zip(self.group.modes, self._mode_ths, strict=True) if m.name != SLEEP), default=0.0)
        hashes = np.nan_to_num(self.ths) > HASHING_SHARE * lowest_ths
        if (((code >= 0) & (code != self._asleep)) | (code == WAKING) | hashes).any():
            return True
        starting = (self._ordered_mode != self._asleep) & ((at_s < self._ordered_s + self._wake_s) | self.awaited())
        unknown = (code == UNREACHABLE) | (at_s - self.at_s > READ_LATELY_S) | starting
        return None if unknown.any() else False

    def snapshot(self, at_s: float) -> GroupSeen:
        """The group's totals, with the rigs whose condition changed since the snapshot before.

        A rig that does not answer counts with its last reading, and with its nameplate before the first: silence is no shed load.
        """
        code = self.conditions(at_s)
        first = (self._ordered_mode == UNREAD) & (code >= 0)
        self._ordered_mode[first] = code[first]
        self._reported_departed, self._reported_awaited = self.departed(), self.awaited()
        changed, awaited = np.flatnonzero(code != self._reported), self._reported_awaited
        self._reported = code
        by = {self._name(int(c)): ranges(changed[code[changed] == c]) for c in np.unique(code[changed])}
        drawn_w = self._drawn_w()
        return GroupSeen(
            rigs=self.group.rigs,
            reachable=int((code != UNREACHABLE).sum()),
            load_mw=round(float(drawn_w.sum()) / 1e6, 9),
            hashrate_ph=round(float(np.nansum(self.ths)) / 1e3, 9),
            changed=by,
            awaited=ranges(np.flatnonzero(awaited)),
            awaited_mw=round(float(drawn_w[awaited].sum()) / 1e6, 9),
        )

    def drawn_mw(self) -> tuple[float, float]:
        """What the rigs draw as last read, MW, and how much of that by rigs that did not answer the last request."""
        drawn_w = self._drawn_w()
        return float(drawn_w.sum()) / 1e6, float(drawn_w[(self.misses > 0) | ~np.isfinite(self.at_s)].sum()) / 1e6

    def _drawn_w(self) -> Floats:
        return np.where(np.isfinite(self.watts), self.watts, self.group.full.watts)

    def _name(self, code: int) -> str:
        return {WAKING: "waking", UNREACHABLE: "unreachable"}.get(code) or self.group.modes[code].name


def ranges(rigs: Ints) -> str:
    """`dispatch.entries.pack` of an array of ascending positions, vectorised."""
    if not len(rigs):
        return ""
    cuts = np.flatnonzero(np.diff(rigs) != 1)
    firsts, lasts = rigs[[0, *(cuts + 1)]].tolist(), rigs[[*cuts, -1]].tolist()
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(firsts, lasts, strict=True))
