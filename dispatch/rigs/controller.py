"""The rig controller: sends orders, reads rigs back, gives each an outcome; and polls every rig.

Deadlines and periods are in seconds of the world's clock. When that runs fast they shrink with it, but never below what a network of rigs
sustains: an order has at least 2.5 s of wall time, a read-back 0.15 s, a round of polling 1 s. `notes` says where that binds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispatch.clock import Clock
from dispatch.entries import Commanded, Done, GroupSeen, MeterId, MeterKind, Order, Result
from dispatch.meters.readings import MeterReadings
from dispatch.meters.site_devices import SiteDevices
from dispatch.rigs import Driver, Outcome, Readings
from dispatch.rigs.group_readings import GroupReadings, Ints
from dispatch.rigs.order_dispatch import ANSWER_WALL_S, WAVE_S, OrderDispatch
from dispatch.rigs.order_progress import OrderProgress
from optimizer.domain.site import SLEEP, Site

ORDER_WALL_S = 2.5
READ_BACK_WALL_S = 0.15
POLL_WALL_S = 1.0
# A read-back waits for less: a rig that misses it is read again in the background, so that it holds up no other.
QUICK_ANSWER_WALL_S = 1.0
READ_BACK_S = 3.0
READ_BACK_SLOWDOWN = 1.5
READ_BACK_MOST_S = 8.0
# Watts have risen this long after a wake. Where waiting for it costs less than FOLLOW_RISE_WALL_S, the rise is followed into the telemetry.
WATTS_RISEN_S = 65.0
FOLLOW_RISE_WALL_S = 0.5
# Where a hall's feeder reads more than this share of what its rigs can draw, its pumps and fans are not stopped, whatever the rigs say.
FEEDER_SHARE = 0.15


class TelemetrySink(Protocol):
    """Keeps readings. Arrays of one length, NaN where a rig did not answer; `why` is "poll" or "command"."""

    def record(
        self, at_s: NDArray[np.float64], group: str, rigs: Ints, watts: NDArray[np.float64], ths: NDArray[np.float64], why: str
    ) -> object:
        """Keep readings of one group."""
        ...


class RigController:
    """Implements `dispatch.runtime.world.Executor` over one driver per group."""

    def __init__(
        self,
        site: Site,
        drivers: Mapping[str, Driver],
        clock: Clock,
        telemetry: TelemetrySink,
        meters: MeterReadings | None = None,
        devices: SiteDevices | None = None,
    ) -> None:
        missing = [g.name for g in site.groups if g.name not in drivers]
        if missing:
            raise KeyError(f"no driver for {', '.join(missing)}")
        self._site, self._drivers, self._clock, self._telemetry = site, drivers, clock, telemetry
        self._meters, self._devices = meters or MeterReadings({}, clock), devices or SiteDevices()
        self._groups = {g.name: GroupReadings(g) for g in site.groups}
        self._interrupted = asyncio.Event()

    @property
    def readings(self) -> Mapping[str, GroupReadings]:
        """The newest readings of each group."""
        return self._groups

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the speed of the clock costs; none at the wall's speed."""
        speed = self._clock.speed
        if not np.isfinite(speed) or speed <= 1.0:
            return ()
        return (
            f"time runs {speed:g} times as fast as the wall clock: orders have at least {ORDER_WALL_S:g} s of wall time"
            f" ({ORDER_WALL_S * speed:.0f} s here), rigs are polled at most every {POLL_WALL_S:g} s ({POLL_WALL_S * speed:.0f} s here)",
        )

    async def execute(self, commanded: Commanded) -> Done:
        """Carry out the orders and read back until every rig has an outcome or its order's deadline is over. Never raises for a rig."""
        self._interrupted.clear()
        groups = self._groups
        dispatches = [
            OrderDispatch(OrderProgress(order, groups[order.group]), self._drivers[order.group], groups[order.group])
            for order in commanded.orders
        ]
        await self._devices.order_generators(commanded.generators)
        uncooled = await self._devices.start_cooling(commanded.fans)
        sent = [each for each in dispatches if not self._needs_cooling(each, uncooled)]
        try:
            await self._carry_out(sent)
            await self._follow_rise(sent)
        finally:
            await asyncio.gather(*(each.stop() for each in dispatches))
        await self._meters.refresh()
        now = self._clock.now()
        results = tuple(
            each.result() if each in sent else _not_sent(each.progress.order, uncooled[self._hall(each)]) for each in dispatches
        )
        return Done(at=now, results=results, meters=self._meters.fresh(now))

    def _needs_cooling(self, each: OrderDispatch, uncooled: Mapping[str, str]) -> bool:
        """Whether an order wakes rigs in a hall whose pumps or fans do not run."""
        return each.progress.order.mode != SLEEP and self._hall(each) in uncooled

    def _hall(self, each: OrderDispatch) -> str:
        return self._site.group(each.progress.order.group).hall

    def interrupt(self) -> None:
        """Something urgent waits: `execute` returns at its next step."""
        self._interrupted.set()

    async def refresh(self) -> None:
        """Read every meter, and every rig of every group; then see to pumps, fans and generators."""
        await asyncio.gather(self._meters.refresh(), *(self._refresh(name) for name in self._groups))
        await self._devices.tend(self._running_by_hall())

    async def _refresh(self, name: str) -> None:
        readings = await self._drivers[name].read(range(self._groups[name].group.rigs), ANSWER_WALL_S)
        self._record(name, readings, "poll")

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
        """The groups as last read; `changed` has the rigs whose condition changed since the snapshot before, all of them at first."""
        return {name: readings.snapshot(at.timestamp()) for name, readings in self._groups.items()}

    @property
    def meters(self) -> MeterReadings:
        """The meters."""
        return self._meters

    @property
    def devices(self) -> SiteDevices:
        """Pumps, fans and generators."""
        return self._devices

    def _running_by_hall(self) -> dict[str, bool | None]:
        """By hall with pumps or fans: whether any of its rigs runs; None when that is not known of one, or its feeder reads more than
        rigs asleep draw."""
        now, found = self._clock.now(), dict[str, bool | None]()
        for hall in self._devices.halls:
            groups = [self._groups[g.name] for g in self._site.groups if g.hall == hall]
            states = [group.runs(now.timestamp()) for group in groups]
            found[hall] = True if True in states else None if None in states else False
            feeder_mw = self._meters.fresh(now).get(MeterId(MeterKind.HALL, hall), 0.0)
            if found[hall] is False and feeder_mw * 1e6 > FEEDER_SHARE * sum(float(g.mode_watts.max()) * g.group.rigs for g in groups):
                found[hall] = None
        return found

    async def poll(self, period_s: float) -> None:
        """Refresh for ever, every `period_s` seconds of the world's clock. Raises what the telemetry raises."""
        while True:
            began = self._clock.now()
            await self.refresh()
            await self._clock.sleep_until(began + self._at_least(period_s, POLL_WALL_S))

    async def close(self) -> None:
        """Close every meter, device and driver."""
        await asyncio.gather(self._meters.close(), self._devices.close(), *(d.close() for d in set(self._drivers.values())))

    async def _carry_out(self, dispatches: list[OrderDispatch]) -> None:
        sent_at = self._clock.now()
        for each in dispatches:
            each.start(sent_at, self._at_least(WAVE_S, READ_BACK_WALL_S).total_seconds())
        pause_s, read_at = READ_BACK_S, sent_at
        open_ = list(dispatches)
        while open_:
            read_at = max(self._clock.now(), read_at + self._at_least(pause_s, READ_BACK_WALL_S))
            read_at = min(
                [read_at, max(self._deadline(each) for each in open_), *(each.next_wave_at for each in open_ if each.next_wave_at)]
            )
            await self._wait(open_, read_at)
            for each in open_ if not self._interrupted.is_set() else ():
                each.send_due(self._clock.now())
            await self._unless_interrupted(asyncio.gather(*(each.quick_answers() for each in open_)))
            self._collect(open_)
            await asyncio.gather(*(self._read_back(each) for each in open_))
            now = self._clock.now()
            for each in open_:
                again = each.progress.judge(now >= self._deadline(each) and not each.next_wave_at)
                if self._interrupted.is_set():
                    each.cancel_rest()
                    each.progress.interrupted()
                else:
                    each.send(again, now)
            open_ = [each for each in open_ if each.progress.pending.any()]
            pause_s = min(pause_s * READ_BACK_SLOWDOWN, READ_BACK_MOST_S)

    def _deadline(self, each: OrderDispatch) -> datetime:
        """When an order's time is over; it runs from when the order went out to all."""
        return each.sent_to_all_at + self._at_least(each.progress.order.deadline_s, ORDER_WALL_S)

    async def _wait(self, dispatches: list[OrderDispatch], until: datetime) -> None:
        """Wait for the next read-back or wave, or an interruption; then take in the answers of rigs."""
        await asyncio.sleep(0)
        await self._unless_interrupted(self._clock.sleep_until(until))
        self._collect(dispatches)

    async def _unless_interrupted(self, rest: Awaitable[object]) -> None:
        waits = [asyncio.ensure_future(rest), asyncio.ensure_future(self._interrupted.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waits:
            waiting.cancel()

    def _collect(self, dispatches: list[OrderDispatch]) -> None:
        now = self._clock.now()
        for each in dispatches:
            each.collect_answers(now)

    async def _read_back(self, each: OrderDispatch) -> None:
        quick, slow = (each.already_sent(lot) for lot in each.progress.pending_lots())
        for readings in each.slow_readings(slow):
            self._record_for(each, readings)
        if len(quick):
            self._record_for(each, await each.driver.read(quick.tolist(), QUICK_ANSWER_WALL_S))

    async def _follow_rise(self, dispatches: list[OrderDispatch]) -> None:
        """Read the watts of waking rigs once they have risen, where waiting for that costs little."""
        waking = [each for each in dispatches if each.progress.order.mode != SLEEP]
        speed = self._clock.speed
        if not waking or WATTS_RISEN_S / speed > FOLLOW_RISE_WALL_S or self._interrupted.is_set():
            return
        await self._clock.sleep_until(max(each.last_sent_at for each in waking) + timedelta(seconds=WATTS_RISEN_S))
        for each in waking:
            self._record(each.progress.order.group, await each.driver.read(each.progress.rigs.tolist(), ANSWER_WALL_S), "command")

    def _record_for(self, each: OrderDispatch, readings: Readings) -> None:
        each.read(readings)
        self._record(each.progress.order.group, readings, "command")

    def _record(self, group: str, readings: Readings, why: str) -> None:
        self._groups[group].add(readings)
        self._telemetry.record(readings.at, group, readings.rigs, readings.watts, readings.ths, why)

    def _at_least(self, world_s: float, least_wall_s: float) -> timedelta:
        speed = self._clock.speed
        return timedelta(seconds=max(world_s, least_wall_s * speed) if np.isfinite(speed) else world_s)


def _not_sent(order: Order, why: str) -> Result:
    """The result of an order that was not sent because a pump or a fan of the hall does not run."""
    outcome = Outcome.PARTLY.value
    return Result(order=order.id, rigs_by_outcome={outcome: order.rigs}, reasons={outcome: f"not sent: {why}"})
