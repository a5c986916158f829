"""Settles each operating day after it has ended, and again when a price or a meter reading of it changes or a call or an award of it comes
late, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Engine

from dispatch.decide.state import State
from dispatch.settlement.document import DayStatement
from dispatch.settlement.signals import last_journal_row, spans_received_since
from dispatch.site_file.setup import Setup
from dispatch.store import JournalBroken, LedgerUnavailable
from dispatch.store.prices import intervals_repriced_since, last_price_seq
from dispatch.store.received import intervals_metered_since, last_document_number
from dispatch.store.statements import kept_statement
from dispatch.store.telemetry import Telemetry
from markets.grid import OperatingDay

log = structlog.get_logger()

# The last interval's price is known two minutes after it: the day is settled a little later.
SETTLE_AFTER = timedelta(minutes=6)
REVISED_EVERY = timedelta(hours=1)


class NightlySettlement:
    """Called after every tick: saves telemetry, and settles and writes the days that are due.

    A settlement takes seconds and a call must not wait for it, so it runs in a thread, one day at a time. `at_once` waits for it instead:
    in a replay, later facts must not be known to it. `notifies`: a new version is sent to the addresses of the site file."""

    def __init__(
        self, setup: Setup, data: Path, engine: Engine, telemetry: Telemetry, *, at_once: bool = False, notifies: bool = False
    ) -> None:
        self._setup, self._data, self._engine, self._telemetry, self._at_once = setup, data, engine, telemetry, at_once
        self._notifies = notifies
        self._today: OperatingDay | None = None
        self._checked_at: datetime | None = None
        self._known = (0, 0, 0)  # the journal rows of the newest price and of all, the number of the newest received document
        self._due: deque[OperatingDay] = deque()
        self._work: asyncio.Task[None] | None = None

    async def __call__(self, at: datetime, state: State) -> None:
        """After a tick at `at`."""
        try:
            self._telemetry.flush()
            self._queue_due_days(at)
        except (OSError, LedgerUnavailable, JournalBroken) as error:
            log.error("Telemetry cannot be written or the ledger cannot be read.", error=str(error))
        if self._due and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(asyncio.to_thread(self._settle_all))
        if self._at_once:
            await self.finish()

    async def finish(self) -> None:
        """Wait until everything that is due is settled."""
        if self._work is not None:
            await self._work

    def _queue_due_days(self, at: datetime) -> None:
        market = self._setup.site.market
        if self._today is None:
            self._today, self._known, self._checked_at = OperatingDay.of(market, at), self._newest(), at
            self._queue_if_missed(OperatingDay.of(market, self._today.start - timedelta(hours=1)))
        elif at - SETTLE_AFTER >= self._today.end:
            self._queue_changed_days(at, self._today.start)
            self._due.append(self._today)
            self._today = OperatingDay.of(market, at)
        elif self._checked_at is not None and at - self._checked_at >= REVISED_EVERY:
            self._queue_changed_days(at, self._today.start)

    def _queue_changed_days(self, at: datetime, before: datetime) -> None:
        self._checked_at, known, self._known = at, self._known, self._newest()
        changed = dict.fromkeys(self._changed_since(known, before))
        self._due.extend(day for day in changed if self._kept(day) and day not in self._due)

    def _changed_since(self, known: tuple[int, int, int], before: datetime) -> Iterator[OperatingDay]:
        """The days before an instant for which prices, meter readings, calls or awards came since."""
        market, (price_seq, seq, number) = self._setup.site.market, known
        starts = [*intervals_repriced_since(self._engine, price_seq, before), *intervals_metered_since(self._engine, number, before)]
        yield from (OperatingDay.of(market, start) for start in starts)
        for over in spans_received_since(self._engine, seq, before):
            day = OperatingDay.of(market, over.start)
            while day.start < over.end:
                yield day
                day = OperatingDay.of(market, day.end)

    def _newest(self) -> tuple[int, int, int]:
        return last_price_seq(self._engine), last_journal_row(self._engine), last_document_number(self._engine)

    def _queue_if_missed(self, day: OperatingDay) -> None:
        """The day before the start: it was not settled when the process was down over midnight."""
        if not self._kept(day):
            self._due.append(day)

    def _kept(self, day: OperatingDay) -> bool:
        return kept_statement(self._engine, day.on, day.market.value) is not None

    def _settle_all(self) -> None:
        telemetry = self._telemetry.read_as(self._setup.site)  # a reader of its own: the loop keeps writing to the other
        while self._due:
            day = self._due.popleft()
            self._settle_one(telemetry, day)
            for earlier in self._superseded(day):
                self._settle_one(telemetry, earlier)

    def _superseded(self, day: OperatingDay) -> list[OperatingDay]:
        """The days before it whose charge for a coincident peak no longer holds."""
        from dispatch.settlement.superseded_peaks import days_with_superseded_peaks

        try:
            return days_with_superseded_peaks(self._engine, self._setup, day)
        except Exception as error:  # a report must never stop the site
            log.error("The coincident peaks of earlier days could not be compared.", day=str(day.on), error=repr(error))
            return []

    def _settle_one(self, telemetry: Telemetry, day: OperatingDay) -> None:
        document = settle_and_write(self._setup, self._data, self._engine, telemetry, day)
        if document is not None and self._notifies:
            from dispatch.alerting.send import send_statement

            readers = self._setup.alerts.to if document["narrative"]["actions"] else ()
            send_statement(document, tuple(dict.fromkeys([*self._setup.reports.notify, *readers])), self._setup.resolve)


def settle_and_write(setup: Setup, data: Path, engine: Engine, telemetry: Telemetry, day: OperatingDay) -> DayStatement | None:
    """Settle a day and write its files to DATA/settlements; the statement when it is a new version, else None. Errors are logged."""
    from dispatch.reports.write import write_day
    from dispatch.settlement.day import settle_day

    try:
        before = kept_statement(engine, day.on, day.market.value)
        document = settle_day(engine, telemetry, day, setup)
        write_day(document, data / "settlements")
        log.info("Settled a day.", day=str(day.on), net_usd=document["net_usd"], version=document["version"])
        return document if before is None or document["version"] > before.version else None
    except LookupError:
        log.info("Nothing was run on the day.", day=str(day.on))
    except Exception as error:  # a report must never stop the site
        log.error("The day could not be settled.", day=str(day.on), error=repr(error))
    return None
