"""The pumps and fans of a hall: they run before its rigs wake, in order, and stop only after its rigs have, in the opposite order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from dispatch.clock import Clock
from dispatch.meters import Switch

log = structlog.get_logger()

ANSWER_WALL_S = 2.0


@dataclass(slots=True)
class CoolingDevice:
    """A pump or a fan, and whether it is on as last read or switched; seconds of the world's clock.

    lead_s               runs so long before the next device is started, or the rigs
    run_on_s             runs on so long after the hall's rigs last drew power
    min_on_s, min_off_s  least time on and off between two switchings
    on, since            None before it was read; since when it is known to be in that state
    """

    name: str
    switch: Switch
    lead_s: float = 10.0
    run_on_s: float = 300.0
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    on: bool | None = None
    since: datetime | None = None

    def now_is(self, on: bool, at: datetime) -> None:
        """Take in that it is on or off."""
        if on is not self.on:
            self.on, self.since = on, at

    def rests_s(self, at: datetime) -> float:
        """Seconds until it may be switched again; none before it was read."""
        least_s = self.min_on_s if self.on else self.min_off_s
        return 0.0 if self.since is None else max(0.0, least_s - (at - self.since).total_seconds())


class HallCooling:
    """The devices of one hall, in the order in which they start. `alert` says what is wrong; empty when nothing is."""

    def __init__(self, hall: str, devices: Sequence[CoolingDevice], clock: Clock) -> None:
        self.hall, self.devices, self._clock = hall, tuple(devices), clock
        self.alert = ""
        self._may_run_at: datetime | None = None  # when rigs last drew power, or could have
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> str:
        """Start every device that does not run, each after the one before it has run for its lead time. Returns why one does not run;
        empty when all do."""
        async with self._one_at_a_time:
            self._may_run_at = self._clock.now()
            self.alert = await self._start()
            return self.alert

    async def tend(self, running: bool | None) -> None:
        """Bring the devices to what the hall's rigs need. `running`: True when any rig runs, False when every rig is known not to, None
        when that is not known. Devices run while rigs do, stay as they are while nothing is known, and stop when run-on times are over."""
        if self._one_at_a_time.locked():
            return  # rigs are about to wake here
        async with self._one_at_a_time:
            states = await asyncio.gather(*(device.switch.is_on(ANSWER_WALL_S) for device in self.devices))
            for device, on in zip(self.devices, states, strict=True):
                if on is not None:
                    device.now_is(on, self._clock.now())
            if running is not False or self._may_run_at is None:
                self._may_run_at = self._clock.now()
            if running:
                self.alert = await self._start(lead=False)
            elif running is False:
                self.alert = await self._stop(self._may_run_at)

    async def close(self) -> None:
        """Close the connections. Nothing is switched."""
        await asyncio.gather(*(device.switch.close() for device in self.devices))

    async def _start(self, lead: bool = True) -> str:
        for device in self.devices:
            if device.on and await device.switch.is_on(ANSWER_WALL_S):
                continue
            if device.on is False and (rests_s := device.rests_s(self._clock.now())) > 0:
                return f"{device.name} of hall {self.hall} may be started again in {rests_s:.0f} s"
            if not await device.switch.run(True, ANSWER_WALL_S):
                log.warning("cooling did not start", hall=self.hall, device=device.name)
                return f"{device.name} of hall {self.hall} did not start: its rigs are not woken"
            device.now_is(True, self._clock.now())
            if lead:
                await self._clock.sleep_until(self._clock.now() + timedelta(seconds=device.lead_s))
        return ""

    async def _stop(self, rigs_ran_at: datetime) -> str:
        """Stop what may stop now, the last started first; one that must run on keeps those before it running."""
        for device in reversed(self.devices):
            now = self._clock.now()
            if device.on is False:
                continue
            if device.on is None:
                return f"{device.name} of hall {self.hall} cannot be read: it is left as it is"
            if (now - rigs_ran_at).total_seconds() < device.run_on_s or device.rests_s(now) > 0:
                return ""
            if not await device.switch.run(False, ANSWER_WALL_S):
                log.warning("cooling did not stop", hall=self.hall, device=device.name)
                return f"{device.name} of hall {self.hall} did not stop"
            device.now_is(False, now)
        return ""
