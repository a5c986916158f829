"""The observer: what became known since the last tick, from sources, inbox, rigs and meters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from dispatch.clock import Clock, at_least
from dispatch.decide.news import calls_for_plan
from dispatch.decide.renamed_contracts import calls_without_contract
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.rigs.controller import LoadCheck
from dispatch.rigs.rig_identities import RigIdentities
from dispatch.runtime.inbox_reader import INBOX_POLL_S, InboxReader
from dispatch.runtime.observed_fleet import ObservedFleet
from dispatch.runtime.polling import PolledSource, poll
from dispatch.runtime.rigs_alert import rigs_alert
from dispatch.runtime.stop_reader import StopReader
from markets.facts import Fact, GenerationForecast, MeasuredGeneration, Price, Temperature
from markets.forecasting.ladder import quarantine_notes

if TYPE_CHECKING:
    from dispatch.runtime.price_forecasts import PriceForecasts
    from dispatch.signals.links.serve_links import SiteLinks
    from dispatch.store.inbox import Inbox
    from dispatch.store.stop_file import StopFile

log = structlog.get_logger()

NEWS_S, NEWS_WALL_S = 1.0, 0.1  # how often readings are looked through for news: world seconds, and wall seconds at least
CLOSE_S = 5.0  # how often a fleet that nobody polls is read while it is watched closely
CLOCK = "clock"  # the source that alerts about steps of the clock are listed under
STEP_SHOWN_FOR = timedelta(hours=1)
STEPPED_BACK = timedelta(seconds=5)
QUARANTINE = "implausible figures"  # the source that alerts about figures in quarantine are listed under
CALLS = "calls"  # the source that alerts about calls that nothing obeys are listed under
FORECASTS = "price model"  # the source that alerts about price models that are not used are listed under
RIGS = "rigs"  # the source that alerts about the rigs are listed under


class SiteObserver:
    """Observes sources, an inbox (None where nothing can be pushed) and a fleet; `refresh_each_tick` reads the rigs at every tick, for a
    fleet that nobody polls. `identities` are what the rigs say they are, None where nobody asks; `stop` is the
    file of the global stop; `forecasts` makes those of the price models, None where there are none."""

    def __init__(
        self,
        clock: Clock,
        sources: Sequence[PolledSource],
        fleet: ObservedFleet,
        inbox: Inbox | None,
        *,
        refresh_each_tick: bool,
        identities: RigIdentities | None = None,
        links: SiteLinks | None = None,
        forecasts: PriceForecasts | None = None,
        stop: StopFile | None = None,
    ) -> None:
        self._clock, self._sources, self._fleet, self._inbox = clock, sources, fleet, InboxReader(inbox, clock)
        self._refresh, self._identities, self._links, self._forecasts = refresh_each_tick, identities, links, forecasts
        self._stop = StopReader(stop)
        self._has_observed = False
        self._observed_at: datetime | None = None  # when the newest observation was made, recorded or not
        self._history_given = asyncio.Event()
        self._arrived = asyncio.Event()
        self._begun: State | None = None  # the state at the first observation
        self._step: tuple[datetime, str] | None = None

    async def poll(self) -> None:
        """Ask the sources that are asked in the background, each on its own period, for ever; run it as a task beside the loop. Closes
        every source at the end."""
        try:
            await self._history_given.wait()
            async with asyncio.TaskGroup() as tasks:
                for polled in self._sources:
                    if polled.in_background:
                        tasks.create_task(self._poll_for_ever(polled))
                await asyncio.Event().wait()
        finally:
            closes = [w.source.aclose() for w in self._sources if hasattr(w.source, "aclose")]
            await asyncio.gather(*closes, return_exceptions=True)

    def _give_history(self, state: State) -> None:
        """Give live sources the prices the journal already has, so that a restart does not record them again."""
        prices = [p for books in (state.facts.prices, state.facts.reserves) for known in books.values() for p in known]
        for polled in self._sources:
            if (published := getattr(polled.source, "published", None)) is not None:
                published.restore(sorted(prices, key=lambda p: p.known_at))
        self._begun = state
        self._history_given.set()

    async def _poll_for_ever(self, polled: PolledSource) -> None:
        while True:
            now = self._clock.now()
            if any(map(calls_for_plan, await poll(polled, now, self._begun))):
                self._arrived.set()
            await self._clock.sleep_until(polled.next_request_at(now))

    async def _ask_at_tick(self, at: datetime, state: State) -> None:
        for polled in self._sources:
            if not polled.in_background:
                await poll(polled, at, state)

    async def observe(self, at: datetime, state: State) -> Seen:
        """What became known since `state`: facts, calls, holds, rigs, meters, and alerts."""
        if not self._history_given.is_set():
            self._give_history(state)
        await self._ask_at_tick(at, state)
        if self._refresh or not self._has_observed:
            await self._fleet.refresh()
        facts, alerts = self._gather(state, at)
        if self._forecasts is not None:
            facts += self._forecasts.after(state.facts.after(facts), at)
            alerts |= {FORECASTS: " ".join(self._forecasts.alerts.values())} if self._forecasts.alerts else {}
        pushed, holds, cursor = self._inbox.read(state, at, alerts)
        fleet = self._fleet.snapshot(at)
        if waiting := quarantine_notes(state.facts.after(facts)):
            alerts[QUARANTINE] = " ".join(waiting)
        if step := self._clock_step(state, at):
            alerts[CLOCK] = step
        if rigs := rigs_alert(state, fleet):
            alerts[RIGS] = rigs
        if orphans := calls_without_contract(state.calls, state.setup.book, at):
            alerts[CALLS] = orphans
        alerts |= self._fleet.meters.alerts(at) | self._fleet.devices.alerts() | (self._identities.alerts(at) if self._identities else {})
        alerts |= self._links.alerts(at) if self._links else {}
        self._has_observed = True
        return Seen(
            at=at,
            facts=(*facts, *pushed),
            holds=(*holds, *self._stop.holds(state, at)),
            fleet=fleet,
            inbox_cursor=cursor,
            pushed_by=self._inbox.pushed_by,
            alerts=alerts,
            sources_asked=self._asked(),
            meters=self._fleet.meters.fresh(at),
            meters_at=self._fleet.meters.read_at(at),
            meter_counts=self._fleet.meters.counts(at),
            meter_doubts=self._fleet.meters.doubts,
            generators=self._fleet.devices.generators(),
        )

    def _clock_step(self, state: State, at: datetime) -> str:
        """A sentence on the last step of the clock, for an hour; empty when there was none. A step back is also seen from the journal, in
        which time would run backwards unsaid after a restart."""
        step = self._clock.stepped()
        if state.at is not None and at < state.at - STEPPED_BACK:
            step = min(step, at - state.at)
        if step:
            way = "forward" if step > timedelta(0) else "back"
            text = f"the clock was set {way} by {abs(step) / timedelta(minutes=1):.1f} min, to {at:%Y-%m-%d %H:%M:%S} UTC"
            log.warning("clock set", step_s=step.total_seconds(), at=at.isoformat())
            self._step = (at, text)
        return self._step[1] if self._step and abs(at - self._step[0]) < STEP_SHOWN_FOR else ""

    def _asked(self) -> tuple[str, ...]:
        """Every source that would be listed among the alerts if it had any."""
        findings = (_findings_name(w) for w in self._sources if hasattr(w.source, "findings"))
        sources = (w.source.name for w in self._sources if w.asked_until)
        identities = self._identities.asked() if self._identities else ()
        wired = (*self._fleet.meters.asked(), *self._fleet.devices.asked(), *(self._links.asked() if self._links else ()))
        return tuple(sorted({"inbox", CALLS, RIGS, CLOCK, QUARANTINE, FORECASTS, *findings, *wired, *identities, *sources}))

    def _gather(self, state: State, at: datetime) -> tuple[list[Fact], dict[str, str]]:
        facts: list[Fact] = []
        alerts = {}
        self._arrived.clear()
        recorded = self._observed_at in (None, state.seen_at)
        self._observed_at = at
        for polled in self._sources:
            facts += [f for f in polled.facts_to_record(recorded=recorded) if not _known(state, f)]
            if polled.failure:
                alerts[polled.source.name] = polled.failure
            if findings := polled.recent_findings(at):
                alerts[_findings_name(polled)] = findings
        return facts, alerts

    async def arrived(self) -> None:
        """Returns as soon as a source that is asked in the background has brought something that calls for a new plan."""
        await self._arrived.wait()

    async def next_fact_at(self, after: datetime, before: datetime) -> datetime | None:
        """When the sources that are asked at ticks will next know something that calls for a new plan, in (after, before); None when they
        will not."""
        facts = [await polled.known_between(after, before) for polled in self._sources if not polled.in_background]
        return min((fact.known_at for known in facts for fact in known if calls_for_plan(fact) and fact.known_at < before), default=None)

    async def urgent(self) -> None:
        """Returns as soon as something pushed waits in the inbox, or the global stop is ordered or ended."""
        while not self._has_observed:
            await asyncio.sleep(INBOX_POLL_S)
        waits = [asyncio.ensure_future(self._inbox.waits()), asyncio.ensure_future(self._stop.changes())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def has_news(self, closely: bool, exceeded: LoadCheck) -> bool:
        """Whether readings show something that the last observation did not and that calls for a decision."""
        self._fleet.watch(closely)
        if self._refresh and closely:  # nobody else reads
            await self._fleet.refresh()
        return self._fleet.has_news(self._clock.now(), exceeded)

    async def changed(self, until: datetime, closely: bool, exceeded: LoadCheck) -> bool:
        """Returns at `until`, or as soon as there is news; whether there is. `closely` has the rigs read often."""
        self._fleet.watch(closely)
        if self._refresh and not closely:  # nobody reads meanwhile
            await self._clock.sleep_until(until)
            return False
        began, pause = self._clock.now(), at_least(self._clock, CLOSE_S if self._refresh else NEWS_S, NEWS_WALL_S)
        while not self._fleet.has_news(self._clock.now(), exceeded):
            if not began <= (now := self._clock.now()) < until:  # or the clock was set back
                return False
            await self._clock.sleep_until(min(until, now + pause))
            if self._refresh:
                await self._fleet.refresh()
        return True


def _findings_name(polled: PolledSource) -> str:
    return f"{polled.source.name}, of late"


def _known(state: State, fact: Fact) -> bool:
    """Whether a fact is a price, a temperature or of a plant's generation, and the journal already has it: after a restart a source gives
    some again."""
    if isinstance(fact, Temperature):
        return any(t.over == fact.over and t.celsius == fact.celsius for t in state.facts.temperatures)
    if isinstance(fact, MeasuredGeneration | GenerationForecast):
        books = state.facts.generation if isinstance(fact, MeasuredGeneration) else state.facts.generation_forecasts
        return fact in books.get(fact.plant, ())
    if not isinstance(fact, Price):
        return False
    known = state.facts.prices.get((fact.point, fact.market), ())
    return any(p.over == fact.over and p.usd_per_mwh == fact.usd_per_mwh for p in reversed(known))
