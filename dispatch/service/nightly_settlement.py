"""Nightly: settles the operating day that ended, and any day before whose prices changed or whose meter spoke, beside the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine

from dispatch.decide.state import State
from dispatch.settlement.document import DayStatement
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.prices import newest_seq, revised_since
from dispatch.store.received import metered_since, newest_received
from dispatch.store.statements import kept
from dispatch.store.telemetry import Telemetry
from markets.grid import OperatingDay

log = structlog.get_logger()

# The last interval's price is known two minutes after it: the day is settled a little later.
SETTLE_AFTER = timedelta(minutes=6)
REVISED_EVERY = timedelta(hours=1)


class Nightly:
    """What follows a tick: telemetry is made durable, and days that are due are settled and written.

    A settlement takes seconds and a call must not wait for it: it runs in a thread of its own, one day at a time. `at_once` waits for it
    instead, where time is not the wall's and what is known must not run ahead (replay). `notifies`: people are told of a new version,
    as the site file says."""

    def __init__(
        self, setup: Setup, data: Path, engine: Engine, telemetry: Telemetry, *, at_once: bool = False, notifies: bool = False
    ) -> None:
        self._setup, self._data, self._engine, self._telemetry, self._at_once = setup, data, engine, telemetry, at_once
        self._notifies = notifies
        self._today: OperatingDay | None = None
        self._looked: datetime | None = None
        self._known = (0, 0)  # the last price's journal row, the last document that came
        self._due: deque[OperatingDay] = deque()
        self._work: asyncio.Task[None] | None = None

    async def __call__(self, at: datetime, state: State) -> None:
        """After a tick at `at`."""
        try:
            self._telemetry.flush()
            self._look(at)
        except (OSError, LedgerUnavailable) as fault:
            log.error("telemetry or ledger does not answer", error=str(fault))
        if self._due and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(asyncio.to_thread(self._settle_all))
        if self._at_once:
            await self.finish()

    async def finish(self) -> None:
        """Until everything that is due is settled."""
        if self._work is not None:
            await self._work

    def _look(self, at: datetime) -> None:
        market = self._setup.site.market
        if self._today is None:
            self._today, self._known, self._looked = OperatingDay.of(market, at), self._newest(), at
            self._missed(OperatingDay.of(market, self._today.start - timedelta(hours=1)))
        elif at - SETTLE_AFTER >= self._today.end:
            self._due.append(self._today)
            self._today, self._known, self._looked = OperatingDay.of(market, at), self._newest(), at
        elif self._looked is not None and at - self._looked >= REVISED_EVERY:
            self._looked, (seq, number), self._known = at, self._known, self._newest()
            before = self._today.start
            starts = [*revised_since(self._engine, seq, before), *metered_since(self._engine, number, before)]
            self._due.extend(d for d in dict.fromkeys(OperatingDay.of(market, s) for s in starts) if self._kept(d) and d not in self._due)

    def _newest(self) -> tuple[int, int]:
        return newest_seq(self._engine), newest_received(self._engine)

    def _missed(self, day: OperatingDay) -> None:
        """The day before the start: nobody settled it when the process was down over midnight."""
        if not self._kept(day):
            self._due.append(day)

    def _kept(self, day: OperatingDay) -> bool:
        return kept(self._engine, day.on, day.market.value) is not None

    def _settle_all(self) -> None:
        reading = self._telemetry.read_as(self._setup.site)  # the loop writes to its own meanwhile
        while self._due:
            document = settle_and_write(self._setup, self._data, self._engine, reading, self._due.popleft())
            if document is not None and self._notifies and self._setup.reports.notify:
                from dispatch.service.notify import send_statement

                send_statement(document, self._setup.reports.notify, self._setup.resolve)


def settle_and_write(setup: Setup, data: Path, engine: Engine, telemetry: Telemetry, day: OperatingDay) -> DayStatement | None:
    """The day's statement into the ledger and DATA/settlements; a fault is logged and the site goes on. The statement, when it is a version
    that was not there before and is written."""
    from dispatch.reports.write import write_day
    from dispatch.settlement.day import settle_day

    try:
        before = kept(engine, day.on, day.market.value)
        document = settle_day(engine, telemetry, day, setup)
        write_day(document, data / "settlements")
        log.info("settled", day=str(day.on), net_usd=document["net_usd"], version=document["version"])
        return document if before is None or document["version"] > before.version else None
    except LookupError:
        log.info("nothing was run", day=str(day.on))
    except Exception as fault:  # a report must never stop the site
        log.error("the day could not be settled", day=str(day.on), error=repr(fault))
    return None
