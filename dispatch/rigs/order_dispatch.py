"""An order on its way through a driver: the waves of rigs that are still to be sent it, and the requests that wait for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from dispatch.entries import Order, Result
from dispatch.rigs import Ability, Driver, Readings, Sent
from dispatch.rigs.group_readings import GroupReadings, Ints
from dispatch.rigs.order_progress import RESENDS, OrderProgress
from dispatch.rigs.shed_curve import bucket
from optimizer.domain.site import SLEEP

# A rig has this long to answer one request, wall seconds.
ANSWER_WALL_S = 2.0
# Rigs that missed an answer are read in this many small lots, so that one that hangs holds up few that are only slow.
SLOW_LOTS = 32
# Rigs are not read back before the order has gone out to all of them, unless that takes longer than this; wall seconds.
SENDS_WALL_S = 10.0
# Seconds of the world's clock between the waves of an order that is spread over time.
WAVE_S = 5.0
# Seconds of the world's clock from one read-back to the next: this long at first, slower each time.
READ_BACK_S = 3.0
READ_BACK_SLOWDOWN = 1.5
READ_BACK_MOST_S = 8.0
READ_BACK_LEAST_S = 1.0
FIRST = datetime.min.replace(tzinfo=UTC)


class OrderDispatch:
    """Sends one order through a driver and reads its rigs back. Rigs that hang hold up only their own order.

    last_sent_at    when any rig was last sent the order
    sent_to_all_at  when the last wave went out and its quick rigs had answered
    next_read_at    when its rigs are next read back, and the seconds from there to the time after that
    """

    def __init__(self, order: Order, driver: Driver, readings: GroupReadings, now: Callable[[], datetime]) -> None:
        resends = 0 if Ability.STORED_ORDERS in driver.abilities else RESENDS
        self.progress, self.driver = OrderProgress(order, readings, resends), driver
        self.last_sent_at = self.sent_to_all_at = self.next_read_at = FIRST
        self.pause_s = READ_BACK_S
        self._readings, self._now = readings, now
        self._answered_at: dict[asyncio.Task[Sent], datetime] = {}
        self._sends: list[asyncio.Task[Sent]] = []
        self._quick_sends: set[asyncio.Task[Sent]] = set()
        self._slow_reads: dict[asyncio.Task[Readings], list[int]] = {}
        self._waves: list[tuple[datetime, Ints]] = []
        rigs = self.progress.rigs
        self._first_sent_s = np.full(len(rigs), np.nan)
        self._there_after_s = np.full(len(rigs), np.nan)
        self._slept = readings.asleep(rigs)

    def start(self, at: datetime, wave_s: float) -> None:
        """Schedule the order to its rigs from `at` on: evenly over its `spread_s`, in waves at least `wave_s` apart."""
        spread_s, rigs = self.progress.order.spread_s, self.progress.rigs
        waves = max(1, min(len(rigs), int(spread_s // wave_s)))
        step_s = spread_s / waves
        self._waves = [(at + timedelta(seconds=k * step_s), lot) for k, lot in enumerate(np.array_split(rigs, waves))]
        self.last_sent_at = self.sent_to_all_at = self.next_read_at = at

    def read_later(self, now: datetime, least: timedelta) -> None:
        """Its rigs were read: the next time is later, and later every time, but not later than when a rig should show the order."""
        due_s = max(self.progress.shows_after(now.timestamp()) - now.timestamp(), READ_BACK_LEAST_S)
        self.next_read_at = now + max(timedelta(seconds=min(self.pause_s, due_s)), least)
        self.pause_s = min(self.pause_s * READ_BACK_SLOWDOWN, READ_BACK_MOST_S)

    @property
    def next_wave_at(self) -> datetime | None:
        """When the next wave is due; None after the last."""
        return self._waves[0][0] if self._waves else None

    def send_due(self, at: datetime) -> None:
        """Send the waves that are due."""
        while self._waves and self._waves[0][0] <= at:
            _, wave = self._waves.pop(0)
            self.sent_to_all_at = at
            quick, slow = (np.intersect1d(lot, wave, assume_unique=True) for lot in self.progress.pending_lots())
            self.send(quick, at, quick=True)
            self.send(slow, at)

    def send(self, rigs: Ints, at: datetime, *, quick: bool = False) -> None:
        """Send the order to rigs, for the first time or again; `quick` for rigs that answered their last request."""
        if len(rigs):
            self.last_sent_at = at
            where = np.searchsorted(self.progress.rigs, rigs)
            self._first_sent_s[where] = np.where(np.isnan(self._first_sent_s[where]), at.timestamp(), self._first_sent_s[where])
            self.progress.order_sent(rigs, at.timestamp())
            task = asyncio.create_task(self.driver.set_mode(rigs.tolist(), self.progress.order.mode, ANSWER_WALL_S))
            task.add_done_callback(lambda done: self._answered_at.setdefault(done, self._now()))
            self._sends.append(task)
            self._quick_sends |= {task} if quick else set()

    def collect_answers(self, at: datetime) -> None:
        """Take in the answers that have arrived."""
        for task in [t for t in self._sends if t.done()]:
            self._sends.remove(task)
            self.progress.answered(task.result(), self._answered_at.pop(task, at).timestamp())
            if task in self._quick_sends:
                self.sent_to_all_at = max(self.sent_to_all_at, at)

    async def quick_answers(self) -> None:
        """Wait for the answers of the quick rigs, SENDS_WALL_S at most: a rig without the order need not be read back."""
        self._quick_sends = {task for task in self._quick_sends if not task.done()}
        if self._quick_sends:
            await asyncio.wait(self._quick_sends, timeout=SENDS_WALL_S)

    def already_sent(self, rigs: Ints) -> Ints:
        """Those of the rigs that have been sent the order."""
        sent: Ints = rigs[~np.isnan(self._first_sent_s[np.searchsorted(self.progress.rigs, rigs)])]
        return sent

    def read(self, readings: Readings) -> None:
        """Take in readings of some of the rigs, and how long each that has shed its load took."""
        self.progress.take(readings)
        where = np.searchsorted(self.progress.rigs, readings.rigs)
        known, draws = np.isfinite(readings.watts), self._readings.draws(readings.watts)
        to_sleep = self.progress.order.mode == SLEEP
        there = known & ((self._readings.nearest(readings.watts) == 0) if to_sleep else draws & self._slept[where])
        new = there & np.isnan(self._there_after_s[where])
        self._there_after_s[where[new]] = (readings.at - self._first_sent_s[where])[new]

    def slow_readings(self, rigs: Ints) -> list[Readings]:
        """The readings that have arrived of rigs that missed an answer; reads those rigs again in the background."""
        done = [task for task in self._slow_reads if task.done()]
        out = [task.result() for task in done]
        for task in done:
            del self._slow_reads[task]
        asked = [r for lot in self._slow_reads.values() for r in lot]
        free = rigs[~np.isin(rigs, asked)]
        for lot in np.array_split(free, min(SLOW_LOTS, len(free))) if len(free) else []:
            self._slow_reads[asyncio.create_task(self.driver.read(lot.tolist(), ANSWER_WALL_S))] = lot.tolist()
        return out

    def result(self) -> Result:
        """The outcome of the order, with how long its rigs took to shed their load or to draw more."""
        took: dict[str, int] = {}
        for seconds in self._there_after_s[np.isfinite(self._there_after_s)].tolist():
            if (bound := bucket(seconds)) is not None:
                took[bound] = took.get(bound, 0) + 1
        found = self.progress.result(ANSWER_WALL_S)
        return replace(found, shed_within_s=took) if self.progress.order.mode == SLEEP else replace(found, rose_within_s=took)

    async def stop(self) -> None:
        """Cancel every request that still waits for an answer."""
        tasks = [*self._sends, *self._slow_reads]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
