"""A generator that Loadstone starts, stops and meters: what it is asked to do, what it does, and the two ways in which it fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from dispatch.clock import Clock
from dispatch.entries import GeneratorSeen
from dispatch.meters import GeneratorControls

log = structlog.get_logger()

ANSWER_WALL_S = 2.0


class GeneratorState(StrEnum):
    """What a generator does. One that failed is not ordered to run, and not planned, until it may be tried again or is seen running."""

    UNKNOWN = "unknown"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    START_FAILED = "start failed"
    TRIPPED = "tripped"


FAILED = (GeneratorState.START_FAILED, GeneratorState.TRIPPED)


@dataclass(slots=True)
class GeneratorUnit:
    """One generator; seconds of the world's clock.

    start_s     within which it must be seen running after an order to start
    retry_s     after which one that failed may be started again
    orders      False in a dry run: it is read, and never switched
    wanted      what the decisions ask for; None: as it is
    since       since when it is in its state
    mw          what it makes as last read
    """

    name: str
    controls: GeneratorControls
    clock: Clock
    start_s: float = 120.0
    retry_s: float = 3600.0
    orders: bool = True
    wanted: bool | None = None
    state: GeneratorState = GeneratorState.UNKNOWN
    since: datetime | None = None
    unanswered: bool = False
    mw: float | None = None

    async def tend(self) -> None:
        """Read it, name what became of the last order, and order what is wanted. Never raises for the machine."""
        running, self.mw = await self.controls.is_running(ANSWER_WALL_S), await self.controls.read_mw(ANSWER_WALL_S)
        now, self.unanswered = self.clock.now(), running is None
        if running is None:
            return  # what does not answer is not switched, and counts as what it was last known to be
        was = self.state
        self._judge(running, now)
        if not self.orders:
            return
        if self.state in FAILED and self.state is not was:
            await self.controls.command(False, ANSWER_WALL_S)  # so that it does not start later by itself
        elif self.wanted is not None and self.wanted is not running:
            await self._order(self.wanted, now)

    def _judge(self, running: bool, now: datetime) -> None:
        if running:
            self._set(GeneratorState.RUNNING, now)
        elif not self.orders:
            self._set(GeneratorState.STOPPED, now)  # others start and stop it
        elif self.state is GeneratorState.RUNNING and self.wanted is not False:
            self._set(GeneratorState.TRIPPED, now)
        elif self.state is GeneratorState.STARTING and self._for_s(now) >= self.start_s:
            self._set(GeneratorState.START_FAILED, now)
        elif self.state not in FAILED and (self.state is not GeneratorState.STARTING or self.wanted is False):
            self._set(GeneratorState.STOPPED, now)

    async def _order(self, run: bool, now: datetime) -> None:
        if run and self.state is GeneratorState.STARTING:
            return
        if run and self.state in FAILED and self._for_s(now) < self.retry_s:
            return
        taken = await self.controls.command(run, ANSWER_WALL_S)
        log.info("generator ordered", generator=self.name, run=run, taken=taken)
        if run:
            self._set(GeneratorState.STARTING if taken else GeneratorState.START_FAILED, now)

    def seen(self) -> GeneratorSeen:
        """As the journal has it."""
        return GeneratorSeen(state=self.state.value, since=self.since, mw=self.mw, wanted=self.wanted, out_until=self.out_until())

    def out_until(self) -> datetime | None:
        """Until when one that failed is not started; None where it can run."""
        return self.since + timedelta(seconds=self.retry_s) if self.state in FAILED and self.since is not None else None

    def alert(self) -> str:
        """What is wrong, in a sentence; empty when nothing is."""
        if self.unanswered:
            return f"generator {self.name} does not answer: it is not switched"
        if (until := self.out_until()) is None:
            return ""
        what = "did not start" if self.state is GeneratorState.START_FAILED else "tripped"
        return f"generator {self.name} {what}, seen at {self.since:%H:%M:%S}Z: it is planned and started again from {until:%H:%M}Z on"

    def _for_s(self, now: datetime) -> float:
        return (now - self.since).total_seconds() if self.since else 0.0

    def _set(self, state: GeneratorState, now: datetime) -> None:
        if state is not self.state:
            log.log(30 if state in FAILED else 20, "generator", generator=self.name, state=state.value, was=self.state.value)
            self.state, self.since = state, now
