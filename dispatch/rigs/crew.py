"""The crew: sends orders, reads back, judges; and looks at every rig again and again.

Deadlines and periods are in world seconds. When the clock runs fast they shrink with it, but never below what a network of rigs
sustains: an order is given at least 2.5 s of wall time, a read-back 0.15 s, a round of polling 1 s. `notes` says where that binds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispatch.clock import Clock
from dispatch.entries import Commanded, Done, GroupSeen
from dispatch.rigs import Driver, Readings, Sent
from dispatch.rigs.errand import Errand
from dispatch.rigs.looks import Ints, Look
from optimizer.site import SLEEP, Site

ORDER_WALL_S = 2.5
READ_BACK_WALL_S = 0.15
POLL_WALL_S = 1.0
# A rig has this long to answer one question, wall seconds from when it was asked.
ANSWER_WALL_S = 2.0
# A read-back asks for less patience: a rig that misses it is asked again beside the others, so that it holds up nobody.
QUICK_WALL_S = 1.0
# Rigs that missed an answer are asked in this many small lots, so that one that hangs holds up few that are only slow.
SLOW_LOTS = 32
READ_BACK_S = 3.0
READ_BACK_SLOWER = 1.5
READ_BACK_MOST_S = 8.0
# Watts are up this long after a wake; waited for where that costs less than LINGER_WALL_S, so that telemetry holds the whole rise.
RISEN_S = 65.0
LINGER_WALL_S = 0.5


class TelemetrySink(Protocol):
    """Keeps readings; `why` is "poll" or "command". Arrays of one length, NaN where a rig did not answer."""

    def record(
        self, at_s: NDArray[np.float64], group: str, rigs: Ints, watts: NDArray[np.float64], ths: NDArray[np.float64], why: str
    ) -> object: ...


class Crew:
    """Implements `dispatch.world.Hands` over one driver a group."""

    def __init__(self, site: Site, drivers: Mapping[str, Driver], clock: Clock, telemetry: TelemetrySink) -> None:
        missing = [g.name for g in site.groups if g.name not in drivers]
        if missing:
            raise KeyError(f"no driver for {', '.join(missing)}")
        self._site, self._drivers, self._clock, self._telemetry = site, drivers, clock, telemetry
        self._looks = {g.name: Look(g) for g in site.groups}
        self._hurried = asyncio.Event()

    @property
    def readings(self) -> Mapping[str, Look]:
        """The newest look at each group."""
        return self._looks

    @property
    def notes(self) -> tuple[str, ...]:
        """What the pace of the clock costs, in words; empty at the wall's pace."""
        speed = self._clock.speed
        if not np.isfinite(speed) or speed <= 1.0:
            return ()
        return (
            f"time runs {speed:g} times as fast as the wall: orders are given at least {ORDER_WALL_S:g} s of wall time"
            f" ({ORDER_WALL_S * speed:.0f} s here), rigs are polled at most every {POLL_WALL_S:g} s ({POLL_WALL_S * speed:.0f} s here)",
        )

    async def do(self, commanded: Commanded) -> Done:
        """Carry out the orders and read back until each rig is judged or its order's deadline is over. Never raises for a rig."""
        self._hurried.clear()
        errands = [_Sending(Errand(order, self._looks[order.group]), self._drivers[order.group]) for order in commanded.orders]
        try:
            await self._carry_out(errands)
            await self._linger(errands)
        finally:
            await asyncio.gather(*(e.stop() for e in errands))
        return Done(at=self._clock.now(), results=tuple(e.errand.result(ANSWER_WALL_S) for e in errands))

    def hurry(self) -> None:
        """Something urgent waits: end what `do` is waiting for at its next step."""
        self._hurried.set()

    async def refresh(self) -> None:
        """Look at every rig of every group."""
        await asyncio.gather(*(self._refresh(name, look) for name, look in self._looks.items()))

    async def _refresh(self, name: str, look: Look) -> None:
        readings = await self._drivers[name].read(range(look.group.rigs), ANSWER_WALL_S)
        self._take(name, readings, "poll")

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
        """The groups as last read; `changed` names rigs whose condition changed since the snapshot before, all of them at first."""
        return {name: look.seen(at.timestamp()) for name, look in self._looks.items()}

    async def watch(self, period_s: float) -> None:
        """Refresh for ever, every `period_s` world seconds. Raises what the telemetry raises."""
        while True:
            began = self._clock.now()
            await self.refresh()
            await self._clock.sleep_until(began + self._lag(period_s, POLL_WALL_S))

    async def close(self) -> None:
        """Let go of every driver."""
        await asyncio.gather(*(d.close() for d in set(self._drivers.values())))

    async def _carry_out(self, errands: list[_Sending]) -> None:
        sent_at = self._clock.now()
        for e in errands:
            e.send(sent_at)
        over_at = {id(e): sent_at + self._lag(e.errand.order.deadline_s, ORDER_WALL_S) for e in errands}
        pause_s, look_at = READ_BACK_S, sent_at
        open_ = list(errands)
        while open_:
            look_at = max(self._clock.now(), look_at + self._lag(pause_s, READ_BACK_WALL_S))
            look_at = min(look_at, max(over_at[id(e)] for e in open_))
            await self._wait(open_, look_at)
            await asyncio.gather(*(self._read_back(e) for e in open_))
            now = self._clock.now()
            for e in open_:
                again = e.errand.judge(now >= over_at[id(e)])
                if self._hurried.is_set():
                    e.errand.cut_short()
                else:
                    e.send_again(again, now)
            open_ = [e for e in open_ if e.errand.waits.any()]
            pause_s = min(pause_s * READ_BACK_SLOWER, READ_BACK_MOST_S)

    async def _wait(self, errands: list[_Sending], until: datetime) -> None:
        """Until the next read-back; the answers of rigs are taken as they come."""
        await asyncio.sleep(0)
        rest = asyncio.ensure_future(self._clock.sleep_until(until))
        hurried = asyncio.ensure_future(self._hurried.wait())
        await asyncio.wait((rest, hurried), return_when=asyncio.FIRST_COMPLETED)
        for waiting in (rest, hurried):
            waiting.cancel()
        now_s = self._clock.now().timestamp()
        for e in errands:
            e.collect(now_s)

    async def _read_back(self, e: _Sending) -> None:
        quick, slow = e.errand.lots()
        for readings in e.slow_readings(slow):
            self._take_for(e, readings)
        if len(quick):
            self._take_for(e, await e.driver.read(quick.tolist(), QUICK_WALL_S))

    async def _linger(self, errands: list[_Sending]) -> None:
        """See the watts of waking rigs come up, where waiting for them is cheap."""
        waking = [e for e in errands if e.errand.order.mode != SLEEP]
        speed = self._clock.speed
        if not waking or RISEN_S / speed > LINGER_WALL_S or self._hurried.is_set():
            return
        await self._clock.sleep_until(max(e.last_sent for e in waking) + timedelta(seconds=RISEN_S))
        for e in waking:
            self._take(e.errand.order.group, await e.driver.read(e.errand.rigs.tolist(), ANSWER_WALL_S), "command")

    def _take_for(self, e: _Sending, readings: Readings) -> None:
        e.errand.read(readings)
        self._take(e.errand.order.group, readings, "command")

    def _take(self, group: str, readings: Readings, why: str) -> None:
        self._looks[group].take(readings)
        self._telemetry.record(readings.at, group, readings.rigs, readings.watts, readings.ths, why)

    def _lag(self, world_s: float, least_wall_s: float) -> timedelta:
        speed = self._clock.speed
        return timedelta(seconds=max(world_s, least_wall_s * speed) if np.isfinite(speed) else world_s)


class _Sending:
    """An errand with its driver and the questions that are in the air. A rig that hangs holds up only its own."""

    def __init__(self, errand: Errand, driver: Driver) -> None:
        self.errand, self.driver = errand, driver
        self.last_sent = datetime.min
        self._sends: list[asyncio.Task[Sent]] = []
        self._slow: dict[asyncio.Task[Readings], list[int]] = {}

    def send(self, at: datetime) -> None:
        for lot in self.errand.lots():
            self.send_again(lot, at)

    def send_again(self, rigs: Ints, at: datetime) -> None:
        if len(rigs):
            self.last_sent = at
            self.errand.sending(rigs, at.timestamp())
            self._sends.append(asyncio.create_task(self.driver.set_mode(rigs.tolist(), self.errand.order.mode, ANSWER_WALL_S)))

    def collect(self, at_s: float) -> None:
        """Take the answers that are there."""
        for task in [t for t in self._sends if t.done()]:
            self._sends.remove(task)
            self.errand.heard(task.result(), at_s)

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

    async def stop(self) -> None:
        tasks = [*self._sends, *self._slow]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
