"""Eyes: what became known since the last look, from sources, inbox and rigs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from dispatch.clock import Clock
from dispatch.decide.state import State
from dispatch.entries import GroupSeen, Hold, Seen
from dispatch.meters.readings import MeterReadings
from dispatch.signals.documents import InvalidDocument, parse_award, parse_call, parse_hold
from dispatch.store import LedgerUnavailable
from dispatch.store.inbox import Inbox, InboxRow
from markets import SourceError
from markets.facts import Fact, Price
from markets.sources.source import Source

log = structlog.get_logger()

FIRST_LOOK_BACK = timedelta(days=2)  # what a first start asks of its sources: yesterday's hours stand in for tomorrow's
INBOX_POLL_S = 0.1  # wall seconds
SAID_STANDS = timedelta(hours=6)  # how long what a source finds odd is shown
SAID_MOST = 5
RIGS = "rigs"  # the name under which alerts with the fleet stand


class Fleet(Protocol):
    """What the observer need of the crew."""

    async def refresh(self) -> None: ...

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]: ...

    @property
    def panel(self) -> MeterReadings: ...


@dataclass(slots=True)
class PolledSource:
    """A source and how often to ask it, world seconds; `beside` the loop where asking takes time, at the look itself where it does not."""

    source: Source
    period_s: float = 60.0
    beside: bool = False
    asked: datetime | None = None
    found: list[Fact] = field(default_factory=list)
    trouble: str = ""
    said: list[tuple[datetime, str]] = field(default_factory=list)

    def odd(self, at: datetime) -> str:
        """What the source found odd of late, newest last: live sources say it in `findings`, which are taken from there."""
        findings = getattr(self.source, "findings", None)
        while findings:
            self.said.append((at, findings.popleft()))
        self.said = [(when, text) for when, text in self.said if at - when < SAID_STANDS][-SAID_MOST:]
        return "; ".join(text for _, text in self.said)


class SiteObserver:
    """Eyes on sources, an inbox (None where nothing can be pushed) and a fleet."""

    def __init__(
        self, clock: Clock, watched: Sequence[PolledSource], fleet: Fleet, inbox: Inbox | None, *, refresh_each_look: bool
    ) -> None:
        self._clock, self._watched, self._fleet, self._inbox = clock, watched, fleet, inbox
        self._refresh = refresh_each_look
        self._looked = False
        self._remembers = asyncio.Event()
        self._cursor = 0

    async def watch(self) -> None:
        """Ask the slow sources, each on its own period, for ever; run it as a task beside the loop. Let go of every source at the end."""
        try:
            await self._remembers.wait()
            async with asyncio.TaskGroup() as tasks:
                for watched in self._watched:
                    if watched.beside:
                        tasks.create_task(self._ask_for_ever(watched))
                await asyncio.Event().wait()
        finally:
            closes = [w.source.aclose() for w in self._watched if hasattr(w.source, "aclose")]
            await asyncio.gather(*closes, return_exceptions=True)

    def _remember(self, state: State) -> None:
        """Tell live sources what the journal holds of their prices, so that none is told twice over a restart."""
        prices = [p for shelves in (state.facts.prices, state.facts.reserves) for shelf in shelves.values() for p in shelf]
        for watched in self._watched:
            if (told := getattr(watched.source, "published", None)) is not None:
                told.restore(sorted(prices, key=lambda p: p.known_at))
        self._remembers.set()

    async def _ask_for_ever(self, watched: PolledSource) -> None:
        while True:
            now = self._clock.now()
            await _ask(watched, watched.asked or now - FIRST_LOOK_BACK, now)
            await self._clock.sleep_until(now + timedelta(seconds=watched.period_s))

    async def observe(self, at: datetime, state: State) -> Seen:
        if not self._remembers.is_set():
            self._remember(state)
        for watched in self._watched:
            if not watched.beside:
                await _ask(watched, state.seen_at or at - FIRST_LOOK_BACK, at)
        if self._refresh or not self._looked:
            await self._fleet.refresh()
        facts, alerts = self._gather(state, at)
        pushed, holds, cursor = self._pushed(state, at, alerts)
        fleet = self._fleet.snapshot(at)
        if silent := _silent(state, fleet):
            alerts[RIGS] = silent
        alerts |= self._fleet.panel.alerts(at)
        self._looked = True
        return Seen(
            at=at,
            facts=(*facts, *pushed),
            holds=holds,
            fleet=fleet,
            inbox=cursor,
            alerts=alerts,
            asked=self._asked(),
            meters=self._fleet.panel.fresh(at),
        )

    def _asked(self) -> tuple[str, ...]:
        """Everything that would be named among the alerts if it had any."""
        odd = (_odd(w) for w in self._watched if hasattr(w.source, "findings"))
        return tuple(sorted({"inbox", RIGS, *odd, *self._fleet.panel.asked(), *(w.source.name for w in self._watched if w.asked)}))

    def _gather(self, state: State, at: datetime) -> tuple[list[Fact], dict[str, str]]:
        facts: list[Fact] = []
        alerts = {}
        for watched in self._watched:
            fresh, watched.found = watched.found, []
            facts += [f for f in fresh if not _known(state, f)]
            if watched.trouble:
                alerts[watched.source.name] = watched.trouble
            if odd := watched.odd(at):
                alerts[_odd(watched)] = odd
        return facts, alerts

    def _pushed(self, state: State, at: datetime, alerts: dict[str, str]) -> tuple[list[Fact], tuple[Hold, ...], int]:
        if self._inbox is None:
            return [], (), state.inbox
        try:
            rows = self._inbox.after(state.inbox)
        except LedgerUnavailable as fault:
            alerts["inbox"] = str(fault)
            return [], (), state.inbox
        facts: list[Fact] = []
        holds: list[Hold] = []
        for row in rows:
            try:
                _sort_in(row, state, at, facts, holds)
            except InvalidDocument as faults:  # it was validated when it came; the book may have changed since
                alerts["inbox"] = f"{row.kind} in inbox row {row.id} cannot be used: {faults}"
        self._cursor = rows[-1].id if rows else state.inbox
        return facts, tuple(holds), self._cursor

    async def urgent(self) -> None:
        while self._inbox is None:
            await asyncio.Event().wait()
        while True:
            try:
                if self._looked and self._inbox.newest() > self._cursor:
                    return
            except LedgerUnavailable as fault:
                log.warning("inbox cannot be read", error=str(fault))
            await asyncio.sleep(INBOX_POLL_S)


def _odd(watched: PolledSource) -> str:
    return f"{watched.source.name}, of late"


def _silent(state: State, fleet: Mapping[str, GroupSeen]) -> str:
    """The groups of which fewer than half of the rigs answer, in words."""
    rigs = {g.name: g.rigs for g in state.site.groups}
    few = [(name, look.reachable) for name, look in fleet.items() if 2 * look.reachable < rigs[name]]
    return "; ".join(f"group {name}: {n} of {rigs[name]} rigs responding" for name, n in few)


def _sort_in(row: InboxRow, state: State, at: datetime, facts: list[Fact], holds: list[Hold]) -> None:
    """One pushed document to where it belongs, taken in at `at`; its source is the key that pushed it."""
    if row.kind == "call":
        facts.append(parse_call(row.document, state.setup.book, at))
    elif row.kind == "award":
        facts.append(parse_award(row.document, state.setup.book, at))
    else:
        holds.append(parse_hold({"id": f"hold-{row.id}", **row.document}, state.site, row.key_name))


async def _ask(watched: PolledSource, since: datetime, until: datetime) -> None:
    """One question to a source. A failure is remembered in words until the next answer; logged once, and once when it is over."""
    try:
        if until > since:
            watched.found += await watched.source.fetch(since, until)
        watched.asked = until
        if watched.trouble:
            log.info("source recovered", source=watched.source.name)
        watched.trouble = ""
    except SourceError as fault:
        if not watched.trouble:
            log.warning("source failed", source=watched.source.name, error=str(fault), kind=type(fault).__name__)
        watched.trouble = f"{type(fault).__name__}: {fault}"
        watched.asked = watched.asked or since


def _known(state: State, fact: Fact) -> bool:
    """Whether a price says nothing new: after a restart a live source tells again what the journal already holds."""
    if not isinstance(fact, Price):
        return False
    shelf = state.facts.prices.get((fact.point, fact.market), ())
    return any(p.over == fact.over and p.usd_per_mwh == fact.usd_per_mwh for p in reversed(shelf))
