"""What every link must hold, built in or plugged in, against a peer of its protocol that somebody else wrote. Run each law of LAWS on a
fresh `Bench`: a small site of 260 kW that runs in real time, and the counterparty's end of the link.

@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_my_link(law, tmp_path):
    async with linked_site(tmp_path, {"kind": "mine", ...}) as site, my_peer() as peer:
        await law(Bench(site, peer))
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dispatch.clock import WallClock, wall_now, wall_s
from dispatch.decide.state import State
from dispatch.meters.readings import MeterReadings
from dispatch.rigs.controller import RigController
from dispatch.runtime import loop
from dispatch.runtime.link_telemetry import LinkTelemetry
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.planner import InlinePlanner
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.world import World
from dispatch.service.replay import run_started
from dispatch.signals.links.link_sections import links_of
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.signals.links.serve_links import SiteLinks
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Fleet
from dispatch.sim.fleet_meter import simulated_meters
from dispatch.sim.spec import spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.fakes import DiscardedTelemetry, FixedSource, hashprice, prices
from tests.sites import document, group

WITHIN_S = 25.0
CONTRACT = "plant"


class Peer(Protocol):
    """The counterparty's end of a link, in the words of its own protocol."""

    async def curtail(self, mw: float) -> bool:
        """Ask for at most, or exactly, so much load from now on. Returns whether the site said that it obeys."""
        ...

    async def ask_for_the_impossible(self) -> bool:
        """Ask for a load of 500 MW. Returns whether the site said that it obeys."""
        ...

    async def repeat(self) -> None:
        """Send the last request again, unchanged."""
        ...

    async def release(self) -> None:
        """End what was asked for."""
        ...

    async def load_mw(self) -> float | None:
        """The load as the site reports it over the link; None where the protocol or the peer has no report of it yet."""
        ...

    async def fall_silent(self) -> None:
        """Say nothing more, and be gone."""
        ...


@dataclass(slots=True)
class RunningSite:
    """A small site whose loop runs, with one link."""

    setup: Setup
    inbox: Inbox
    fleet: Fleet
    clock: WallClock
    link: LinkedSite
    telemetry: LinkTelemetry

    def load_mw(self) -> float:
        """What the rigs draw now, by their physics, MW."""
        self.fleet.advance(self.clock.now().timestamp())
        return sum(float(self.fleet.truth(g.name, np.arange(g.rigs))[0].sum()) for g in self.setup.site.groups) / 1e6

    async def until(self, holds: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
        """Wait until something holds. Raises AssertionError when it does not."""
        end = wall_s() + within_s
        while not holds():
            assert wall_s() < end, (
                f"not within {within_s:g} s: {what}; load {self.load_mw():.3f} MW, link: {self.link.alert(self.clock.now())}"
            )
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Bench:
    """A running site and the counterparty of its link."""

    site: RunningSite
    peer: Peer


def site_document(link: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The small site with one link, and rigs that are quickly back."""
    groups = [group("a-old", "a", watts=3000.0, ths=100.0), group("b-new", "b", watts=3500.0, ths=200.0)]
    quick = [{**g, "wake_min": 0.1} for g in groups]
    meter = {"id": "main", "driver": {"kind": "modbus", "host": "127.0.0.1", "register": 0}}  # simulated here
    return document(meters=[meter], groups=quick, links=[{"name": "desk", "obligation": CONTRACT, "silent_after_s": 2.5, **link}], **more)


@asynccontextmanager
async def linked_site(data: Path, link: dict[str, Any], secret: str = "", **more: Any) -> AsyncIterator[RunningSite]:
    """Run the site as long as the context is open."""
    setup = setup_from_document(site_document(link, **more))
    clock = WallClock(wall_now())
    fleet = Fleet(spec_of(setup.site.groups), 0, clock.now().timestamp())
    engine = open_ledger(data)
    inbox = Inbox(engine)
    meters = MeterReadings(simulated_meters(setup.site, fleet, clock), clock)
    controller = RigController(setup.site, simulated_drivers(fleet, clock), clock, DiscardedTelemetry(), meters)
    telemetry = LinkTelemetry(setup, controller, clock)
    links = SiteLinks(links_of(setup), setup, inbox, clock, telemetry.of, lambda _: secret)
    start = _quarter(clock.now()) - timedelta(hours=3)
    facts = [*prices([20.0] * 32, start), hashprice(45.0, clock.now() - timedelta(hours=1))]
    observer = SiteObserver(clock, [PolledSource(FixedSource(facts))], controller, inbox, refresh_each_tick=True, links=links)
    world = World("live", clock, observer, controller, InlinePlanner())
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    started = run_started("live", setup, clock.now(), token, {})
    running = loop.run(world, SqlJournal(engine, token), State.start(setup, setup_from_document), started)
    tasks = [asyncio.create_task(running), asyncio.create_task(links.serve()), asyncio.create_task(telemetry.keep_meters_fresh())]
    site = RunningSite(setup, inbox, fleet, clock, links.sites[0], telemetry)
    try:
        await site.until(lambda: site.load_mw() > 0.2 and telemetry.of(CONTRACT) is not None, "the rigs run")
        yield site
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        engine.dispose()


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def free_address(host: str) -> str:
    """HOST:PORT with a port that nobody listens on."""
    with socket.socket() as held:
        held.bind((host, 0))
        return f"{host}:{held.getsockname()[1]}"


async def listening(address: str) -> None:
    """Wait until somebody listens at HOST:PORT. Raises TimeoutError."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.1)


async def a_full_event_is_carried_out_and_reported(bench: Bench) -> None:
    """Asked, obeyed, changed, reported, ended."""
    site, peer = bench.site, bench.peer
    assert await peer.curtail(0.12)
    await site.until(lambda: site.load_mw() <= 0.12, "the load is below the first request")
    assert await peer.curtail(0.06)
    await site.until(lambda: site.load_mw() <= 0.06, "the load is below the changed request")
    reported = await peer.load_mw()
    if reported is not None:
        end = wall_s() + 6.0
        while abs(reported - site.load_mw()) > 0.01 and wall_s() < end:
            await asyncio.sleep(0.2)
            reported = await peer.load_mw() or 0.0
        assert abs(reported - site.load_mw()) <= 0.01
    await peer.release()
    await site.until(lambda: site.load_mw() > 0.1, "the load rises after the end")


async def a_request_that_is_sent_again_changes_nothing(bench: Bench) -> None:
    """Two times the same message is one call."""
    site, peer = bench.site, bench.peer
    assert await peer.curtail(0.1)
    await site.until(lambda: site.load_mw() <= 0.1, "the load is below the request")
    rows = site.inbox.newest()
    await peer.repeat()
    await peer.load_mw()
    assert site.inbox.newest() == rows


async def more_than_the_site_has_is_refused_and_said(bench: Bench) -> None:
    """A request that cannot be a load of this site is not half obeyed."""
    rows = bench.site.inbox.newest()
    assert not await bench.peer.ask_for_the_impossible()
    assert bench.site.inbox.newest() == rows and bench.site.load_mw() > 0.2


async def silence_is_an_alarm_and_what_is_in_force_stays(bench: Bench) -> None:
    """A lost link never ends an event."""
    site, peer = bench.site, bench.peer
    assert await peer.curtail(0.1)
    await site.until(lambda: site.load_mw() <= 0.1, "the load is below the request")
    await peer.repeat()
    assert not site.link.alert(site.clock.now())
    await peer.fall_silent()
    await site.until(lambda: "nothing was heard" in site.link.alert(site.clock.now()), "the silence is an alarm")
    for _ in range(20):
        assert site.load_mw() <= 0.1
        await asyncio.sleep(0.1)


Law = Callable[[Bench], Awaitable[None]]
LAWS: tuple[Law, ...] = (
    a_full_event_is_carried_out_and_reported,
    a_request_that_is_sent_again_changes_nothing,
    more_than_the_site_has_is_refused_and_said,
    silence_is_an_alarm_and_what_is_in_force_stays,
)
