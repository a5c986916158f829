"""How soon a call is answered, at the wall's pace.

    python -m bench.response [--calls N] [--json]

Two measurements. From the moment a call is handed in to the first order, with 4,000 rigs that another process serves on loopback and that
are read and ordered over their own protocol, while a plan is being solved: each call asks for a little less than the one before. And from
a call for a tenth of 60 MW until the true load is under it, with 16,000 rigs simulated in this process, without sockets; once with rigs
that obey, once with a tenth of them that accept orders and go on running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.calls import TimedExecutor
from bench.fleet import MODEL, serve
from dispatch.clock import SystemClock, WallClock
from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.rigs.roster import addresses
from dispatch.runtime import loop
from dispatch.runtime.assemble import live, replay
from dispatch.runtime.planner import WorkerPlanner
from dispatch.runtime.world import World
from dispatch.service.replay import run_started
from dispatch.signals.acceptance import accept
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import RigFault, ScheduledFault
from dispatch.site_file.load import load_site_file, setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store.inbox import Inbox
from dispatch.store.journal import MemoryJournal
from dispatch.store.tables import open_ledger
from tests.fakes import DiscardedTelemetry
from tests.scenarios.test_promises_kept import true_mw

RIGS, SUBNET = 4000, "127.93.0.0/20"
FLEET_GROUPS, RIGS_A_GROUP, FLEET_WATTS = 5, 3200, 3750.0  # 60 MW
LEFT_SHARE, LIARS = 0.1, 0.1
STEP_MW = 0.02  # how much less each call asks for than the one before
BETWEEN_S, ORDER_WITHIN_S, UNDER_WITHIN_S = 1.0, 5.0, 60.0
STARTS_WITHIN_S = 120.0
ASKED_ORDER_S, ASKED_OBEDIENT_S, ASKED_LIARS_S = 0.25, 10.0, 30.0
# Rigs run at any price: hashing pays more than power ever costs.
SITE = """[site]
name = "Bench"
market = "ercot"
settlement_point = "LZ_WEST"
interconnect_mw = 100.0
[[meters]]
id = "main"
[[halls]]
name = "a"
meter = "main"
limit_mw = 100.0
[prices]
source = "synthetic"
seed = 1
[hash]
source = "fixed"
usd_per_ph_day = 5000.0
[[obligations]]
type = "power"
"""
SERVED = f"""[[groups]]
name = "{MODEL}"
hall = "a"
model = "{MODEL}"
rigs = {RIGS}
driver = {{ kind = "pyasic", subnet = "{SUBNET}" }}
"""


def fleet_groups() -> str:
    """The groups of 60 MW as the site file has them."""
    modes = f'{{ name = "sleep", watts = 20.0, ths = 0.0 }}, {{ name = "normal", watts = {FLEET_WATTS}, ths = 200.0 }}'
    group = 'hall = "a"\nmodel = "antminer-s21"\nrigs = {rigs}\nmodes = [{modes}]\n'
    text = group.format(rigs=RIGS_A_GROUP, modes=modes)
    return "".join(f'[[groups]]\nname = "g{k}"\n{text}' for k in range(FLEET_GROUPS))


def setup_in(folder: Path, groups: str) -> Setup:
    """The setup of a site file in a folder."""
    file = folder / "site.toml"
    file.write_text(SITE + groups, "utf-8")
    return load_site_file(file)


@dataclass(slots=True)
class RunningSite:
    """A control loop with what runs beside it, and the inbox that calls are handed in to."""

    setup: Setup
    world: World
    inbox: Inbox
    background: tuple[Coroutine[Any, Any, Any], ...]
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    state: State | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def start(self) -> None:
        """Run the loop and the rest as tasks."""

        async def after(_: datetime, state: State) -> None:
            self.state = state

        started = run_started("live", self.setup, self.world.clock.now(), 1)
        first = State.start(self.setup, setup_from_document)
        running = loop.run(self.world, self.journal, first, started, after_tick=after)
        self.tasks = [asyncio.ensure_future(each) for each in (running, *self.background)]

    async def stop(self) -> None:
        """End all tasks."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks, timeout=10)

    async def call(self, name: str, mw_cap: float) -> None:
        """Hand in a call for at most `mw_cap` from now on, as the API does."""
        document = {"id": name, "obligation": "plant", "kind": "deploy", "mw_cap": mw_cap}
        await asyncio.to_thread(accept, "call", [("", document)], self.setup, self.inbox, self.world.clock.now(), "bench", [None])

    async def planned(self) -> None:
        """Wait for the first plan."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not any(isinstance(entry, Planned) for _, entry in self.journal.read()):
                if self.tasks[0].done():
                    raise RuntimeError(f"the control loop ended: {self.tasks[0].exception()}")
                await asyncio.sleep(0.1)


async def ordered_s(calls: int, folder: Path) -> list[float]:
    """Seconds from handing in each call to the first order; inf where none followed in time."""
    setup, clock = setup_in(folder, SERVED), SystemClock()
    rigs = await serve(folder, "rigs", addresses(SUBNET, RIGS), {"start": datetime.now(UTC).isoformat(), "speed": 1.0})
    inbox = Inbox(open_ledger(folder))
    assembled = live(setup, clock, inbox, DiscardedTelemetry())
    executor = TimedExecutor(assembled.world.executor)
    site = RunningSite(setup, replace(assembled.world, executor=executor), inbox, assembled.background)
    site.start()
    took = []
    try:
        await site.planned()
        for n in range(calls):
            await asyncio.sleep(BETWEEN_S)
            assert site.state is not None
            site.world.planner.ask(clock.now(), site.state.seq, site.state)
            cap_mw = RIGS * setup.site.groups[0].full.watts / 1e6 - (n + 1) * STEP_MW
            executor.ordered.clear()
            began = time.perf_counter()
            await site.call(f"call-{n}", cap_mw)
            with suppress(TimeoutError):
                await asyncio.wait_for(executor.ordered.wait(), ORDER_WITHIN_S)
            took.append(time.perf_counter() - began if executor.ordered.is_set() else float("inf"))
        return took
    finally:
        await site.stop()
        rigs.kill()
        await rigs.wait()


async def under_cap_s(folder: Path, liars: float) -> float:
    """Seconds from handing in a call for a tenth of 60 MW until the fleet's true load is under it; inf where it never was. With `liars`
    the cap leaves room for them."""
    setup = setup_in(folder, fleet_groups())
    full_mw = FLEET_GROUPS * RIGS_A_GROUP * FLEET_WATTS / 1e6
    clock = WallClock(datetime.now(UTC))
    inbox = Inbox(open_ledger(folder))
    assembled = replay(setup, clock, DiscardedTelemetry(), inbox)
    fleet = assembled.fleet
    assert fleet is not None
    planner = WorkerPlanner(clock)
    site = RunningSite(setup, replace(assembled.world, planner=planner), inbox, (planner.work(), assembled.controller.poll(30.0)))
    site.start()
    try:
        await site.planned()
        lying(fleet, liars, clock.now())
        await asyncio.sleep(2.0)
        began = time.perf_counter()
        cap_mw = full_mw * (LEFT_SHARE + liars)
        await site.call("call", cap_mw)
        while (after_s := time.perf_counter() - began) < UNDER_WITHIN_S:
            fleet.advance(clock.now().timestamp())
            if true_mw(setup, fleet) <= cap_mw:
                return after_s
            await asyncio.sleep(0.05)
        return float("inf")
    finally:
        await site.stop()


def lying(fleet: Fleet, share: float, at: datetime) -> None:
    """Have a share of each group's rigs accept every order from now on and go on running."""
    if share:
        rigs = tuple(range(0, RIGS_A_GROUP, round(1 / share)))
        for group in fleet.spec.groups:
            fleet.add_fault(ScheduledFault(RigFault.NO_EFFECT, group.name, rigs, from_s=at.timestamp()))


def measured(calls: int) -> dict[str, float]:
    """All figures, seconds."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        took = asyncio.run(ordered_s(calls, Path(folder)))
    figures["call_to_command_p50_s"] = float(np.median(took))
    figures["call_to_command_p99_s"] = float(np.quantile(took, 0.99, method="higher"))
    for name, liars in (("under_cap_s", 0.0), ("under_cap_with_liars_s", LIARS)):
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = asyncio.run(under_cap_s(Path(folder), liars))
    return {name: round(seconds, 3) for name, seconds in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measured(args.calls)
    print(f"call to first order, {RIGS} rigs, a plan being solved, {args.calls} calls: ", end="")
    print(f"median {figures['call_to_command_p50_s']:.3f} s, p99 {figures['call_to_command_p99_s']:.3f} s")
    print(f"60 MW of {FLEET_GROUPS * RIGS_A_GROUP} rigs under a cap of {LEFT_SHARE:.0%}: {figures['under_cap_s']:.1f} s", end="")
    print(f"; where {LIARS:.0%} accept orders and run on: {figures['under_cap_with_liars_s']:.1f} s")
    if args.json:
        print(json.dumps(figures))
    asked = (ASKED_ORDER_S, ASKED_OBEDIENT_S, ASKED_LIARS_S)
    found = (figures["call_to_command_p99_s"], figures["under_cap_s"], figures["under_cap_with_liars_s"])
    return 0 if all(a <= b for a, b in zip(found, asked, strict=True)) else 1


if __name__ == "__main__":
    sys.exit(main())
