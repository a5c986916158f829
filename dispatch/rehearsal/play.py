"""Plays scenarios against a simulated site on a clock that jumps: one run of the control loop, one scenario after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from dispatch.clock import Clock, VirtualClock
from dispatch.decide.state import State
from dispatch.entries import Done, Seen
from dispatch.rehearsal.desk_protocols import DeskProtocol
from dispatch.rehearsal.dispatch_desk import DeskLine, DispatchDesk, Play
from dispatch.rehearsal.load_range import load_range
from dispatch.rehearsal.scenarios import CallScenario
from dispatch.rigs.controller import LoadCheck
from dispatch.runtime import loop
from dispatch.runtime.assemble import Assembled, replay
from dispatch.runtime.link_telemetry import LinkTelemetry
from dispatch.runtime.world import Executor, Observer
from dispatch.service.replay import run_started
from dispatch.signals.links.link_sections import LinkSettings
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Now, PricesSettings, Setup
from dispatch.store.inbox import Inbox
from dispatch.store.journal import MemoryJournal
from dispatch.store.tables import open_ledger
from markets.facts import Fact, Price
from markets.sources.source import Source
from markets.sources.synthetic import SyntheticSource

# A spring morning: no coincident peak, no obligation of a season. Rigs are kept running by a high hashprice.
START = datetime(2026, 4, 14, 15, tzinfo=UTC)
BEFORE, BETWEEN = timedelta(minutes=30), timedelta(minutes=50)
USD_PER_PH_DAY, USD_PER_MWH = 400.0, 20.0
SILENT_AFTER_S = 120.0
HORIZON_H = 4  # hours: calls do not wait for plans, and shorter ones are made sooner


class CalmPrices(PricesSettings):
    """The synthetic market at one price: no rig stops for it, and each that stops does so for a call."""

    source: str = "calm"

    def opened(self, setup: Setup, now: Now) -> Source:
        return _CalmMarket(SyntheticSource(setup.site.market, 7, setup.settlement_points))


class _CalmMarket:
    def __init__(self, market: Source) -> None:
        self.name, self.synthetic, self._market = "rehearsal", True, market

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        facts = await self._market.fetch(since, until)
        return [replace(fact, usd_per_mwh=USD_PER_MWH) if isinstance(fact, Price) else fact for fact in facts]


def rehearsed_site(setup: Setup) -> Setup:
    """A site with simulated rigs, no links and envelopes of its own, and prices at which its rigs run. Raises ConfigError."""
    document = setup.document
    groups = [{**group, "driver": {"kind": "simulated"}, "pdu": None} for group in document["groups"]]
    kept = {key: value for key, value in document.items() if key not in ("links", "envelopes", "generation")}
    site = {**document["site"], "link_loss": "hold", "horizon_h": HORIZON_H}
    hash_ = {"source": "fixed", "usd_per_ph_day": USD_PER_PH_DAY}
    made = setup_from_document({**kept, "site": site, "groups": groups, "hash": hash_, "prices": {"source": "synthetic", "seed": 7}})
    return replace(made, prices=CalmPrices(), path=setup.path)


@dataclass(frozen=True, slots=True)
class Played:
    """What a run gave: its plays, and how many simulated rigs are in another mode than at its start (in shadow none may be)."""

    plays: Sequence[Play]
    rigs_moved: int


async def play(setup: Setup, pairs: Sequence[tuple[CallScenario, DeskProtocol]], *, shadow: bool = False) -> Played:
    """Play scenarios one after the other in one run of the real loop. In `shadow` no order is sent to the simulated rigs, and what they
    would have drawn is kept. Raises what the control loop raises."""
    plays, start = [], START + BEFORE
    for scenario, protocol in pairs:
        plays.append(Play(scenario, protocol, start))
        start = plays[-1].end + BETWEEN
    clock = VirtualClock(START)
    with tempfile.TemporaryDirectory(prefix="loadstone-rehearsal-") as folder:
        engine = open_ledger(Path(folder))
        try:
            inbox = Inbox(engine)
            assembled = replay(setup, clock, _DiscardedReadings(), inbox, dry_run=shadow)
            before = _modes(assembled, setup)
            async with AsyncExitStack() as lines:
                desk = DispatchDesk(
                    plays, {p.line: await _line(p, setup, inbox, clock, assembled, lines) for p in _one_of_each_line(plays)}
                )
                inner = assembled.world
                observer, executor = _PlayedObserver(inner.observer, desk, clock), _PlayedExecutor(inner.executor, desk)
                world = replace(inner, observer=observer, executor=executor)
                started = run_started("replay", setup, START, 1, {})
                await loop.run(world, MemoryJournal(), State.start(setup, setup_from_document), started, plays[-1].end)
        finally:
            engine.dispose()
    return Played(plays, sum(a != b for a, b in zip(before, _modes(assembled, setup), strict=True)))


def _modes(assembled: Assembled, setup: Setup) -> list[str]:
    """The mode that each simulated rig was last ordered into."""
    fleet = assembled.fleet
    assert fleet is not None
    return [mode for g in setup.site.groups for mode in fleet.modes(g.name, np.arange(g.rigs))]


def _one_of_each_line(plays: Sequence[Play]) -> list[Play]:
    return list({each.line: each for each in plays}.values())


async def _line(play: Play, setup: Setup, inbox: Inbox, clock: Clock, assembled: Assembled, lines: AsyncExitStack) -> DeskLine:
    """Connect the protocol of a play with a link of the site for the contract of its scenario."""
    name, contract = f"{play.protocol.name} {play.scenario.contract}", play.scenario.contract
    settings = LinkSettings(name=name, kind="rehearsal", obligation=contract, silent_after_s=SILENT_AFTER_S)
    telemetry = LinkTelemetry(setup, assembled.controller, clock)
    site = LinkedSite(settings, setup, inbox, clock, lambda: telemetry.of(contract))
    groups = next(o.scope.names(setup.site) for o in setup.book if o.name == contract)
    return DeskLine(site, await lines.enter_async_context(play.protocol.reach(site)), load_range(setup.site, groups), groups)


class _DiscardedReadings:
    """A telemetry that keeps nothing: what is judged is what the loop observes."""

    def record(self, *_: Any) -> object:
        return None


class _PlayedExecutor:
    """An executor whose clock stops where the desk has something to say: a call interrupts the work on orders, as it does in real time."""

    def __init__(self, inner: Executor, desk: DispatchDesk) -> None:
        self._inner, self._desk = inner, desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def work(self, until: datetime) -> Done | None:
        return await self._inner.work(self._desk.no_later(until))


class _PlayedObserver:
    """An observer before which the desk sends what is due."""

    def __init__(self, inner: Observer, desk: DispatchDesk, clock: Clock) -> None:
        self._inner, self._desk, self._clock = inner, desk, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def observe(self, at: datetime, state: State) -> Seen:
        await self._desk.send_due(at)
        seen = await self._inner.observe(at, state)
        self._desk.observed(seen, state)
        return seen

    async def has_news(self, closely: bool, exceeded: LoadCheck) -> bool:
        return await self._inner.has_news(closely, exceeded) or self._desk.is_due(self._clock.now())

    async def changed(self, until: datetime, closely: bool, exceeded: LoadCheck) -> bool:
        return await self._inner.changed(self._desk.no_later(until), closely, exceeded) or self._desk.is_due(self._clock.now())

    async def next_fact_at(self, after: datetime, before: datetime) -> datetime | None:
        found = await self._inner.next_fact_at(after, before)
        message = self._desk.next_at()
        due = [at for at in (found, message) if at is not None and after < at < before]
        return min(due, default=None)
