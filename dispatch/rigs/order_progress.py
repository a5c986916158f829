"""One order, rig by rig: which rigs it still waits for, what they answered, and what readings prove. Pure; the controller does the waiting.

What a rig answers is never its outcome. It has reached its mode when a reading taken afterwards agrees; an accepted order had no effect
when readings show that the rig did not move. A rig is sent the order again at most once, after a reading showed that it did not move, and
never where it accepted an order to wake: on some models that restarts the boot.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dispatch.entries import Order, Result, unpack
from dispatch.rigs import Outcome, Readings, Sent
from dispatch.rigs.group_readings import MOVED_SHARE, Floats, GroupReadings, Ints, ranges
from markets import counted
from optimizer.domain.site import SLEEP

UNANSWERED, SENT, REFUSED, UNSUPPORTED, UNREACHABLE = range(5)
RESENDS = 1
# Seconds after its answer by which readings should show that a rig sheds its load: watts fall within seconds.
SHED_S = 12.0
# Seconds after which a rig that did not answer an order to wake, and does not, is sent it again.
UNANSWERED_S = 18.0
# Answers missed in a row after which a rig counts as unreachable.
MAX_MISSED = 3
# Seconds after an accepted order by which a rig that moved should have arrived.
STUCK_S = 45.0


class OrderProgress:
    """The progress of one order. Arrays over the order's rigs, in ascending order."""

    def __init__(self, order: Order, readings: GroupReadings, resends: int = RESENDS) -> None:
        self.order, self._readings, self._resends = order, readings, resends
        # Rising takes as long as the order gives it: the wake profile of the group is in its deadline.
        self._response_s = SHED_S if order.mode == SLEEP else order.deadline_s
        self.rigs: Ints = np.unique(np.array(unpack(order.rigs), np.int64))
        n = len(self.rigs)
        self._target_w = readings.group.mode(order.mode).watts
        before = readings.watts[self.rigs]
        self._before_w: Floats = np.where(np.isfinite(before), before, np.nan)
        self._watts: Floats = np.full(n, np.nan)
        self._answer = np.full(n, UNANSWERED, np.int64)
        self._sends = np.zeros(n, np.int64)
        self._sent_s = np.full(n, np.inf)
        self._read_s = np.full(n, -np.inf)
        self._missed = np.minimum(readings.misses[self.rigs], 1)
        self._final: dict[Outcome, NDArray[np.bool_]] = {o: np.zeros(n, bool) for o in Outcome}
        self._released = np.zeros(n, bool)
        readings.ordered(self.rigs, order.mode, self._response_s)

    @property
    def pending(self) -> NDArray[np.bool_]:
        """Which rigs have no outcome yet."""
        judged: NDArray[np.bool_] = np.logical_or.reduce([*self._final.values(), self._released])
        return ~judged

    def release(self, rigs: Ints) -> None:
        """A later order takes over these rigs: they get no outcome here."""
        self._released |= np.isin(self.rigs, rigs)

    def pending_lots(self) -> list[Ints]:
        """The rigs without an outcome in two lots: those that answer, and those that missed an answer and must not hold up the others."""
        pending = self.pending
        return [self.rigs[pending & (self._missed == 0)], self.rigs[pending & (self._missed > 0)]]

    def order_sent(self, rigs: Ints, at_s: float) -> None:
        """The order is about to be sent to these rigs; `at_s` epoch seconds."""
        at = np.searchsorted(self.rigs, rigs)
        self._sends[at] += 1
        self._sent_s[at] = at_s
        self._answer[at] = UNANSWERED

    def answered(self, sent: Sent, at_s: float) -> None:
        """Rigs answered; their time to respond runs from here. A rig that is sent an order to sleep again has had its time: until it is
        read asleep it counts as running, so that others stop in its place."""
        for code, rigs in ((SENT, sent.sent), (REFUSED, sent.refused), (UNSUPPORTED, sent.unsupported), (UNREACHABLE, sent.unreachable)):
            at = np.searchsorted(self.rigs, np.array(rigs, np.int64))
            self._answer[at] = code
            self._sent_s[at] = at_s
            had_its_time = (self._sends[at] > 1) & (self.order.mode == SLEEP)
            self._readings.order_answered(self.rigs[at[~self._released[at] & ~had_its_time]], at_s)

    def shows_after(self, at_s: float) -> float:
        """When the first of the rigs without an outcome should show the order, epoch seconds after `at_s`; inf where none will."""
        due_s = self._sent_s[self.pending] + self._response_s
        return float(due_s[due_s > at_s].min(initial=np.inf))

    def take(self, readings: Readings) -> None:
        """Readings of some of the rigs, taken after the order went out."""
        at = np.searchsorted(self.rigs, readings.rigs)
        good = np.isfinite(readings.watts)
        self._watts[at[good]] = readings.watts[good]
        self._read_s[at[good]] = readings.at[good]
        self._missed[at] = np.where(good, 0, self._missed[at] + 1)
        # Where there is no reading from before the order, the first one after it stands in for it.
        blank = at[good & ~np.isfinite(self._before_w[at])]
        self._before_w[blank] = self._watts[blank]

    def judge(self, over: bool) -> Ints:
        """Give an outcome to every rig that can have one, to all when `over`. Returns the rigs that must be sent the order again: they were
        read and had not moved."""
        known = np.isfinite(self._watts)
        self._close(Outcome.REACHED, known & self._arrived())
        readable = known & (self._missed == 0)
        self._close(Outcome.REFUSED, (self._answer == REFUSED) & (readable | over))
        self._close(Outcome.UNSUPPORTED, (self._answer == UNSUPPORTED) & (readable | over))
        self._close(Outcome.UNREACHABLE, self._missed >= MAX_MISSED)
        # How long after its answer a rig was read: on a fast clock, reading the whole fleet takes minutes.
        after_s = self._read_s - self._sent_s
        due_to_respond = after_s >= self._response_s
        self._close(Outcome.PARTLY, readable & self._moved() & (after_s >= STUCK_S))
        unanswered = (self._answer == UNREACHABLE) & ((self.order.mode == SLEEP) | (after_s >= UNANSWERED_S))
        due = self.pending & readable & ~self._moved() & (unanswered | ((self._answer == SENT) & due_to_respond))
        spent = due & ((self._sends > self._resends) | ((self._answer == SENT) & (self.order.mode != SLEEP)))
        self._close(Outcome.NO_EFFECT, spent & (self._answer == SENT))
        self._close(Outcome.UNREACHABLE, spent & (self._answer == UNREACHABLE))
        if over:
            self._close_all(due_to_respond)
        again: Ints = self.rigs[due & ~spent & self.pending]
        return again

    def _close_all(self, due_to_respond: NDArray[np.bool_]) -> None:
        known = np.isfinite(self._watts) & (self._missed == 0)
        self._close(Outcome.PARTLY, known & self._moved())
        accepted = known & (self._answer == SENT)
        # A rig that accepted an order to wake moments ago is still waking; the next reading will show.
        self._close(Outcome.REACHED, accepted & ~due_to_respond & (self.order.mode != SLEEP))
        self._close(Outcome.NO_EFFECT, accepted)
        self._close(Outcome.UNREACHABLE, self.pending)

    def _close(self, outcome: Outcome, which: NDArray[np.bool_]) -> None:
        self._final[outcome] |= which & self.pending

    def _distance(self) -> Floats:
        """The share of the way to the target that rigs have come, 0..1 and beyond."""
        distance_w = self._target_w - self._before_w
        far = np.abs(distance_w) > 1.0
        share: Floats = np.where(far, (self._watts - self._before_w) / np.where(far, distance_w, 1.0), 1.0)
        return share

    def _moved(self) -> NDArray[np.bool_]:
        moved: NDArray[np.bool_] = np.isfinite(self._watts) & (self._distance() > MOVED_SHARE)
        return moved

    def _arrived(self) -> NDArray[np.bool_]:
        readings, group = self._readings, self._readings.group
        at_target: NDArray[np.bool_] = readings.nearest(self._watts) == [m.name for m in group.modes].index(self.order.mode)
        if self.order.mode == SLEEP:
            awake_w = min((m.watts for m in group.modes if m.name != SLEEP), default=np.inf)
            shed: NDArray[np.bool_] = at_target & (self._watts < self._target_w + MOVED_SHARE * (awake_w - self._target_w))
            return shed
        # Watts rise within a minute and hashing starts after the wake time: a rig that is read to rise from sleep has obeyed.
        waking: NDArray[np.bool_] = (readings.nearest(self._before_w) == 0) & (self._answer == SENT) & self._moved()
        return at_target | waking

    def result(self, silent_s: float) -> Result:
        """The outcome of every rig, with a reason for each outcome but `reached`."""
        by = {o.value: ranges(self.rigs[which]) for o, which in self._final.items() if which.any()}
        reasons = {
            o.value: self._reason(o, which, silent_s) for o, which in self._final.items() if which.any() and o is not Outcome.REACHED
        }
        again = self._sends > 1
        return Result(
            order=self.order.id, rigs_by_outcome=by, reasons=reasons, resent=int(again.sum()), resent_rigs=ranges(self.rigs[again])
        )

    def _reason(self, outcome: Outcome, which: NDArray[np.bool_], silent_s: float) -> str:
        mean_w = float(np.nanmean(self._watts[which])) if np.isfinite(self._watts[which]).any() else float("nan")
        attempts = int(self._sends[which].max())
        text: Mapping[Outcome, str] = {
            Outcome.PARTLY: f"on average at {mean_w:.0f} W; {self.order.mode} is {self._target_w:.0f} W",
            Outcome.REFUSED: "the rig refused: its settings may not be written",
            Outcome.UNSUPPORTED: f"the driver cannot put these rigs into {self.order.mode}",
            Outcome.UNREACHABLE: f"no answer within {silent_s:.1f} s",
            Outcome.NO_EFFECT: f"accepted the command ({counted(attempts, 'attempt')}) but still draws {mean_w:,.0f} W",
        }
        return text[outcome]
