"""The clocks; no other module reads the time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

LONGEST_SLEEP_S = 3600.0
NOTICED_WITHIN_S = 1.0  # how soon a sleeper notices that the clock was set
STEP_S = 5.0  # a smaller difference between the wall clock and the monotonic clock is drift


class Clock(Protocol):
    """The world's time. `speed` is world seconds per wall second; infinite when time moves only while something waits for it."""

    speed: float

    def now(self) -> datetime: ...

    async def sleep_until(self, at: datetime) -> None: ...

    def stepped(self) -> timedelta:
        """How far the clock was set since the last call, forward positive; zero for a clock that nobody can set."""
        ...


class SystemClock:
    """The machine's own time, read anew at every call: it follows when the clock is set, and after a suspend or a pause of the machine.

    `wall_s` and `monotonic_s` give seconds since the epoch, and seconds of a clock that nobody sets.
    """

    speed = 1.0

    def __init__(self, wall_s: Callable[[], float] = time.time, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._wall_s, self._monotonic_s = wall_s, monotonic_s
        self._offset_s = self._offset()

    def _offset(self) -> float:
        return self._wall_s() - self._monotonic_s()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_s(), UTC)

    async def sleep_until(self, at: datetime) -> None:
        """Returns at `at`, and at once when the clock is set back meanwhile: what was due must be judged anew."""
        began_s = self._offset()
        while (left := (at - self.now()).total_seconds()) > 0 and began_s - self._offset() < STEP_S:
            await asyncio.sleep(min(left, NOTICED_WITHIN_S))

    def stepped(self) -> timedelta:
        """How far the clock was set since the last call, forward positive; zero for drift of a few seconds."""
        step_s = self._offset() - self._offset_s
        self._offset_s += step_s
        return timedelta(seconds=step_s) if abs(step_s) >= STEP_S else timedelta(0)


class WallClock:
    """Simulated time: it runs from `start` (now when None) at `speed` times the wall's pace, on the monotonic clock.

    `zero_s` is the monotonic instant of `start`; processes of one machine that share it share the clock.
    """

    def __init__(self, start: datetime | None = None, speed: float = 1.0, zero_s: float | None = None) -> None:
        self.speed = speed
        self._start = start or datetime.now(UTC)
        self._zero = time.monotonic() if zero_s is None else zero_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._zero) * self.speed)

    async def sleep_until(self, at: datetime) -> None:
        while (left := (at - self.now()).total_seconds() / self.speed) > 0:
            await asyncio.sleep(min(left, LONGEST_SLEEP_S))

    def stepped(self) -> timedelta:
        return timedelta(0)


class HeldClock(WallClock):
    """A wall clock that shows `start` until it is released; the processes of a site share it through `file`.

    Simulated time is held until every process of the site is up, so that the first interval is observed from its beginning.
    """

    def __init__(self, start: datetime, speed: float, file: Path) -> None:
        super().__init__(start, speed, float("inf"))
        self._file = file

    def now(self) -> datetime:
        if self._zero == float("inf") and self._file.exists():
            self._zero = float(self._file.read_text("utf-8"))
        return self._start if self._zero == float("inf") else super().now()

    def release(self) -> None:
        """Let time run from now on in every process that shares the file; does nothing when it runs already."""
        if self.now() == self._start and self._zero == float("inf"):
            unfinished = self._file.with_suffix(".new")
            unfinished.write_text(repr(time.monotonic()), "utf-8")
            unfinished.replace(self._file)


class VirtualClock:
    """Time that moves only when something waits for it; for replay, what-if and tests."""

    speed = float("inf")

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, at: datetime) -> None:
        self._now = max(self._now, at)
        await asyncio.sleep(0)

    def stepped(self) -> timedelta:
        return timedelta(0)


def at_least(clock: Clock, world_s: float, wall_s: float) -> timedelta:
    """Seconds of the world's clock, and where it runs fast at least so many of the wall's: what a network of rigs and meters can keep up
    with."""
    return timedelta(seconds=max(world_s, wall_s * clock.speed) if math.isfinite(clock.speed) else world_s)


def wall_now() -> datetime:
    """Wall-clock time, UTC, for what happens outside the world's time: API keys, log lines."""
    return datetime.now(UTC)


def wall_s() -> float:
    """Seconds of the monotonic clock, for deadlines and durations."""
    return time.monotonic()
