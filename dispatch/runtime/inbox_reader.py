"""What was pushed into the inbox, as the control loop takes it in: each call, award and hold once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING

import structlog

from dispatch.clock import Clock, wall_now
from dispatch.decide.renamed_contracts import current_name
from dispatch.decide.state import State
from dispatch.entries import Hold
from dispatch.signals.documents import InvalidDocument, parse_award, parse_call, parse_hold
from dispatch.signals.hold_proposals import PROPOSAL
from dispatch.store import LedgerUnavailable
from markets.facts import Fact

if TYPE_CHECKING:
    from dispatch.store.inbox import Inbox, InboxRow

log = structlog.get_logger()

INBOX_POLL_S = 0.1  # wall seconds


class InboxReader:
    """Reads an inbox in the order of arrival; None where nothing can be pushed. `wall` is the clock that its rows carry, `pushed_by` the
    keys that pushed what was read last (see `Seen`)."""

    def __init__(self, inbox: Inbox | None, clock: Clock, wall: Callable[[], datetime] = wall_now) -> None:
        self._inbox, self._clock, self._wall, self._cursor = inbox, clock, wall, 0
        self.pushed_by: dict[str, str] = {}

    def read(self, state: State, at: datetime, alerts: dict[str, str]) -> tuple[list[Fact], tuple[Hold, ...], int]:
        """The facts and holds after the state's cursor, and the new cursor; what cannot be read is added to the alerts."""
        self.pushed_by = {}
        if self._inbox is None:
            return [], (), state.inbox_cursor
        try:
            rows = self._inbox.after(state.inbox_cursor)
        except LedgerUnavailable as fault:
            alerts["inbox"] = str(fault)
            return [], (), state.inbox_cursor
        facts: list[Fact] = []
        holds: list[Hold] = []
        for row in rows:
            try:
                self._read_row(row, state, at, facts, holds)
            except InvalidDocument as faults:  # it was valid when it came in; the book may have changed since
                alerts["inbox"] = f"{row.kind} in inbox row {row.id} cannot be used: {faults}"
        self._cursor = rows[-1].id if rows else state.inbox_cursor
        return facts, tuple(holds), self._cursor

    def _read_row(self, row: InboxRow, state: State, at: datetime, facts: list[Fact], holds: list[Hold]) -> None:
        """Add one pushed document to the facts or the holds. Raises InvalidDocument. A hold is by the API key that pushed it."""
        book = state.setup.book
        if row.kind == "call":
            call = parse_call(current_name(row.document, state), book, at, arrived_at=self._arrived_at(row, state, at))
            facts.append(call)
            self.pushed_by[f"{call.id} version {call.version}"] = row.key_name
        elif row.kind == "award":
            facts.append(parse_award(current_name(row.document, state), state.site, book, at))
        elif row.kind == "hold":  # a proposal is none until another person confirms it
            ordered = {key: value for key, value in row.document.items() if key != PROPOSAL}
            holds.append(parse_hold({"id": f"hold-{row.id}", **ordered}, state.site, row.key_name, at))
            self.pushed_by[holds[-1].id] = row.key_name

    def _arrived_at(self, row: InboxRow, state: State, at: datetime) -> datetime:
        """When a document came in, by the world's clock: a call for "now" that came while nobody read the inbox was for then. Time that
        moves only while something waits for it, and a simulated time before its restart, did not pass meanwhile."""
        waited_s = max(0.0, (self._wall() - row.at).total_seconds()) * self._clock.speed
        if not isfinite(waited_s) or state.seen_at is None:
            return at
        return max(at - timedelta(seconds=waited_s), min(state.seen_at, at))

    async def waits(self) -> None:
        """Returns as soon as something pushed is not yet read."""
        while self._inbox is None:
            await asyncio.Event().wait()
        while True:
            try:
                if self._inbox.newest() > self._cursor:
                    return
            except LedgerUnavailable as fault:
                log.warning("inbox cannot be read", error=str(fault))
            await asyncio.sleep(INBOX_POLL_S)
