"""The devices of a simulated site besides its rigs: meters over Modbus TCP, CPU miners that really hash, and their pool."""

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
from dispatch.decide.load_at_meters import groups_behind
from dispatch.meters.meter_sections import ModbusMeter, meter_tables
from dispatch.power_meters import MeterId, MeterKind
from dispatch.rigs.cpu_miner import CpuMinerDriver
from dispatch.rigs.driver_sections import CpuMinerSettings, driver_settings
from dispatch.sim.fleet import Fleet
from dispatch.sim.meter import MeterBoard, metering
from dispatch.sim.pool import Pool, pooling
from dispatch.site_file.setup import Setup
from markets.forecasting.ladder import MILD_CELSIUS

READ_WALL_S = 0.5


@asynccontextmanager
async def serve_devices(setup: Setup, fleet: Fleet, clock: Clock) -> AsyncIterator[None]:
    """Serve the meters and CPU miners that a site file names at loopback addresses. Raises OSError when one cannot be listened on."""
    async with AsyncExitStack() as stack:
        miner_w: dict[str, float] = {}
        for group in setup.site.groups:
            settings = driver_settings(setup, group.name)
            if isinstance(settings, CpuMinerSettings) and _loopback(settings.host):
                await stack.enter_async_context(cpu_miners(setup, group.name, settings, miner_w, clock))
        for (host, port), kw in _meter_boards(setup, fleet, clock, miner_w).items():
            await stack.enter_async_context(metering(MeterBoard(kw), host, port))
        yield


@asynccontextmanager
async def cpu_miners(setup: Setup, name: str, settings: CpuMinerSettings, miner_w: dict[str, float], clock: Clock) -> AsyncIterator[Pool]:
    """A pool, and a process for every rig of a group. Their draw is read all the time, for the meters."""
    group, pool = setup.site.group(name), Pool()
    pool_host, pool_port = settings.pool.rsplit(":", 1)
    arguments = [[settings.host, str(settings.port + k), pool_host, pool_port, f"{name}.{k}"] for k in range(group.rigs)]
    environment = {**os.environ, "LOADSTONE_PARENT": str(os.getpid())}
    async with pooling(pool, pool_host, int(pool_port)):
        rigs = [
            await asyncio.create_subprocess_exec(sys.executable, "-m", "dispatch.sim.hashrig", *t, env=environment, stdout=DEVNULL)
            for t in arguments
        ]
        following = asyncio.create_task(
            _follow_load(CpuMinerDriver(group, settings.host, settings.port, settings.mhs, clock), name, group.rigs, miner_w)
        )
        try:
            yield pool
        finally:
            following.cancel()
            for rig in rigs:
                with suppress(ProcessLookupError):
                    rig.kill()
            await asyncio.gather(following, *(rig.wait() for rig in rigs), return_exceptions=True)


async def _follow_load(driver: CpuMinerDriver, name: str, rigs: int, miner_w: dict[str, float]) -> None:
    while True:
        miner_w[name] = float(np.nansum((await driver.read(range(rigs), READ_WALL_S)).watts))
        await asyncio.sleep(READ_WALL_S)


def _meter_boards(
    setup: Setup, fleet: Fleet, clock: Clock, miner_w: Mapping[str, float]
) -> Mapping[tuple[str, int], dict[int, Callable[[], float]]]:
    """By address and unit, the reading in kW of each meter that the site file names at a loopback address."""
    boards: dict[tuple[str, int], dict[int, Callable[[], float]]] = defaultdict(dict)
    for meter, table in meter_tables(setup.site).items():
        settings = ModbusMeter.model_validate(table) if table.get("kind") == "modbus" else None
        if settings is not None and _loopback(settings.host):
            boards[settings.host, settings.port][settings.unit] = partial(_kw, setup, meter, fleet, clock, miner_w)
    return boards


def _kw(setup: Setup, meter: MeterId, fleet: Fleet, clock: Clock, miner_w: Mapping[str, float]) -> float:
    """The true load of the metered groups, kW, with the halls' overhead in mild weather; a PDU measures rigs alone."""
    fleet.advance(clock.now().timestamp())
    here = {g.name: g.rigs for g in fleet.spec.groups}
    watts = 0.0
    for group in groups_behind(setup.site, meter):
        wall_w = float(fleet.truth(group, np.arange(here[group]))[0].sum()) if group in here else miner_w.get(group, 0.0)
        watts += wall_w * (1.0 if meter.kind is MeterKind.GROUP else 1.0 + setup.site.hall_of[group].overhead.at(MILD_CELSIUS))
    return watts / 1e3


def _loopback(host: Any) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
