"""The only reader of time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The world's time. `speed` is world seconds per wall second; infinite when time only moves as it is waited for."""

    speed: float

    def now(self) -> datetime: ...

    async def sleep_until(self, at: datetime) -> None: ...


class WallClock:
    """World time runs from `start` (now when None) at `speed` times the wall's pace, on the monotonic clock.

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
            await asyncio.sleep(min(left, 3600.0))


class VirtualClock:
    """Time that stands still until somebody waits for it; for replay, what-if and tests."""

    speed = float("inf")

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, at: datetime) -> None:
        self._now = max(self._now, at)
        await asyncio.sleep(0)


def wall_now() -> datetime:
    """The wall's time, for what is not the world's: key creation, log lines."""
    return datetime.now(UTC)


def wall_s() -> float:
    """Monotonic wall seconds, for deadlines and durations."""
    return time.monotonic()
