"""An order under way: its errand, its driver, the waves that are still to be told and the questions that are in the air."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import numpy as np

from dispatch.entries import Result
from dispatch.rigs import Driver, Readings, Sent
from dispatch.rigs.group_readings import GroupReadings, Ints
from dispatch.rigs.order_progress import OrderProgress
from dispatch.rigs.shed_curve import bucket
from optimizer.domain.site import SLEEP

# A rig has this long to answer one question, wall seconds from when it was asked.
ANSWER_WALL_S = 2.0
# Rigs that missed an answer are asked in this many small lots, so that one that hangs holds up few that are only slow.
SLOW_LOTS = 32
# An order is not read back before it went out to all, unless that takes longer; wall seconds.
SENDS_WALL_S = 10.0
# World seconds between the waves of an order that is told over time.
WAVE_S = 5.0


class Sending:
    """An errand with its driver. A rig that hangs holds up only its own."""

    def __init__(self, errand: OrderProgress, driver: Driver, look: GroupReadings) -> None:
        self.errand, self.driver = errand, driver
        self.last_sent = self.out_at = datetime.min
        self._look = look
        self._sends: list[asyncio.Task[Sent]] = []
        self._quick: set[asyncio.Task[Sent]] = set()
        self._slow: dict[asyncio.Task[Readings], list[int]] = {}
        self._waves: list[tuple[datetime, Ints]] = []
        self._first_s = np.full(len(errand.rigs), np.nan)
        self._took_s = np.full(len(errand.rigs), np.nan)

    def start(self, at: datetime, wave_s: float) -> None:
        """Tell the first rigs, and say when the others will be told: evenly over the order's `over_s`, in waves `wave_s` apart at least."""
        over_s, rigs = self.errand.order.over_s, self.errand.rigs
        waves = max(1, min(len(rigs), int(over_s // wave_s)))
        step_s = over_s / waves
        self._waves = [(at + timedelta(seconds=k * step_s), lot) for k, lot in enumerate(np.array_split(rigs, waves))]
        self.tell(at)

    @property
    def next_wave(self) -> datetime | None:
        return self._waves[0][0] if self._waves else None

    def tell(self, at: datetime) -> None:
        """Send the waves that are due."""
        while self._waves and self._waves[0][0] <= at:
            _, wave = self._waves.pop(0)
            self.out_at = at
            quick, slow = (np.intersect1d(lot, wave, assume_unique=True) for lot in self.errand.lots())
            self.send_again(quick, at, quick=True)
            self.send_again(slow, at)

    def call_off(self) -> None:
        """Tell nobody any more."""
        self._waves = []

    def send_again(self, rigs: Ints, at: datetime, *, quick: bool = False) -> None:
        if len(rigs):
            self.last_sent = at
            where = np.searchsorted(self.errand.rigs, rigs)
            self._first_s[where] = np.where(np.isnan(self._first_s[where]), at.timestamp(), self._first_s[where])
            self.errand.sending(rigs, at.timestamp())
            task = asyncio.create_task(self.driver.set_mode(rigs.tolist(), self.errand.order.mode, ANSWER_WALL_S))
            self._sends.append(task)
            self._quick |= {task} if quick else set()

    def collect(self, at: datetime) -> None:
        """Take the answers that are there. An order is out when the last wave was told and answered."""
        for task in [t for t in self._sends if t.done()]:
            self._sends.remove(task)
            self.errand.heard(task.result(), at.timestamp())
            if task in self._quick:
                self.out_at = max(self.out_at, at)

    async def answered(self) -> None:
        """Returns when the rigs that do answer have, after a while at the latest: whoever was not told yet need not be read."""
        waits = {task for task in self._quick if not task.done()}
        if waits:
            await asyncio.wait(waits, timeout=SENDS_WALL_S)

    def told(self, rigs: Ints) -> Ints:
        """Those of the rigs that were sent the order."""
        sent: Ints = rigs[~np.isnan(self._first_s[np.searchsorted(self.errand.rigs, rigs)])]
        return sent

    def read(self, readings: Readings) -> None:
        """A look at some of the rigs; how long each that has shed its load took for it."""
        self.errand.read(readings)
        if self.errand.order.mode == SLEEP:
            where = np.searchsorted(self.errand.rigs, readings.rigs)
            shed = np.isfinite(readings.watts) & (self._look.nearest(readings.watts) == 0) & np.isnan(self._took_s[where])
            self._took_s[where[shed]] = (readings.at - self._first_s[where])[shed]

    def slow_readings(self, rigs: Ints) -> list[Readings]:
        """What came of the last questions to rigs that missed an answer; ask them again, beside the others."""
        done = [task for task in self._slow if task.done()]
        out = [task.result() for task in done]
        for task in done:
            del self._slow[task]
        asked = [r for lot in self._slow.values() for r in lot]
        free = rigs[~np.isin(rigs, asked)]
        for lot in np.array_split(free, min(SLOW_LOTS, len(free))) if len(free) else []:
            self._slow[asyncio.create_task(self.driver.read(lot.tolist(), ANSWER_WALL_S))] = lot.tolist()
        return out

    def result(self) -> Result:
        """What became of the order, with how long its rigs took to shed."""
        took: dict[str, int] = {}
        for seconds in self._took_s[np.isfinite(self._took_s)].tolist():
            if (bound := bucket(seconds)) is not None:
                took[bound] = took.get(bound, 0) + 1
        found = self.errand.result(ANSWER_WALL_S)
        return Result(order=found.order, by=found.by, reasons=found.reasons, resent=found.resent, took_s=took)

    async def stop(self) -> None:
        tasks = [*self._sends, *self._slow]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
