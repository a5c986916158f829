"""The clock of a simulated run: time moves only while something waits, what is due happens on the way, and the clock that the service sees
can be set."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from dispatch.clock import STEP_S

SAME_S = 1e-4  # instants that are closer are the same: datetimes are whole microseconds


class SimulatedClock:
    """Implements `dispatch.clock.Clock`. `run_s` are the seconds since the run began, which nobody can set: rigs and
    meters live by them."""

    speed = float("inf")

    def __init__(self, start: datetime) -> None:
        self.start, self.run_s = start, 0.0
        self._offset_s = self._unsaid_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._events = 0
        self._interrupted = False

    def now(self) -> datetime:
        """What the service reads."""
        return self.start + timedelta(seconds=self.run_s + self._offset_s)

    def monotonic_s(self) -> float:
        """Seconds of a clock that nobody sets."""
        return self.run_s

    def true_now(self) -> datetime:
        """The time that a clock nobody sets would show."""
        return self.start + timedelta(seconds=self.run_s)

    def stepped(self) -> timedelta:
        """How far the clock was set since the last call."""
        step_s, self._unsaid_s = self._unsaid_s, 0.0
        return timedelta(seconds=step_s) if abs(step_s) >= STEP_S else timedelta(0)

    def set_by(self, step_s: float) -> None:
        """Set what the service reads forward or back."""
        self._offset_s += step_s
        self._unsaid_s += step_s

    def at(self, run_s: float, event: Callable[[], None]) -> None:
        """Have something happen at an instant of the run; at once when that is over."""
        self._events += 1
        heapq.heappush(self._due, (max(run_s, self.run_s), self._events, event))

    def next_event(self) -> datetime | None:
        """When the next event happens, by the clock that the service reads."""
        return self.start + timedelta(seconds=self._due[0][0] + self._offset_s) if self._due else None

    def interrupt(self) -> None:
        """Something urgent came: whoever sleeps wakes."""
        self._interrupted = True

    async def sleep_until(self, at: datetime) -> None:
        """Time passes up to `at`; returns at once when the clock is set back meanwhile, or something urgent comes."""
        before_s, self._interrupted = self._offset_s, False
        while (left_s := (at - self.now()).total_seconds()) > 0 and before_s - self._offset_s < STEP_S and not self._interrupted:
            if not self._happen(self.run_s + left_s):
                self.run_s += left_s
        await asyncio.sleep(0)

    def pass_until(self, run_s: float) -> None:
        """Time passes while no process runs."""
        while self._happen(run_s):
            pass
        self.run_s = max(self.run_s, run_s)

    def _happen(self, until_s: float) -> bool:
        """Let the next event happen when it is due by `until_s`; whether one did."""
        if not self._due or self._due[0][0] > until_s + SAME_S:
            return False
        at_s, _, event = heapq.heappop(self._due)
        self.run_s = max(self.run_s, at_s)
        event()
        return True
