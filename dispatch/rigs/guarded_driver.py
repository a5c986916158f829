"""A driver that fails as a whole: its rigs count as unreachable, the other groups go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import structlog

from dispatch.meters.order_fence import Fence, check_fence, fenced, open_fence
from dispatch.rigs import Ability, Driver, Identifies, PreparesOrders, Readings, Sent
from dispatch.rigs.wire.identity import RigIdentity

log = structlog.get_logger()

# A fault may quote what a rig answered: no log line holds all of it.
MOST_TEXT = 300


class GuardedDriver:
    """The driver that `reach` opens. What that raises, or the driver itself, is logged with the group's name, once until it recovers; the
    rigs count as unreachable meanwhile. A driver that could not be opened is opened again at the next reading. `fence` says of each order
    whether it may be sent."""

    abilities = frozenset(Ability)

    def __init__(self, group: str, reach: Callable[[], Driver], now_s: Callable[[], float], fence: Fence = open_fence) -> None:
        self._group, self._reach, self._now_s, self._fence = group, reach, now_s, fence
        self._failure = ""
        self._driver: Driver | None = None
        self._orders_come = False
        try:
            self._opened()
        except Exception as fault:  # a plug-in may raise anything
            self._failed(fault)

    async def read(self, rigs: Sequence[int], deadline_s: float) -> Readings:
        """As the driver reads; nothing known of any rig where it raises."""
        try:
            found = await self._opened().read(rigs, deadline_s)
        except Exception as fault:  # a plug-in may raise anything
            self._failed(fault)
            unknown = np.full(len(rigs), np.nan)
            return Readings(np.asarray(rigs, dtype=np.int64), unknown, unknown.copy(), np.full(len(rigs), self._now_s()))
        if self._failure:
            log.info("driver recovered", group=self._group)
        self._failure = ""
        return found

    def prepare_orders(self) -> None:
        """As the driver prepares, now or when it is opened."""
        self._orders_come = True
        if isinstance(self._driver, PreparesOrders):
            self._driver.prepare_orders()

    async def identify(self, rigs: Sequence[int], deadline_s: float) -> Mapping[int, RigIdentity]:
        """As the driver identifies its rigs; none where it cannot or raises."""
        try:
            driver = self._opened()
            return await driver.identify(rigs, deadline_s) if isinstance(driver, Identifies) else {}
        except Exception as fault:  # a plug-in may raise anything
            self._failed(fault)
            return {}

    async def set_mode(self, rigs: Sequence[int], mode: str, deadline_s: float) -> Sent:
        """As the driver answers; every rig unreachable where it raises, or where the order may not be sent now."""
        try:
            with fenced(self._fence, mode):
                check_fence()
                return await self._opened().set_mode(rigs, mode, deadline_s)
        except Exception as fault:  # a plug-in may raise anything
            self._failed(fault)
            return Sent(unreachable=tuple(rigs))

    async def close(self) -> None:
        """Close the driver where there is one."""
        if self._driver is not None:
            await self._driver.close()

    def _opened(self) -> Driver:
        if self._driver is None:
            self._driver = self._reach()
            self.abilities = self._driver.abilities
            if self._orders_come and isinstance(self._driver, PreparesOrders):
                self._driver.prepare_orders()
        return self._driver

    def _failed(self, fault: Exception) -> None:
        text = repr(fault)[:MOST_TEXT]
        if text != self._failure:
            log.error("driver failed: its rigs count as unreachable", group=self._group, error=text)
        self._failure = text
