"""The desk behind the routes: the ledger once it opens, the view of it, the clock, and how many what-ifs run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog
from fastapi import Request

from dispatch.clock import Clock
from dispatch.decide.state import State
from dispatch.signals.documents import InvalidDocument
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.web import documents
from dispatch.web.auth import Key
from dispatch.web.errors import Refusal
from dispatch.web.journal_tail import Ledger, Tail
from dispatch.web.live_view import View
from dispatch.what_if.baseline import Baseline
from dispatch.what_if.reference_day import PricesOn

log = structlog.get_logger()
T = TypeVar("T")

OPEN_EVERY_S = 1.0
AT_ONCE = 2  # what-ifs that are solved at once
WAITING = 32  # and that may wait their turn
LATE_TICKS = 3


class ApiContext:
    """What every route needs. Refuses with 503 while the ledger is not there."""

    def __init__(self, data_dir: Path, setup: Setup, clock: Clock) -> None:
        self.data_dir, self.setup, self.clock = data_dir, setup, clock
        self._ledger: Ledger | None = None
        self._tail: Tail | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._in_line = 0

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Opens the ledger as soon as it can be, and follows it until the end."""
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
                self._ledger = await asyncio.to_thread(Ledger.open, self.data_dir)
            except LedgerUnavailable as fault:
                log.warning("the ledger cannot be opened yet", error=str(fault))
                await asyncio.sleep(OPEN_EVERY_S)
        self._tail = Tail(self._ledger.journal, State.start(self.setup, setup_from_document))
        await self._tail.follow()

    def close(self) -> None:
        """Let every open stream end."""
        if self._tail is not None:
            self._tail.close()

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            raise Refusal(503, "The ledger is not open yet")
        return self._ledger

    @property
    def tail(self) -> Tail:
        if self._tail is None:
            raise Refusal(503, "The ledger is not open yet")
        return self._tail

    @property
    def view(self) -> View:
        """The view, once it has read the journal to its end. Raises Refusal."""
        tail = self.tail
        if not tail.caught_up:
            raise Refusal(503, tail.trouble or f"Reading the journal: at row {tail.view.state.seq}")
        return tail.view

    def now(self) -> datetime:
        return self.clock.now()

    def key(self, secret: str) -> Key | None:
        """The API key of a secret. Raises Refusal."""
        try:
            return self.ledger.keys.check(secret)
        except LedgerUnavailable as fault:
            raise Refusal(503, f"The ledger does not answer: {fault}") from None

    def leader(self) -> dict[str, Any] | None:
        try:
            return self.ledger.leader()
        except LedgerUnavailable:
            return None

    def health(self) -> dict[str, Any]:
        """How the parts fare; `ready` when the site is led, followed and seen in time."""
        tail, now = self.tail, self.now()
        state = tail.view.state
        seen_age_s = (now - state.seen_at).total_seconds() if state.seen_at else None
        late_after_s = LATE_TICKS * state.site.tick_s + 60.0 * max(1.0, min(self.clock.speed, 1e6))
        leader = self.leader()
        checks = {
            "ledger": tail.trouble or ("ok" if tail.caught_up else f"reading the journal: at row {state.seq}"),
            "leader": "ok" if leader else "nobody leads the site",
            "loop": "ok" if seen_age_s is not None and seen_age_s <= late_after_s else _late(seen_age_s),
            "plan": state.plan_failed or ("ok" if state.plan is not None else "no plan yet"),
            "prices": "ok" if state.price_basis == "real-time" else f"{state.price_basis}: {state.price_basis_reason}".rstrip(": "),
        }
        ready = all(checks[k] == "ok" for k in ("ledger", "leader", "loop"))
        return {"ready": ready, **checks, "seen_age_s": seen_age_s, "rigs_reachable": sum(g.reachable for g in state.fleet.values())}

    def state(self) -> dict[str, Any]:
        """`state --json`. Raises Refusal."""
        return documents.state_document(self.view, self.now(), self.leader(), self.health(), self.clock.speed)

    def ground(self) -> Baseline:
        """What a what-if stands on now. Raises Refusal."""
        state = self.view.state
        if state.seen_at is None:
            raise Refusal(503, "Nothing has been seen yet: there are no prices to imagine from")
        return Baseline.of(state, self.now(), PricesOn(state))

    async def imagine(self, work: Callable[[], T]) -> T:
        """Run a what-if beside the event loop, a few at a time. Raises Refusal."""
        if self._in_line >= AT_ONCE + WAITING:
            raise Refusal(429, f"{self._in_line} what-ifs are under way or waiting")
        self._in_line += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        except InvalidDocument as faults:
            raise Refusal(422, "The scenario cannot be imagined", faults.faults) from None
        finally:
            self._in_line -= 1


def _late(age_s: float | None) -> str:
    return "nothing seen yet" if age_s is None else f"the last look is {age_s:.0f} s old"


def desk(request: Request) -> ApiContext:
    """The desk of the app that a request came to."""
    found: ApiContext = request.app.state.desk
    return found
