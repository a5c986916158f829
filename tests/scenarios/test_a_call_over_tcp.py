"""The loop under a call over real sockets, with rigs that lie and rigs that hang: rigs that somebody wakes by hand are ordered to
sleep within 15 s, readings go on, and no rig gets more than its budget of orders.

Time runs twice as fast as the wall clock. The judge reads the true load of the simulated rigs.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest

from dispatch.clock import WallClock
from dispatch.decide.order_budget import COMMANDS_PER_HOUR
from dispatch.decide.state import State
from dispatch.entries import Commanded, Seen, unpack
from dispatch.rigs.asics import PyasicDriver
from dispatch.rigs.controller import RigController
from dispatch.rigs.roster import addresses
from dispatch.runtime import loop
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.planner import InlinePlanner
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.world import World
from dispatch.service.replay import run_started
from dispatch.sim.server import serving
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal
from markets.facts import Call, CallKind
from tests.dispatch.rigs.fakes import Sink
from tests.fakes import NOON, FixedSource, hashprice, prices
from tests.sites import group, small

RIGS, SPEED = 24, 2.0
CALLED, WOKEN = NOON + timedelta(seconds=20), NOON + timedelta(seconds=60)
ENDS = NOON + timedelta(seconds=84)
CAP_MW, LIARS = 0.025, (1, 2, 3)


@pytest.mark.slow
async def test_rigs_woken_by_hand_are_stopped_again_while_liars_hold_their_orders_open() -> None:
    setup = small(groups=[{**group("g0", "a", watts=3400.0, ths=180.0, rigs=RIGS), "model": "whatsminer-m60s"}])
    clock, ips, journal = WallClock(NOON, SPEED), addresses("127.83.9.0/24", RIGS), MemoryJournal()
    faults = [ScheduledFault(RigFault.NO_EFFECT, "g0", LIARS), ScheduledFault(RigFault.HANGS, "g0", (4,))]
    call = Call(source="qse", known_at=NOON, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=NOON,
                start_at=CALLED, end_at=ENDS + timedelta(hours=1), mw_cap=CAP_MW)  # fmt: skip
    facts = [*prices([20.0] * 24, NOON - timedelta(hours=2)), hashprice(60.0, NOON), call]
    async with serving(spec_of(setup.site.groups).with_faults(faults), {"g0": ips}, clock) as addressed:
        driver = PyasicDriver(setup.site.groups[0], ips, "M60S_VK30", clock)
        controller = RigController(setup.site, {"g0": driver}, clock, Sink())
        observer = SiteObserver(clock, [PolledSource(FixedSource(facts))], controller, None, refresh_each_tick=False)
        background = asyncio.create_task(controller.poll(30.0))
        loads: list[tuple[float, float]] = []

        async def watch() -> None:
            woken = False
            while True:
                addressed.fleet.advance(clock.now().timestamp())
                if clock.now() >= WOKEN and not woken:
                    addressed.fleet.command("g0", np.arange(10, 20), "normal")
                    woken = True
                loads.append(((clock.now() - NOON).total_seconds(), float(addressed.fleet.truth("g0", np.arange(RIGS))[0].sum()) / 1e6))
                await asyncio.sleep(0.1)

        judge = asyncio.create_task(watch())
        world = World("live", clock, observer, controller, InlinePlanner())
        state = State.start(setup, setup_from_document)
        await loop.run(world, journal, state, run_started("live", setup, NOON, 1), ENDS)
        for task in (judge, background):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await controller.close()
    woken_s = (WOKEN - NOON).total_seconds()
    assert max(mw for s, mw in loads if s < 20.0) > 0.07
    assert max(mw for s, mw in loads if 55.0 <= s < woken_s) <= CAP_MW
    over = [s for s, mw in loads if s >= woken_s and mw > CAP_MW]
    assert over and max(over) - woken_s <= 25.0, (over[0], over[-1])
    rows = [entry for _, entry in journal.read()]
    again = [e.at for e in rows if isinstance(e, Commanded) and e.at > WOKEN and e.orders]
    assert again and again[0] - WOKEN <= timedelta(seconds=15)
    seen_s = [(e.at - NOON).total_seconds() for e in rows if isinstance(e, Seen) and e.at > CALLED]
    assert sorted(seen_s) == seen_s and max(np.diff(seen_s)) <= 60.0 + 5.0
    ordered = [rig for e in rows if isinstance(e, Commanded) for o in e.orders for rig in unpack(o.rigs)]
    assert max(ordered.count(rig) for rig in range(RIGS)) <= COMMANDS_PER_HOUR / 2
