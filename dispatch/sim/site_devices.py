"""What is wired to a simulated site besides its rigs' addresses: meters over Modbus TCP, rigs that truly hash, and their pool."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
from asyncio.subprocess import DEVNULL
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from dispatch.clock import Clock
from dispatch.decide.measured_load import groups_behind
from dispatch.entries import MeterId, MeterKind
from dispatch.meters.meter_sections import ModbusMeter, meter_tables
from dispatch.rigs.cpu_miner import CpuMiner
from dispatch.rigs.driver_sections import CpuMinerSettings, driver_settings
from dispatch.sim.fleet import Fleet
from dispatch.sim.meter import MeterBoard, metering
from dispatch.sim.pool import Pool, pooling
from dispatch.site_file.setup import Setup
from markets.forecasting.ladder import MILD_CELSIUS

LOOK_WALL_S = 0.5


@asynccontextmanager
async def wired(setup: Setup, fleet: Fleet, clock: Clock) -> AsyncIterator[None]:
    """Serve the meters and hashing rigs that a site file names at loopback addresses. Raises OSError when an address cannot be had."""
    async with AsyncExitStack() as stack:
        hashed_w: dict[str, float] = {}
        for group in setup.site.groups:
            how = driver_settings(setup, group.name)
            if isinstance(how, CpuMinerSettings) and _loopback(how.host):
                await stack.enter_async_context(hashing(setup, group.name, how, hashed_w, clock))
        for (host, port), kw in _boards(setup, fleet, clock, hashed_w).items():
            await stack.enter_async_context(metering(MeterBoard(kw), host, port))
        yield


@asynccontextmanager
async def hashing(setup: Setup, name: str, how: CpuMinerSettings, hashed_w: dict[str, float], clock: Clock) -> AsyncIterator[Pool]:
    """A pool and a process for every rig of a group. What they draw is looked at all the time, for the meters."""
    group, pool = setup.site.group(name), Pool()
    pool_host, pool_port = how.pool.rsplit(":", 1)
    told = [[how.host, str(how.port + k), pool_host, pool_port, f"{name}.{k}"] for k in range(group.rigs)]
    environment = {**os.environ, "LOADSTONE_PARENT": str(os.getpid())}
    async with pooling(pool, pool_host, int(pool_port)):
        rigs = [
            await asyncio.create_subprocess_exec(sys.executable, "-m", "dispatch.sim.hashrig", *t, env=environment, stdout=DEVNULL)
            for t in told
        ]
        looking = asyncio.create_task(_look(CpuMiner(group, how.host, how.port, how.mhs, clock), name, group.rigs, hashed_w))
        try:
            yield pool
        finally:
            looking.cancel()
            for rig in rigs:
                with suppress(ProcessLookupError):
                    rig.kill()
            await asyncio.gather(looking, *(rig.wait() for rig in rigs), return_exceptions=True)


async def _look(driver: CpuMiner, name: str, rigs: int, hashed_w: dict[str, float]) -> None:
    while True:
        hashed_w[name] = float(np.nansum((await driver.read(range(rigs), LOOK_WALL_S)).watts))
        await asyncio.sleep(LOOK_WALL_S)


def _boards(
    setup: Setup, fleet: Fleet, clock: Clock, hashed_w: Mapping[str, float]
) -> Mapping[tuple[str, int], dict[int, Callable[[], float]]]:
    """By address and unit, what each meter of the site file that stands on loopback says, kW."""
    boards: dict[tuple[str, int], dict[int, Callable[[], float]]] = defaultdict(dict)
    for meter, table in meter_tables(setup.site).items():
        how = ModbusMeter.model_validate(table) if table.get("kind") == "modbus" else None
        if how is not None and _loopback(how.host):
            boards[how.host, how.port][how.unit] = partial(_kw, setup, meter, fleet, clock, hashed_w)
    return boards


def _kw(setup: Setup, meter: MeterId, fleet: Fleet, clock: Clock, hashed_w: Mapping[str, float]) -> float:
    """What rigs truly draw, with the halls' overhead in mild air; a PDU measures rigs alone."""
    fleet.advance(clock.now().timestamp())
    here = {g.name: g.rigs for g in fleet.spec.groups}
    watts = 0.0
    for group in groups_behind(setup.site, meter):
        wall_w = float(fleet.truth(group, np.arange(here[group]))[0].sum()) if group in here else hashed_w.get(group, 0.0)
        watts += wall_w * (1.0 if meter.kind is MeterKind.GROUP else 1.0 + setup.site.hall_of[group].overhead.at(MILD_CELSIUS))
    return watts / 1e3


def _loopback(host: Any) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
