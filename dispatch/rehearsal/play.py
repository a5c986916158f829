"""Plays scenarios against a simulated site on a clock that jumps: one run of the control loop, one scenario after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.rehearsal.desk_protocols import DeskProtocol, Timed
from dispatch.rehearsal.scenarios import CallScenario, Message
from dispatch.runtime import loop
from dispatch.runtime.assemble import replay
from dispatch.runtime.world import Observer
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
from optimizer.domain.site import Site

# A spring morning: no coincident peak, no obligation of a season. Rigs are kept running by a high hashprice.
START = datetime(2026, 4, 14, 15, tzinfo=UTC)
BEFORE, BETWEEN = timedelta(minutes=30), timedelta(minutes=50)
USD_PER_PH_DAY, USD_PER_MWH = 400.0, 20.0
SILENT_AFTER_S = 120.0
HORIZON_H = 4  # hours: calls do not wait for plans, and shorter ones are made sooner
CONTRACT = "plant"  # the limit of the whole site, which every site file has


@dataclass(slots=True)
class Play:
    """A scenario over a protocol, as it was played.

    readings   metered MW of the site, each with its instant
    accepted   of each message, whether the site accepted it
    alarm      whether the silence of the desk became an alarm
    """

    scenario: CallScenario
    protocol: DeskProtocol
    start: datetime
    readings: list[tuple[datetime, float]] = field(default_factory=list)
    accepted: list[tuple[Message, bool]] = field(default_factory=list)
    alarm: bool = False

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.scenario.lasts)


@dataclass(frozen=True, slots=True)
class LoadRange:
    """The load of a site at its meters, MW: with every rig asleep, and with every rig in its fullest mode, in mild weather."""

    lowest_mw: float
    highest_mw: float

    def at(self, share: float) -> float:
        """The load at a share of the range."""
        return self.lowest_mw + share * (self.highest_mw - self.lowest_mw)

    @property
    def width_mw(self) -> float:
        return self.highest_mw - self.lowest_mw


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


def load_range(site: Site, celsius: float = 25.0) -> LoadRange:
    """The range of a site, within what its halls and its connection carry."""
    low = high = 0.0
    for hall in site.halls:
        factor = (1.0 + hall.overhead.at(celsius)) / 1e6
        groups = [g for g in site.groups if g.hall == hall.name]
        low += sum(g.rigs * min(m.watts for m in g.modes) for g in groups) * factor
        high += min(hall.limit_mw, sum(g.rigs * max(m.watts for m in g.modes) for g in groups) * factor)
    return LoadRange(low, min(high, site.interconnect_mw))


async def play(setup: Setup, pairs: Sequence[tuple[CallScenario, DeskProtocol]]) -> list[Play]:
    """Play scenarios one after the other in one run. Raises what the control loop raises."""
    plays, start = [], START + BEFORE
    for scenario, protocol in pairs:
        plays.append(Play(scenario, protocol, start))
        start = plays[-1].end + BETWEEN
    with tempfile.TemporaryDirectory(prefix="loadstone-rehearsal-") as folder:
        engine = open_ledger(Path(folder))
        try:
            inbox, clock = Inbox(engine), VirtualClock(START)
            assembled = replay(setup, clock, _DiscardedReadings(), inbox)
            settings = LinkSettings(name="rehearsal", kind="rehearsal", obligation=CONTRACT, silent_after_s=SILENT_AFTER_S)
            desk = _Desk(plays, LinkedSite(settings, setup, inbox, clock, lambda: None), load_range(setup.site))
            world = replace(assembled.world, observer=_PlayedObserver(assembled.world.observer, desk))
            state = State.start(setup, setup_from_document)
            await loop.run(world, MemoryJournal(), state, run_started("replay", setup, START, 1, {}), plays[-1].end)
        finally:
            engine.dispose()
    return plays


class _DiscardedReadings:
    """A telemetry that keeps nothing: what is judged is what the loop observes."""

    def record(self, *_: Any) -> object:
        return None


class _Desk:
    """Sends each message when its time has come, and keeps what the site is then read to draw."""

    def __init__(self, plays: Sequence[Play], site: LinkedSite, loads: LoadRange) -> None:
        self._site, self._loads = site, loads
        self._plays, self._ended = list(plays), 0
        self._due = sorted(self._messages(plays), key=lambda each: each[0])

    @staticmethod
    def _messages(plays: Sequence[Play]) -> Iterator[tuple[datetime, int, Play, Message]]:
        for n, each in enumerate(plays):
            for message in each.scenario.messages:
                yield each.start + timedelta(minutes=message.at), n, each, message

    def next_at(self) -> datetime | None:
        """When the next message is due."""
        return self._due[0][0] if self._due else None

    def send_due(self, at: datetime) -> None:
        """Send what is due at `at`, and give a sign of life where the desk is not silent."""
        now = next((p for p in self._plays if p.start <= at < p.end), None)
        if now is None or not now.scenario.silent:
            self._site.heard()
        while self._due and self._due[0][0] <= at:
            due, n, each, message = self._due.pop(0)
            for _ in range(message.times):
                each.accepted.append((message, each.protocol.send(self._timed(each, message, n, due), self._site)))
        if now is not None and now.scenario.silent and self._site.alert(at):
            now.alarm = True
        while self._ended < len(self._plays) and self._plays[self._ended].end <= at:
            self._end()

    def _end(self) -> None:
        """Nothing of a scenario stays in force for the next one."""
        self._site.release()
        for id_ in self._site.open_ids():
            self._site.receive([{"id": id_, "obligation": CONTRACT, "kind": "recall"}])
        self._ended += 1

    def _timed(self, each: Play, message: Message, n: int, due: datetime) -> Timed:
        def at(minute: float | None) -> datetime | None:
            return None if minute is None else each.start + timedelta(minutes=minute)

        share = message.share
        mw = None if share is None else share * self._loads.width_mw if message.reduce else self._loads.at(share)
        id_ = f"{n + 1:02d}-{each.scenario.name}-{message.id}"
        obligation = message.obligation or CONTRACT
        return Timed(message, id_, due, at(message.start), at(message.end), mw, obligation)

    def observed(self, seen: Seen, state: State) -> None:
        """Keep the load of an observation for the scenario under way."""
        for each in self._plays:
            if each.start <= seen.at <= each.end:
                groups = [name for name in state.site.hall_of if name in seen.fleet]
                each.readings.append((seen.at, sum(seen.fleet[name].load_mw * state.overhead(name, seen.at) for name in groups)))


class _PlayedObserver:
    """An observer before which the desk sends what is due."""

    def __init__(self, inner: Observer, desk: _Desk) -> None:
        self._inner, self._desk = inner, desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def observe(self, at: datetime, state: State) -> Seen:
        self._desk.send_due(at)
        seen = await self._inner.observe(at, state)
        self._desk.observed(seen, state)
        return seen

    async def next_fact_at(self, after: datetime, before: datetime) -> datetime | None:
        found = await self._inner.next_fact_at(after, before)
        message = self._desk.next_at()
        due = [at for at in (found, message) if at is not None and after < at < before]
        return min(due, default=None)
