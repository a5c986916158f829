"""Observer: odd findings of sources and silent rigs become alerts; live sources learn what was known before and are closed at the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.entries import GroupSeen, Seen
from dispatch.meters.readings import MeterReadings
from dispatch.meters.site_devices import SiteDevices
from dispatch.runtime.observer import RIGS, SiteObserver
from dispatch.runtime.polling import FINDINGS_SHOWN_FOR, PolledSource
from dispatch.site_file.load import setup_from_document
from markets import SourceError
from markets.facts import Fact, Price
from tests.fakes import NOON, FixedSource, price
from tests.sites import small

HOUR = timedelta(hours=1)


class Memory:
    def __init__(self) -> None:
        self.held: list[Price] = []

    def restore(self, prices: Iterable[Price]) -> None:
        self.held += prices


class Live:
    """A source of the live kind: finds things odd, remembers, can be closed."""

    name, synthetic = "live", False

    def __init__(self) -> None:
        self.findings: deque[str] = deque()
        self.published = Memory()
        self.closed = False
        self.told_first: list[bool] = []

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        self.told_first.append(bool(self.published.held))
        return []

    async def aclose(self) -> None:
        self.closed = True


class Answering:
    """A fleet of which so many rigs answer."""

    def __init__(self, **reachable: int) -> None:
        self.reachable = reachable
        self.meters, self.devices = MeterReadings({}, VirtualClock(NOON)), SiteDevices()

    async def refresh(self) -> None:
        return None

    def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
        return {name: GroupSeen(rigs=40, reachable=n, load_mw=0.0, hashrate_ph=0.0, changed={}) for name, n in self.reachable.items()}


def observer_of(*sources: Any, fleet: Any = None) -> SiteObserver:
    watched = [PolledSource(s, in_background=True) for s in sources]
    return SiteObserver(VirtualClock(NOON), watched, fleet or Answering(), None, refresh_each_tick=True)


def nothing_known() -> State:
    return State.start(small(), setup_from_document)


async def test_findings_of_a_source_are_alerts_for_six_hours() -> None:
    live, state = Live(), nothing_known()
    observer = observer_of(live)
    live.findings.append("LZ_WEST at noon: two prices")
    first = await observer.observe(NOON, state)
    assert first.alerts == {"live, of late": "LZ_WEST at noon: two prices"} and not live.findings
    state = state.after(first, 1)
    state = state.after(await observer.observe(NOON + HOUR, state), 2)
    assert "two prices" in state.alerts["live, of late"]
    state = state.after(await observer.observe(NOON + FINDINGS_SHOWN_FOR, state), 3)
    assert not state.alerts


async def test_groups_whose_rigs_do_not_answer_raise_an_alert_until_they_do() -> None:
    fleet = Answering(**{"a-old": 0, "b-new": 19})
    state, observer = nothing_known(), observer_of(fleet=fleet)
    state = state.after(await observer.observe(NOON, state), 1)
    assert state.alerts == {RIGS: "group a-old: 0 of 40 rigs responding; group b-new: 19 of 40 rigs responding"}
    fleet.reachable = {"a-old": 40, "b-new": 20}
    state = state.after(await observer.observe(NOON + HOUR, state), 2)
    assert not state.alerts


async def test_rigs_asleep_at_the_first_start_that_are_not_woken_raise_an_alert_that_says_why() -> None:
    class Asleep(Answering):
        def snapshot(self, at: datetime) -> dict[str, GroupSeen]:
            return {name: replace(seen, changed={"sleep": "0-39"}) for name, seen in super().snapshot(at).items()}

    for wakes, alerts in (("ours", 1), ("all", 0)):
        setup = small()
        setup = replace(setup, site=setup.site.model_copy(update={"wakes": wakes}))
        state, observer = State.start(setup, setup_from_document), observer_of(fleet=Asleep(**{"a-old": 40, "b-new": 40}))
        for n in (1, 2):
            state = state.after(await observer.observe(NOON, state), n)
        assert len(state.alerts) == alerts
        if alerts:
            assert "rigs of a-old, b-new sleep" in state.alerts[RIGS] and 'wakes = "all"' in state.alerts[RIGS]


@pytest.mark.parametrize("fault", [SourceError("the line is dead"), ValueError("a plug-in's own fault")])
async def test_what_a_failing_source_had_to_say_comes_with_its_next_answer_and_others_are_heard(fault: Exception) -> None:
    class Breaking(FixedSource):
        broken = True

        async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
            if self.broken:
                raise fault
            return await super().fetch(since, until)

    late, other = price(31.0, NOON - timedelta(minutes=20)), price(32.0, NOON - timedelta(minutes=20), point="HB_WEST")
    breaking = Breaking([late], "breaking")
    watched = [PolledSource(breaking), PolledSource(FixedSource([other], "sound"))]
    observer = SiteObserver(VirtualClock(NOON), watched, Answering(), None, refresh_each_tick=True)
    state = nothing_known()
    seen = await observer.observe(NOON, state)
    assert seen.facts == (other,) and str(fault) in seen.alerts["breaking"]
    state, breaking.broken = state.after(seen, 1), False
    assert (await observer.observe(NOON + timedelta(minutes=5), state)).facts == (late,)
    restarted = SiteObserver(VirtualClock(NOON), [PolledSource(breaking)], Answering(), None, refresh_each_tick=True)
    assert (await restarted.observe(NOON + timedelta(minutes=5), state)).facts == (late,), "the journal says that it failed"


async def test_an_observation_that_was_not_recorded_is_made_again() -> None:
    known = price(31.0, NOON - timedelta(minutes=17))
    observer = SiteObserver(VirtualClock(NOON), [PolledSource(FixedSource([known]))], Answering(), None, refresh_each_tick=True)
    state = nothing_known().after(Seen(at=NOON - timedelta(minutes=5)), 1)
    for _ in range(2):
        assert (await observer.observe(NOON, state)).facts == (known,)


async def test_what_a_background_source_brought_is_observed_again_until_it_is_recorded() -> None:
    state = nothing_known()
    polled = PolledSource(FixedSource([price(40.0, NOON)]), in_background=True)
    observer = SiteObserver(VirtualClock(NOON), [polled], Answering(), None, refresh_each_tick=True)
    polled.pending.append(price(40.0, NOON))
    first = await observer.observe(NOON, state)
    assert len(first.facts) == 1
    again = await observer.observe(NOON + timedelta(minutes=1), state)  # the row before could not be written
    assert again.facts == first.facts
    assert (await observer.observe(NOON + timedelta(minutes=2), state.after(again, 1))).facts == ()


async def test_a_price_in_the_background_arrives_until_it_is_observed() -> None:
    class Telling(Live):
        answers: list[Price]

        async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
            answer, self.answers = self.answers, []
            return answer

    telling = Telling()
    telling.answers = [price(30.0, NOON - HOUR)]
    state, observer = nothing_known(), observer_of(telling)
    watching = asyncio.create_task(observer.poll())
    await observer.observe(NOON, state)
    await asyncio.wait_for(observer.arrived(), 1.0)
    assert (await observer.observe(NOON, state)).facts
    again = asyncio.create_task(observer.arrived())
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert not again.done()
    again.cancel()


async def test_a_live_source_says_when_it_is_asked_again() -> None:
    class Due(Live):
        def next_request_at(self, now: datetime) -> datetime:
            return now + timedelta(seconds=7)

    assert PolledSource(Due()).next_request_at(NOON) == NOON + timedelta(seconds=7)
    assert PolledSource(Live(), 30.0).next_request_at(NOON) == NOON + timedelta(seconds=30)


async def test_a_live_source_gets_the_journals_prices_before_it_is_asked_and_is_closed_at_the_end() -> None:
    live, state = Live(), nothing_known()
    known = price(30.0, NOON - HOUR)
    state = state.after(Seen(at=NOON, facts=(known,)), 1)
    observer = observer_of(live)
    watching = asyncio.create_task(observer.poll())
    await asyncio.sleep(0)
    assert not live.told_first  # not before the journal is folded
    await observer.observe(NOON, state)
    for _ in range(5):
        await asyncio.sleep(0)
    assert live.published.held == [known] and live.told_first[0]
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert live.closed
