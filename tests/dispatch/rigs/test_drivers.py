"""The conformance kit on each built-in driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest

from dispatch.clock import VirtualClock
from dispatch.rigs.asics import PyasicDriver
from dispatch.rigs.roster import addresses
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.dry_run import dry_run_driver
from dispatch.sim.fleet import Fleet
from dispatch.sim.server import serving
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from tests.conformance.driver_kit import LAWS, Bench
from tests.dispatch.rigs.fakes import START, site

SILENT = (ScheduledFault(RigFault.HANGS, "g0", (2,)), ScheduledFault(RigFault.UNREACHABLE, "g0", (5,)))
WRITTEN = site(6)


@asynccontextmanager
async def simulated() -> AsyncIterator[Bench]:
    clock = VirtualClock(START)
    fleet = Fleet(spec_of(WRITTEN.groups).with_faults(SILENT), 3, START.timestamp())
    yield Bench(simulated_drivers(fleet, clock)["g0"], WRITTEN.groups[0], (0, 1, 3, 4), (2, 5), _later(clock))


@asynccontextmanager
async def dry_run() -> AsyncIterator[Bench]:
    async with simulated() as bench:
        clock = bench.driver._clock  # type: ignore[attr-defined]
        yield Bench(dry_run_driver(bench.group, bench.driver, clock), bench.group, bench.healthy, bench.silent, bench.later)


@asynccontextmanager
async def asics() -> AsyncIterator[Bench]:
    """Over TCP, on a clock the test moves: the rigs' time does not depend on how fast this machine is."""
    clock, ips = VirtualClock(START), addresses("127.82.1.0/24", 6)
    async with serving(spec_of(WRITTEN.groups).with_faults(SILENT), {"g0": ips}, clock, seed=3):
        driver = PyasicDriver(WRITTEN.groups[0], ips, "M60S_VK30", clock)
        yield Bench(driver, WRITTEN.groups[0], (0, 1, 3, 4), (2, 5), _later(clock))
        await driver.close()


def _later(clock: VirtualClock) -> Callable[[float], Awaitable[None]]:
    async def later(seconds: float) -> None:
        await clock.sleep_until(clock.now() + timedelta(seconds=seconds))

    return later


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("bench", [simulated, dry_run, asics], ids=lambda bench: bench.__name__)
async def test_conformance(bench: Callable[[], AbstractAsyncContextManager[Bench]], law: Callable[[Bench], Awaitable[None]]) -> None:
    async with bench() as tried:
        await law(tried)
