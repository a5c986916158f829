"""What every route shares: the opened ledger, the live view of its journal, the clock, and a limit on what-ifs that run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import Depends, Request

from dispatch.clock import Clock
from dispatch.decide.state import State
from dispatch.offers.make import Offering
from dispatch.offers.proved import Proof, newest_certificate
from dispatch.settlement.peak_scorecard import LiveScorecards
from dispatch.signals.documents import InvalidDocument
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.spare_journal import waiting_entries
from dispatch.web.errors import Refusal
from dispatch.web.journal_tail import JournalTail, Ledger
from dispatch.web.known_keys import Key
from dispatch.web.live_view import LiveView
from dispatch.web.read_statements import ReadStatements
from dispatch.web.state_document import Health, StateDocument, state_document
from dispatch.web.stop_answers import StopAnswers
from dispatch.what_if.base_plans import BasePlans
from dispatch.what_if.baseline import Baseline
from dispatch.what_if.reference_day import ReferenceDayPrices
from markets import UnknownPrice, counted
from markets.outlook import PriceBasis

log = structlog.get_logger()
T = TypeVar("T")

RETRY_OPEN_S = 1.0
MAX_RUNNING = 2  # what-ifs solved at the same time
MAX_WAITING = 32  # what-ifs that may wait for their turn
LATE_TICKS = 3


class ApiContext:
    """What every route needs; a request is refused with 503 while the ledger is not open."""

    def __init__(self, data_dir: Path, setup: Setup, clock: Clock) -> None:
        self.data_dir, self.setup, self.clock = data_dir, setup, clock
        self._ledger: Ledger | None = None
        self._tail: JournalTail | None = None
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._what_ifs = 0
        self._bases: BasePlans | None = None
        self._bases_seq = 0
        self.scorecards = LiveScorecards()
        self.statements = ReadStatements()
        self.stops = StopAnswers(data_dir)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the ledger, retrying until it can be opened, and follow its journal until the context ends."""
        follower = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self.close()
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
            if self._ledger is not None:
                self._ledger.engine.dispose()

    async def _follow(self) -> None:
        while self._ledger is None:
            try:
                ledger = await asyncio.to_thread(Ledger.open, self.data_dir)
                self._tail = await asyncio.to_thread(JournalTail, ledger, State.start(self.setup, setup_from_document))
                self._ledger = ledger
            except LedgerUnavailable as fault:
                log.warning("the ledger cannot be opened yet; trying again", error=str(fault))
                await asyncio.sleep(RETRY_OPEN_S)
        assert self._tail is not None
        await self._tail.follow()

    def close(self) -> None:
        """End every open event stream."""
        if self._tail is not None:
            self._tail.close()

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            raise Refusal(503, "The ledger is not open yet")
        return self._ledger

    @property
    def tail(self) -> JournalTail:
        if self._tail is None:
            raise Refusal(503, "The ledger is not open yet")
        return self._tail

    @property
    def view(self) -> LiveView:
        """The live view, once the journal has been read to its end. Raises Refusal before that."""
        tail = self.tail
        if not tail.caught_up:
            raise Refusal(503, tail.failure or f"Reading the journal, now at row {tail.view.state.seq}")
        return tail.view

    @property
    def is_starting(self) -> bool:
        """Whether the journal is being read for the first time, and nothing hinders it."""
        return self._tail is not None and not self._tail.was_read and not self._tail.failure

    def now(self) -> datetime:
        return self.clock.now()

    def key(self, secret: str) -> Key | None:
        """The API key with this secret, None when there is none. Raises Refusal."""
        try:
            return self.ledger.keys.check(secret)
        except LedgerUnavailable as fault:
            raise Refusal(503, f"The ledger does not respond: {fault}") from None

    def key_named(self, name: str) -> Key | None:
        """The API key with this name while it is in force. Raises Refusal."""
        try:
            return self.ledger.keys.named(name)
        except LedgerUnavailable as fault:
            raise Refusal(503, f"The ledger does not respond: {fault}") from None

    def leader(self) -> dict[str, Any] | None:
        try:
            return self.ledger.leader()
        except LedgerUnavailable:
            return None

    def health(self) -> Health:
        """Each part as "ok" or what is wrong with it; `ready` when the ledger, the leader and the control loop are all ok and a price
        was ever seen."""
        tail, now = self.tail, self.now()
        state = tail.view.state
        seen_age_s = (now - state.seen_at).total_seconds() if state.seen_at else None
        late_after_s = LATE_TICKS * state.site.tick_s + 60.0 * max(1.0, min(self.clock.speed, 1e6))
        leader = self.leader()
        ledger = tail.failure or ("ok" if tail.caught_up else f"reading the journal, now at row {state.seq}")
        loop = "ok" if seen_age_s is not None and seen_age_s <= late_after_s else _late(seen_age_s)
        priced = state.price_basis != PriceBasis.SAFE_STATE or any(state.facts.prices.values())
        if waiting := waiting_entries(self.data_dir):
            ledger = f"cannot be written: {counted(waiting, 'journal row')} in the spare file"
        prices = "ok" if state.price_basis == "real-time" else f"{state.price_basis}: {state.price_basis_reason}".rstrip(": ")
        return {
            "ready": ledger == "ok" and leader is not None and loop == "ok" and priced,
            "ledger": ledger,
            "leader": "ok" if leader else "no process holds the leader lease",
            "loop": loop,
            "plan": state.plan_failed or ("ok" if state.plan is not None else "no plan yet"),
            "prices": prices,
            "seen_age_s": seen_age_s,
            "rigs_reachable": sum(g.reachable for g in state.fleet.values()),
        }

    def state(self) -> StateDocument:
        """The answer of `GET /api/v1/state`. Raises Refusal."""
        return state_document(self.view, self.now(), self.leader(), self.health(), self.clock.speed)

    def base_plans(self) -> BasePlans:
        """The plans that a what-if asked now compares with: the same until the journal has news. Raises Refusal before the first
        observation."""
        state = self.view.state
        if state.seen_at is None:
            raise Refusal(503, "Nothing has been observed yet, so there are no prices for a what-if")
        if self._bases is None or self._bases_seq != state.seq:
            baseline = Baseline.of(state, self.now(), ReferenceDayPrices(state))
            self._bases, self._bases_seq = BasePlans(baseline), state.seq
        return self._bases

    def offering(self, on: date, risk_weight: float) -> Offering:
        """What offers of an operating day are made from now. Raises Refusal before the first observation."""
        state = self.view.state
        if state.seen_at is None:
            raise Refusal(503, "Nothing has been observed yet, so there are no prices for offers")
        return Offering(state, self.now(), on, self.proof(), risk_weight)

    def proof(self) -> Proof:
        """What is known of how the site sheds load."""
        state = self.view.state
        certificate = newest_certificate(self.data_dir, state.setup.reports.certificate_keys)
        return Proof(state.site, {name: group.shed_curve for name, group in state.fleet.items()}, certificate)

    async def run_what_if(self, work: Callable[[], T]) -> T:
        """Run a what-if in a thread, at most MAX_RUNNING at the same time. Raises Refusal when too many wait or the scenario is wrong."""
        if self._what_ifs >= MAX_RUNNING + MAX_WAITING:
            raise Refusal(429, f"{counted(self._what_ifs, 'what-if')} already running or waiting")
        self._what_ifs += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        except InvalidDocument as faults:
            raise Refusal(422, "The scenario is not valid", faults.faults) from None
        except UnknownPrice as unknown:
            raise Refusal(503, f"No plan is made: {unknown}. See the price basis and the alerts of GET /api/v1/state") from None
        finally:
            self._what_ifs -= 1


def _late(age_s: float | None) -> str:
    return "nothing has been observed yet" if age_s is None else f"the last observation is {age_s:.0f} s old"


def _context_of(request: Request) -> ApiContext:
    """The context of the application that a request came to."""
    found: ApiContext = request.app.state.context
    return found


Context = Annotated[ApiContext, Depends(_context_of)]
