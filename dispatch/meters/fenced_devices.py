"""Pumps, fans and generators behind the fence of orders: a process that lost the lead switches none of them. Readings are not fenced."""

from __future__ import annotations

import structlog

from dispatch.meters import GeneratorControls, Switch
from dispatch.meters.order_fence import Fence, OrderFenced, check_fence, fenced
from optimizer.domain.site import SLEEP

log = structlog.get_logger()

# The fence is asked by the mode that an order is for: one that may always be sent while this process leads, a stop in force or not. Pumps
# and fans must run on after a stop, and a generator must be stopped.
WHILE_LEADING = SLEEP


class FencedSwitch:
    """Switches a pump or a fan through another switch while this process leads."""

    def __init__(self, switch: Switch, fence: Fence) -> None:
        self._switch, self._fence = switch, fence

    async def run(self, on: bool, deadline_s: float) -> bool:
        """As the switch does; False without a write where another process leads."""
        try:
            with fenced(self._fence, WHILE_LEADING):
                check_fence()
                return await self._switch.run(on, deadline_s)
        except OrderFenced as fault:
            log.error("a pump or a fan is not switched", why=str(fault))
            return False

    async def is_on(self, deadline_s: float) -> bool | None:
        """As the switch reads."""
        return await self._switch.is_on(deadline_s)

    async def close(self) -> None:
        """Close the connection."""
        await self._switch.close()


class FencedGenerator:
    """Starts and stops a generator through other controls while this process leads."""

    def __init__(self, controls: GeneratorControls, fence: Fence) -> None:
        self._controls, self._fence = controls, fence

    async def command(self, run: bool, deadline_s: float) -> bool:
        """As the controls do; False without a write where another process leads."""
        try:
            with fenced(self._fence, WHILE_LEADING):
                check_fence()
                return await self._controls.command(run, deadline_s)
        except OrderFenced as fault:
            log.error("a generator is not ordered", why=str(fault))
            return False

    async def is_running(self, deadline_s: float) -> bool | None:
        """As the controls read."""
        return await self._controls.is_running(deadline_s)

    async def read_mw(self, deadline_s: float) -> float | None:
        """As the controls read."""
        return await self._controls.read_mw(deadline_s)

    async def close(self) -> None:
        """Close the connection."""
        await self._controls.close()
