"""The rig controller: sends orders, reads rigs back, gives each an outcome; and polls every rig.

Deadlines and periods are in seconds of the world's clock. When that runs fast they shrink with it, but never below what a network of rigs
sustains: an order has at least 2.5 s of wall time, a read-back 0.15 s, a round of polling 1 s. `notes` says where that binds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispatch.clock import Clock, at_least
from dispatch.entries import Commanded, Done, GroupSeen, Order, Result, pack, unpack
from dispatch.meters.readings import MeterReadings
from dispatch.meters.site_devices import SiteDevices
from dispatch.power_meters import MeterId, MeterKind
from dispatch.rigs import Driver, Outcome, Readings
from dispatch.rigs.group_readings import GroupReadings, Ints
from dispatch.rigs.open_orders import ORDER_WALL_S, OpenOrders
from dispatch.rigs.order_dispatch import ANSWER_WALL_S, OrderDispatch
from optimizer.domain.site import SLEEP, Site

POLL_WALL_S = 1.0
# Seconds between two readings of every rig while an instruction is in force.
CLOSE_POLL_S = 5.0
# A meter's reading rises and falls by this share of itself though nothing happens.
NOISE_SHARE = 0.02
# Where a hall's feeder reads more than this share of what its rigs can draw, its pumps and fans are not stopped, whatever the rigs say.
FEEDER_SHARE = 0.15


# Whether loads call for a decision: MW at the wall that the rigs of each group are read to draw, and MW of the meters that are believed.
LoadCheck = Callable[[Mapping[str, float], Mapping[MeterId, float]], bool]


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
        self._orders = OpenOrders(clock, lambda group, readings: self._record(group, readings, "command"))
        self._not_sent: list[Result] = []
        # Orders that wait for the pumps and fans of their halls, with the task that starts these.
        self._uncooled: list[tuple[asyncio.Task[dict[str, str]], list[Order]]] = []
        self._closely = asyncio.Event()
        self._snapshot_mw: Mapping[MeterId, float] = {}
        self._snapshot_doubts: set[MeterId] = set()
        self._largest_rig_mw = max(g.full.watts for g in site.groups) / 1e6

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

    @property
    def busy(self) -> bool:
        """Whether orders are under way."""
        return bool(self._orders or self._not_sent or self._uncooled)

    async def begin(self, commanded: Commanded) -> None:
        """Send the orders of a decision, and switch generators; orders to wake rigs follow once the pumps and fans of their hall run. Never
        raises for a rig."""
        for order in commanded.orders:
            self._uncooled = [(start, _without(waiting, order)) for start, waiting in self._uncooled]
        waiting = [o for o in commanded.orders if o.mode != SLEEP and self._hall(o) in commanded.fans]
        for order in commanded.orders:
            if order not in waiting:
                self._send(order)
        for order in waiting:
            self._groups[order.group].ordered(np.array(unpack(order.rigs), np.int64), order.mode, order.deadline_s)
        if waiting:
            self._uncooled.append((asyncio.create_task(self._devices.start_cooling(commanded.fans)), waiting))
        await self._devices.order_generators(commanded.generators)

    async def work(self, until: datetime) -> Done | None:
        """Carry on with the orders under way until `until`, until none is, or until interrupted. Returns the outcomes of those that ended;
        None when none did."""
        if self._uncooled and not self._orders:
            await self._orders.wait_for(self._uncooled[0][0], until)
        for start, waiting in [each for each in self._uncooled if each[0].done()]:
            self._uncooled.remove((start, waiting))
            for order in waiting:
                if why := start.result().get(self._hall(order)):
                    self._not_sent.append(_not_sent(order, why))
                else:
                    self._send(order)
        results = (*self._not_sent, *await self._orders.work(until))
        self._not_sent = []
        if not results:
            return None
        await self._meters.refresh()
        now = self._clock.now()
        meters, counts = self._meters.fresh(now), self._meters.counts(now)
        return Done(at=now, results=results, meters=meters, meters_at=self._meters.read_at(now), meter_counts=counts)

    async def execute(self, commanded: Commanded) -> Done:
        """Carry out orders to their end; returns every outcome, in the order of the orders."""
        await self.begin(commanded)
        done: list[Done] = []
        while self.busy:
            found = await self.work(self._clock.now() + timedelta(seconds=CLOSE_POLL_S))
            done += [found] if found else []
        by_order = {result.order: result for each in done for result in each.results}
        results = tuple(by_order[order.id] for order in commanded.orders)
        return replace(done[-1], at=self._clock.now(), results=results) if done else Done(at=self._clock.now(), results=())

    def _send(self, order: Order) -> None:
        readings = self._groups[order.group]
        self._orders.begin(OrderDispatch(order, self._drivers[order.group], readings, self._clock.now), self._clock.now())

    def _hall(self, order: Order) -> str:
        return self._site.group(order.group).hall

    def interrupt(self) -> None:
        """Something urgent waits: `work` returns at its next step."""
        self._orders.interrupt()

    async def refresh(self) -> None:
        """Read every meter, and every rig of every group; then see to pumps, fans and generators."""
        await asyncio.gather(self._meters.refresh(), *(self._refresh(name) for name in self._groups))
        loads = {name: readings.drawn_mw() for name, readings in self._groups.items()}
        self._meters.compare({name: drawn for name, (drawn, _) in loads.items()}, {name: silent for name, (_, silent) in loads.items()})
        await self._devices.tend(self._running_by_hall())

    async def _refresh(self, name: str) -> None:
        """Read every rig of a group. Those that missed an answer are read apart: one that hangs holds up no other's reading."""
        silent = self._groups[name].misses > 0
        await asyncio.gather(*(self._read(name, np.flatnonzero(lot)) for lot in (~silent, silent) if lot.any()))

    async def _read(self, name: str, rigs: Ints) -> None:
        self._record(name, await self._drivers[name].read(rigs.tolist(), ANSWER_WALL_S), "poll")

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
        """The groups as last read; `changed` has the rigs whose condition changed since the snapshot before, all of them at first."""
        self._snapshot_mw, self._snapshot_doubts = self._meters.fresh(at), set(self._meters.doubts)
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

    def has_news(self, at: datetime, exceeded: LoadCheck) -> bool:
        """Whether since the snapshot before a rig departed from its order, a meter rose by more than the largest rig and its own noise, one
        is doubted or believed again, or loads are `exceeded`."""
        if set(self._meters.doubts) != self._snapshot_doubts:
            return True
        before, meters = self._snapshot_mw, self._meters.fresh(at)
        rose = any(mw > before.get(name, mw) + max(self._largest_rig_mw, NOISE_SHARE * mw) for name, mw in meters.items())
        drawn = {name: readings.drawn_mw()[0] for name, readings in self._groups.items()}
        believed = {name: mw for name, mw in meters.items() if name not in self._snapshot_doubts}
        return rose or exceeded(drawn, believed) or any(readings.has_news() for readings in self._groups.values())

    def watch(self, closely: bool) -> None:
        """Whether `poll` reads every CLOSE_POLL_S seconds from now on."""
        if closely:
            self._closely.set()
        else:
            self._closely.clear()

    async def poll(self, period_s: float) -> None:
        """Refresh for ever, every `period_s` seconds of the world's clock, more often while `watch` asks for it. Raises what the telemetry
        raises."""
        while True:
            began = self._clock.now()
            await self.refresh()
            close, usual = (began + at_least(self._clock, s, POLL_WALL_S) for s in (CLOSE_POLL_S, period_s))
            await self._clock.sleep_until(close)
            if not self._closely.is_set():
                waits = [asyncio.ensure_future(self._closely.wait()), asyncio.ensure_future(self._clock.sleep_until(usual))]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for each in waits:
                    each.cancel()

    async def close(self) -> None:
        """Close every meter, device and driver."""
        for start, _ in self._uncooled:
            start.cancel()
        await self._orders.stop()
        await asyncio.gather(self._meters.close(), self._devices.close(), *(d.close() for d in set(self._drivers.values())))

    def _record(self, group: str, readings: Readings, why: str) -> Readings:
        readings = self._groups[group].with_known_watts(readings)
        self._groups[group].add(readings)
        self._telemetry.record(readings.at, group, readings.rigs, readings.watts, readings.ths, why)
        return readings


def _not_sent(order: Order, why: str) -> Result:
    """The result of an order that was not sent because a pump or a fan of the hall does not run."""
    outcome = Outcome.PARTLY.value
    return Result(order=order.id, rigs_by_outcome={outcome: order.rigs}, reasons={outcome: f"not sent: {why}"})


def _without(orders: list[Order], later: Order) -> list[Order]:
    """Orders that still wait, without the rigs that a later one takes over."""
    taken = set(unpack(later.rigs))
    kept = [(o, [r for r in unpack(o.rigs) if o.group != later.group or r not in taken]) for o in orders]
    return [replace(o, rigs=pack(rigs)) for o, rigs in kept if rigs]
