"""The crew: sends orders, reads back, judges; and looks at every rig again and again.

Deadlines and periods are in world seconds. When the clock runs fast they shrink with it, but never below what a network of rigs
sustains: an order is given at least 2.5 s of wall time, a read-back 0.15 s, a round of polling 1 s. `notes` says where that binds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dispatch.clock import Clock
from dispatch.entries import Commanded, Done, GroupSeen, Order, Result
from dispatch.meters import Fans
from dispatch.meters.readings import MeterReadings
from dispatch.rigs import Driver, Outcome, Readings
from dispatch.rigs.group_readings import GroupReadings, Ints
from dispatch.rigs.order_dispatch import ANSWER_WALL_S, WAVE_S, Sending
from dispatch.rigs.order_progress import OrderProgress
from optimizer.domain.site import SLEEP, Site

ORDER_WALL_S = 2.5
READ_BACK_WALL_S = 0.15
POLL_WALL_S = 1.0
# A read-back asks for less patience: a rig that misses it is asked again beside the others, so that it holds up nobody.
QUICK_WALL_S = 1.0
READ_BACK_S = 3.0
READ_BACK_SLOWER = 1.5
READ_BACK_MOST_S = 8.0
# Watts are up this long after a wake; waited for where that costs less than LINGER_WALL_S, so that telemetry holds the whole rise.
RISEN_S = 65.0
LINGER_WALL_S = 0.5
# World seconds that fans run before the rigs behind them wake.
FANS_FIRST_S = 10.0


class TelemetrySink(Protocol):
    """Keeps readings; `why` is "poll" or "command". Arrays of one length, NaN where a rig did not answer."""

    def record(
        self, at_s: NDArray[np.float64], group: str, rigs: Ints, watts: NDArray[np.float64], ths: NDArray[np.float64], why: str
    ) -> object: ...


class RigController:
    """Implements `dispatch.runtime.world.Executor` over one driver a group."""

    def __init__(
        self,
        site: Site,
        drivers: Mapping[str, Driver],
        clock: Clock,
        telemetry: TelemetrySink,
        panel: MeterReadings | None = None,
        fans: Mapping[str, Fans] | None = None,
    ) -> None:
        missing = [g.name for g in site.groups if g.name not in drivers]
        if missing:
            raise KeyError(f"no driver for {', '.join(missing)}")
        self._site, self._drivers, self._clock, self._telemetry = site, drivers, clock, telemetry
        self._panel, self._fans = panel or MeterReadings({}, clock), dict(fans or {})
        self._looks = {g.name: GroupReadings(g) for g in site.groups}
        self._hurried = asyncio.Event()

    @property
    def readings(self) -> Mapping[str, GroupReadings]:
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

    async def execute(self, commanded: Commanded) -> Done:
        """Carry out the orders and read back until each rig is judged or its order's deadline is over. Never raises for a rig."""
        self._hurried.clear()
        looks = self._looks
        errands = [
            Sending(OrderProgress(order, looks[order.group]), self._drivers[order.group], looks[order.group]) for order in commanded.orders
        ]
        still = await self._blow(commanded.fans)
        sent = [e for e in errands if not self._needs(e, still)]
        try:
            await self._carry_out(sent)
            await self._linger(sent)
        finally:
            await asyncio.gather(*(e.stop() for e in errands))
        await self._panel.refresh()
        now = self._clock.now()
        results = tuple(e.result() if e in sent else _fanless(e.errand.order) for e in errands)
        return Done(at=now, results=results, meters=self._panel.fresh(now))

    def _needs(self, e: Sending, still: Collection[str]) -> bool:
        """Whether an order wakes rigs in a hall whose fans stand still."""
        order = e.errand.order
        return order.mode != SLEEP and self._site.group(order.group).hall in still

    async def _blow(self, halls: Sequence[str]) -> set[str]:
        """Have the fans of these halls run before rigs wake there; the halls where they do not."""
        mine = [h for h in halls if h in self._fans]
        running = await asyncio.gather(*(self._fans[h].run(True, ANSWER_WALL_S) for h in mine))
        if any(running):
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=FANS_FIRST_S))
        return {h for h, on in zip(mine, running, strict=True) if not on}

    def interrupt(self) -> None:
        """Something urgent waits: end what `do` is waiting for at its next step."""
        self._hurried.set()

    async def refresh(self) -> None:
        """Look at every rig of every group."""
        await asyncio.gather(self._panel.refresh(), *(self._refresh(name, look) for name, look in self._looks.items()))

    async def _refresh(self, name: str, look: GroupReadings) -> None:
        readings = await self._drivers[name].read(range(look.group.rigs), ANSWER_WALL_S)
        self._take(name, readings, "poll")

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
        """The groups as last read; `changed` names rigs whose condition changed since the snapshot before, all of them at first."""
        return {name: look.seen(at.timestamp()) for name, look in self._looks.items()}

    @property
    def panel(self) -> MeterReadings:
        """The meters."""
        return self._panel

    async def watch(self, period_s: float) -> None:
        """Refresh for ever, every `period_s` world seconds. Raises what the telemetry raises."""
        while True:
            began = self._clock.now()
            await self.refresh()
            await self._clock.sleep_until(began + self._lag(period_s, POLL_WALL_S))

    async def close(self) -> None:
        """Let go of every driver."""
        fans = (f.close() for f in self._fans.values())
        await asyncio.gather(self._panel.close(), *fans, *(d.close() for d in set(self._drivers.values())))

    async def _carry_out(self, errands: list[Sending]) -> None:
        sent_at = self._clock.now()
        for e in errands:
            e.start(sent_at, self._lag(WAVE_S, READ_BACK_WALL_S).total_seconds())
        pause_s, look_at = READ_BACK_S, sent_at
        open_ = list(errands)
        while open_:
            look_at = max(self._clock.now(), look_at + self._lag(pause_s, READ_BACK_WALL_S))
            look_at = min([look_at, max(self._over_at(e) for e in open_), *(e.next_wave for e in open_ if e.next_wave)])
            await self._wait(open_, look_at)
            for e in open_ if not self._hurried.is_set() else ():
                e.tell(self._clock.now())
            await self._or_hurried(asyncio.gather(*(e.answered() for e in open_)))
            self._collect(open_)
            await asyncio.gather(*(self._read_back(e) for e in open_))
            now = self._clock.now()
            for e in open_:
                again = e.errand.judge(now >= self._over_at(e) and not e.next_wave)
                if self._hurried.is_set():
                    e.call_off()
                    e.errand.cut_short()
                else:
                    e.send_again(again, now)
            open_ = [e for e in open_ if e.errand.waits.any()]
            pause_s = min(pause_s * READ_BACK_SLOWER, READ_BACK_MOST_S)

    def _over_at(self, e: Sending) -> datetime:
        """When an order's time is over: it runs from when it was out."""
        return e.out_at + self._lag(e.errand.order.deadline_s, ORDER_WALL_S)

    async def _wait(self, errands: list[Sending], until: datetime) -> None:
        """Until the next read-back or wave; the answers of rigs are taken as they come."""
        await asyncio.sleep(0)
        await self._or_hurried(self._clock.sleep_until(until))
        self._collect(errands)

    async def _or_hurried(self, rest: Awaitable[object]) -> None:
        waits = [asyncio.ensure_future(rest), asyncio.ensure_future(self._hurried.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waits:
            waiting.cancel()

    def _collect(self, errands: list[Sending]) -> None:
        now = self._clock.now()
        for e in errands:
            e.collect(now)

    async def _read_back(self, e: Sending) -> None:
        quick, slow = (e.told(lot) for lot in e.errand.lots())
        for readings in e.slow_readings(slow):
            self._take_for(e, readings)
        if len(quick):
            self._take_for(e, await e.driver.read(quick.tolist(), QUICK_WALL_S))

    async def _linger(self, errands: list[Sending]) -> None:
        """See the watts of waking rigs come up, where waiting for them is cheap."""
        waking = [e for e in errands if e.errand.order.mode != SLEEP]
        speed = self._clock.speed
        if not waking or RISEN_S / speed > LINGER_WALL_S or self._hurried.is_set():
            return
        await self._clock.sleep_until(max(e.last_sent for e in waking) + timedelta(seconds=RISEN_S))
        for e in waking:
            self._take(e.errand.order.group, await e.driver.read(e.errand.rigs.tolist(), ANSWER_WALL_S), "command")

    def _take_for(self, e: Sending, readings: Readings) -> None:
        e.read(readings)
        self._take(e.errand.order.group, readings, "command")

    def _take(self, group: str, readings: Readings, why: str) -> None:
        self._looks[group].take(readings)
        self._telemetry.record(readings.at, group, readings.rigs, readings.watts, readings.ths, why)

    def _lag(self, world_s: float, least_wall_s: float) -> timedelta:
        speed = self._clock.speed
        return timedelta(seconds=max(world_s, least_wall_s * speed) if np.isfinite(speed) else world_s)


def _fanless(order: Order) -> Result:
    """The outcome of an order that was not sent, because the hall's fans did not start."""
    outcome = Outcome.PARTLY.value
    return Result(order=order.id, by={outcome: order.rigs}, reasons={outcome: "not told: the hall's fans did not start"})
