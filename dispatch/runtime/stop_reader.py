"""The global stop as the control loop takes it in: a hold that no contract, call or plan outweighs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from dispatch.decide.reflex import STOP_ID
from dispatch.decide.state import State
from dispatch.entries import Hold
from optimizer.domain.site import SLEEP

if TYPE_CHECKING:
    from dispatch.store.stop_file import StopFile

STOP_POLL_S = 0.1  # wall seconds


class StopReader:
    """Reads the file of the global stop; None where nobody can order one."""

    def __init__(self, stop: StopFile | None) -> None:
        self._stop, self._in_force = stop, False

    def holds(self, state: State, at: datetime) -> tuple[Hold, ...]:
        """The stop as a hold when it was ordered or ended since `state`; the file then says that it was read."""
        if self._stop is None:
            return ()
        order, known = self._stop.read(), state.holds.get(STOP_ID)
        self._in_force = order is not None
        if order is not None:
            self._stop.mark_read(at)
        if order is not None and known is None:
            return (Hold(id=STOP_ID, group=None, mode=SLEEP, mw_cap=None, until=None, by=order.by),)
        return (replace(known, released=True),) if order is None and known is not None else ()

    async def changes(self) -> None:
        """Returns as soon as the stop is ordered or ended, and that is not yet read."""
        while self._stop is None:
            await asyncio.Event().wait()
        while self._stop.in_force() is self._in_force:
            await asyncio.sleep(STOP_POLL_S)
