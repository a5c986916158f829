"""One order on its way: which rigs it still waits for, what they said, and what a reading proves. Pure; the crew does the waiting.

What a rig said is never what it did. It has reached its mode when a reading taken afterwards agrees; it lies when it said it would and
a reading shows that it did not. A rig is only told again after a reading showed that it did not move.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import Order, Result, unpack
from dispatch.rigs import Outcome, Readings, Sent
from dispatch.rigs.group_readings import MOVED, Floats, GroupReadings, Ints, ranges
from optimizer.domain.site import SLEEP

SILENT, SENT, REFUSED, UNSUPPORTED, LOST = range(5)
RESENDS = 2
# World seconds after which a rig that said yes should be seen to move; watts fall within seconds and rise within a minute.
SHOWS_S = {"down": 12.0, "up": 18.0}
# Answers missed in a row after which a rig is not waited for.
FRUITLESS = 3
# World seconds after which a rig that moved and has not arrived will not.
STUCK_S = 45.0


class OrderProgress:
    """An order, rig by rig; arrays over the order's rigs, in ascending order."""

    def __init__(self, order: Order, look: GroupReadings) -> None:
        self.order, self._look = order, look
        self.rigs: Ints = np.unique(np.array(unpack(order.rigs), np.int64))
        n = len(self.rigs)
        self._target_w = look.group.mode(order.mode).watts
        before = look.watts[self.rigs]
        self._before_w: Floats = np.where(np.isfinite(before), before, np.nan)
        self._watts: Floats = np.full(n, np.nan)
        self._said = np.full(n, SILENT, np.int64)
        self._sends = np.zeros(n, np.int64)
        self._sent_s = np.full(n, np.inf)
        self._read_s = np.full(n, -np.inf)
        self._missed = np.minimum(look.misses[self.rigs], 1)
        self._final: dict[Outcome, NDArray[np.bool_]] = {o: np.zeros(n, bool) for o in Outcome}

    @property
    def waits(self) -> NDArray[np.bool_]:
        """Which rigs are not judged yet."""
        judged: NDArray[np.bool_] = np.logical_or.reduce(list(self._final.values()))
        return ~judged

    def lots(self) -> list[Ints]:
        """The rigs still waited for, in two lots: those that answer, and those that missed an answer and must not hold up the others."""
        waits = self.waits
        return [self.rigs[waits & (self._missed == 0)], self.rigs[waits & (self._missed > 0)]]

    def sending(self, rigs: Ints, at_s: float) -> None:
        """The order is about to go out to these rigs."""
        at = np.searchsorted(self.rigs, rigs)
        self._sends[at] += 1
        self._sent_s[at] = at_s
        self._said[at] = SILENT
        self._look.ordered(rigs, self.order.mode, at_s)

    def heard(self, sent: Sent, at_s: float) -> None:
        """What rigs answered; from now on they have time to show it."""
        for code, rigs in ((SENT, sent.sent), (REFUSED, sent.refused), (UNSUPPORTED, sent.unsupported), (LOST, sent.unreachable)):
            at = np.searchsorted(self.rigs, np.array(rigs, np.int64))
            self._said[at] = code
            self._sent_s[at] = at_s

    def read(self, readings: Readings) -> None:
        """A look at some of the rigs, taken after the order went out."""
        at = np.searchsorted(self.rigs, readings.rigs)
        good = np.isfinite(readings.watts)
        self._watts[at[good]] = readings.watts[good]
        self._read_s[at[good]] = readings.at[good]
        self._missed[at] = np.where(good, 0, self._missed[at] + 1)
        # A look from before the first order is the best there is to compare with when nobody had looked.
        blank = at[good & ~np.isfinite(self._before_w[at])]
        self._before_w[blank] = self._watts[blank]

    def cut_short(self) -> None:
        """Something urgent came: what is not judged by now counts as on its way, and the next look will tell."""
        self._close(Outcome.PARTLY, self.waits)

    def judge(self, over: bool) -> Ints:
        """Judge what can be judged, all of it when `over`; the rigs the order must be sent to again, having been read and not moved."""
        known = np.isfinite(self._watts)
        self._close(Outcome.REACHED, known & self._arrived())
        still = known & (self._missed == 0)
        self._close(Outcome.REFUSED, (self._said == REFUSED) & (still | over))
        self._close(Outcome.UNSUPPORTED, (self._said == UNSUPPORTED) & (still | over))
        self._close(Outcome.UNREACHABLE, self._missed >= FRUITLESS)
        # How long after the rig's answer it was read: on a fast clock a look round the fleet takes minutes.
        after_s = self._read_s - self._sent_s
        shown = after_s >= SHOWS_S["down" if self.order.mode == SLEEP else "up"]
        self._close(Outcome.PARTLY, still & self._moved() & (after_s >= STUCK_S))
        due = self.waits & still & ~self._moved() & ((self._said == LOST) | ((self._said == SENT) & shown))
        spent = due & (self._sends > RESENDS)
        self._close(Outcome.NO_EFFECT, spent & (self._said == SENT))
        self._close(Outcome.UNREACHABLE, spent & (self._said == LOST))
        if over:
            self._close_all(shown)
        again: Ints = self.rigs[due & ~spent & self.waits]
        return again

    def _close_all(self, shown: NDArray[np.bool_]) -> None:
        heard = np.isfinite(self._watts) & (self._missed == 0)
        self._close(Outcome.PARTLY, heard & self._moved())
        taken = heard & (self._said == SENT)
        # A rig that took the order moments ago is within its wake time; the next look will tell.
        self._close(Outcome.REACHED, taken & ~shown & (self.order.mode != SLEEP))
        self._close(Outcome.NO_EFFECT, taken)
        self._close(Outcome.UNREACHABLE, self.waits)

    def _close(self, outcome: Outcome, which: NDArray[np.bool_]) -> None:
        self._final[outcome] |= which & self.waits

    def _distance(self) -> Floats:
        """How far rigs have come from where they were to the target, 0..1 and beyond."""
        whole = self._target_w - self._before_w
        far = np.abs(whole) > 1.0
        share: Floats = np.where(far, (self._watts - self._before_w) / np.where(far, whole, 1.0), 1.0)
        return share

    def _moved(self) -> NDArray[np.bool_]:
        moved: NDArray[np.bool_] = np.isfinite(self._watts) & (self._distance() > MOVED)
        return moved

    def _arrived(self) -> NDArray[np.bool_]:
        look, group = self._look, self._look.group
        at_target: NDArray[np.bool_] = look.nearest(self._watts) == [m.name for m in group.modes].index(self.order.mode)
        if self.order.mode == SLEEP:
            awake_w = min((m.watts for m in group.modes if m.name != SLEEP), default=np.inf)
            shed: NDArray[np.bool_] = at_target & (self._watts < self._target_w + MOVED * (awake_w - self._target_w))
            return shed
        # Watts come up within a minute and hashing after the wake time: a rig seen to be on its way up from sleep has obeyed.
        waking: NDArray[np.bool_] = (look.nearest(self._before_w) == 0) & (self._said == SENT) & self._moved()
        return at_target | waking

    def result(self, silent_s: float) -> Result:
        """The outcome of every rig, with a reason for each outcome but `reached`."""
        by = {o.value: ranges(self.rigs[which]) for o, which in self._final.items() if which.any()}
        reasons = {
            o.value: self._reason(o, which, silent_s) for o, which in self._final.items() if which.any() and o is not Outcome.REACHED
        }
        return Result(order=self.order.id, by=by, reasons=reasons, resent=int(np.clip(self._sends - 1, 0, None).sum()))

    def _reason(self, outcome: Outcome, which: NDArray[np.bool_], silent_s: float) -> str:
        mean_w = float(np.nanmean(self._watts[which])) if np.isfinite(self._watts[which]).any() else float("nan")
        words: Mapping[Outcome, str] = {
            Outcome.PARTLY: f"on average at {mean_w:.0f} W; {self.order.mode} is {self._target_w:.0f} W",
            Outcome.REFUSED: "the rig says it may not be written to",
            Outcome.UNSUPPORTED: f"the driver cannot put these rigs into {self.order.mode}",
            Outcome.UNREACHABLE: f"no answer within {silent_s:.1f} s",
            Outcome.NO_EFFECT: f"accepted the command ({RESENDS + 1} attempts) but still draws {mean_w:,.0f} W",
        }
        return words[outcome]
