"""Orders under way: sent in waves, read back, sent again where a reading asks for it, and judged. Nobody waits for a rig that hangs.

Orders stay open across calls of `work`, so that the loop can read, decide and give further orders meanwhile; a rig that gets a new order
leaves its old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from dispatch.clock import Clock, at_least
from dispatch.entries import Result
from dispatch.rigs import Readings
from dispatch.rigs.order_dispatch import ANSWER_WALL_S, WAVE_S, OrderDispatch
from optimizer.domain.site import SLEEP

# Where the clock runs fast, an order and a read-back have at least this much of wall time.
ORDER_WALL_S = 2.5
READ_BACK_WALL_S = 0.15
# A read-back waits for less: a rig that misses it is read again in the background, so that it holds up no other.
QUICK_ANSWER_WALL_S = 1.0
# Watts have risen this long after a wake. Where waiting for it costs less than FOLLOW_RISE_WALL_S, the rise is followed into the telemetry.
WATTS_RISEN_S = 65.0
FOLLOW_RISE_WALL_S = 0.5

# Takes readings of a group into its newest ones and into the telemetry; returns them with the watts that are known.
Record = Callable[[str, Readings], Readings]


class OpenOrders:
    """The orders of a site that have no outcome yet."""

    def __init__(self, clock: Clock, record: Record) -> None:
        self._clock, self._record = clock, record
        self._open: list[OrderDispatch] = []
        self._rising: list[tuple[datetime, OrderDispatch]] = []
        self._interrupted = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._open or self._rising)

    def begin(self, dispatch: OrderDispatch, at: datetime) -> None:
        """Send an order from `at` on."""
        for other in self._open:
            if other.progress.order.group == dispatch.progress.order.group:
                other.progress.release(dispatch.progress.rigs)
        dispatch.start(at, at_least(self._clock, WAVE_S, READ_BACK_WALL_S).total_seconds())
        dispatch.send_due(self._clock.now())
        dispatch.read_later(at, at_least(self._clock, 0.0, READ_BACK_WALL_S))
        self._open.append(dispatch)

    def interrupt(self) -> None:
        """Something urgent waits: `work` returns at its next step."""
        self._interrupted.set()

    async def wait_for(self, task: asyncio.Task[Any], until: datetime) -> None:
        """Wait for a task that orders wait for, until `until` or an interruption."""
        self._interrupted.clear()
        sleeper = asyncio.ensure_future(self._clock.sleep_until(until))
        await self._unless_interrupted(asyncio.wait({task, sleeper}, return_when=asyncio.FIRST_COMPLETED))
        sleeper.cancel()

    async def work(self, until: datetime) -> tuple[Result, ...]:
        """Send, read back and judge until `until`, or until nothing is open. Returns the orders that ended meanwhile."""
        self._interrupted.clear()
        ended: list[OrderDispatch] = []
        while self and not self._interrupted.is_set():
            await self._wait(min(until, self._next_step()))
            if self._interrupted.is_set():
                break
            await self._step()
            ended += await self._end()
            if self._clock.now() >= until:
                break
        return tuple(each.result() for each in ended)

    async def stop(self) -> None:
        """Cancel every request that waits for an answer; what is open stays without an outcome."""
        await asyncio.gather(*(each.stop() for each in self._open))
        self._open = []

    def _next_step(self) -> datetime:
        times = [min([each.next_read_at, *([each.next_wave_at] if each.next_wave_at else [])]) for each in self._open]
        return min([*times, *(at for at, _ in self._rising)])

    async def _wait(self, until: datetime) -> None:
        """Wait for the next read-back or wave, or an interruption; then take in the answers of rigs."""
        await asyncio.sleep(0)
        await self._unless_interrupted(self._clock.sleep_until(until))
        self._collect()

    async def _unless_interrupted(self, rest: Awaitable[object]) -> None:
        waits = [asyncio.ensure_future(rest), asyncio.ensure_future(self._interrupted.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waits:
            waiting.cancel()

    def _collect(self) -> None:
        for each in self._open:
            each.collect_answers(self._clock.now())

    async def _step(self) -> None:
        """Send the waves that are due, read back the orders that are, judge them, and send again what must be."""
        now = self._clock.now()
        for each in self._open:
            each.send_due(now)
        due = [each for each in self._open if each.next_read_at <= now]
        await self._unless_interrupted(asyncio.gather(*(each.quick_answers() for each in due)))
        self._collect()
        await asyncio.gather(*(self._read_back(each) for each in due))
        now = self._clock.now()
        for each in due:
            each.send(each.progress.judge(now >= self._deadline(each) and not each.next_wave_at), now)
            each.read_later(now, at_least(self._clock, 0.0, READ_BACK_WALL_S))
        for at, each in [(at, each) for at, each in self._rising if at <= now]:
            self._rising.remove((at, each))
            self._record(each.progress.order.group, await each.driver.read(each.progress.rigs.tolist(), ANSWER_WALL_S))

    async def _end(self) -> list[OrderDispatch]:
        """Take out the orders whose rigs all have an outcome."""
        ended = [each for each in self._open if not each.progress.pending.any()]
        self._open = [each for each in self._open if each.progress.pending.any()]
        for each in ended:
            await each.stop()
            # On a fast clock the watts of waking rigs are read once more when they have risen: telemetry holds the whole rise.
            if each.progress.order.mode != SLEEP and WATTS_RISEN_S / self._clock.speed <= FOLLOW_RISE_WALL_S:
                self._rising.append((each.last_sent_at + timedelta(seconds=WATTS_RISEN_S), each))
        return ended

    def _deadline(self, each: OrderDispatch) -> datetime:
        """When an order's time is over; it runs from when the order went out to all."""
        return each.sent_to_all_at + at_least(self._clock, each.progress.order.deadline_s, ORDER_WALL_S)

    async def _read_back(self, each: OrderDispatch) -> None:
        group = each.progress.order.group
        quick, slow = (each.already_sent(lot) for lot in each.progress.pending_lots())
        for readings in each.slow_readings(slow):
            each.read(self._record(group, readings))
        if len(quick):
            each.read(self._record(group, await each.driver.read(quick.tolist(), QUICK_ANSWER_WALL_S)))
