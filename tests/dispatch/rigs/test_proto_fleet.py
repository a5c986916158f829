"""Rigs behind a Proto Fleet server: the conformance kit against a simulated one over HTTP, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import numpy as np
import pytest
import uvicorn

from dispatch.clock import VirtualClock
from dispatch.rigs.proto_fleet import ProtoFleetDriver
from dispatch.sim.fleet import Fleet
from dispatch.sim.proto_fleet import ProtoFleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from tests.conformance.driver_kit import LAWS, Bench
from tests.dispatch.rigs.fakes import START, site

HOST, PORT, KEY = "127.41.0.1", 4000, "fleet_0123456789"
SILENT = (ScheduledFault(RigFault.HANGS, "g0", (2,)), ScheduledFault(RigFault.UNREACHABLE, "g0", (5,)))
WRITTEN = site(6)
DEVICES = [f"dev-{k}" for k in range(6)]


@asynccontextmanager
async def serving(server: ProtoFleet) -> AsyncIterator[str]:
    config = uvicorn.Config(server.app(), host=HOST, port=PORT, log_level="error", lifespan="off")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://{HOST}:{PORT}"
    finally:
        running.should_exit = True
        await task


@asynccontextmanager
async def bridge(*faults: ScheduledFault, key: str = KEY) -> AsyncIterator[tuple[ProtoFleetDriver, ProtoFleet, Fleet, VirtualClock]]:
    clock = VirtualClock(START)
    fleet = Fleet(spec_of(WRITTEN.groups).with_faults(faults), 3, START.timestamp())
    server = ProtoFleet(fleet, {"g0": DEVICES}, KEY, clock)
    async with serving(server) as url:
        driver = ProtoFleetDriver(WRITTEN.groups[0], url, DEVICES, key, clock)
        yield driver, server, fleet, clock
        await driver.close()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_conformance(law: Callable[[Bench], Awaitable[None]]) -> None:
    async with bridge(*SILENT) as (driver, _, _, clock):

        async def later(seconds: float) -> None:
            await clock.sleep_until(clock.now() + timedelta(seconds=seconds))

        await law(Bench(driver, WRITTEN.groups[0], (0, 1, 3, 4), (), later))


async def test_more_rigs_than_a_page_are_all_read() -> None:
    big = site(1203)
    clock, devices = VirtualClock(START), [f"m{k:05d}" for k in range(1203)]
    fleet = Fleet(spec_of(big.groups), 1, START.timestamp())
    async with serving(ProtoFleet(fleet, {"g0": devices}, KEY, clock)) as url:
        driver = ProtoFleetDriver(big.groups[0], url, devices, KEY, clock)
        readings = await driver.read(range(1203), 10.0)
        assert np.isfinite(readings.watts).all()
        assert np.allclose(readings.watts, fleet.truth("g0", np.arange(1203))[0])
        await driver.close()


async def test_a_sleeping_rig_reads_as_one_though_zeros_are_left_out() -> None:
    async with bridge() as (driver, _, _, clock):
        await driver.set_mode([0], "sleep", 2.0)
        await clock.sleep_until(clock.now() + timedelta(seconds=15))
        readings = await driver.read([0, 1], 2.0)
        assert readings.watts[0] < 20 and readings.ths[0] == 0.0 and readings.ths[1] > 100


async def test_a_rig_in_another_event_refuses_and_the_others_get_the_order() -> None:
    async with bridge() as (driver, server, fleet, _):
        server.curtailed.add("dev-3")
        sent = await driver.set_mode(range(6), "sleep", 2.0)
        assert sent.refused == (3,) and sent.sent == (0, 1, 2, 4, 5)
        assert fleet.modes("g0", np.arange(6)) == ["sleep", "sleep", "sleep", "normal", "sleep", "sleep"]


async def test_a_wrong_key_is_a_refusal_and_reads_nothing() -> None:
    async with bridge(key="not the key") as (driver, _, fleet, _):
        assert (await driver.set_mode(range(6), "sleep", 2.0)).refused == tuple(range(6))
        assert np.isnan((await driver.read(range(6), 2.0)).watts).all()
        assert set(fleet.modes("g0", np.arange(6))) == {"normal"}


async def test_a_mode_it_cannot_give_is_unsupported_and_a_server_that_is_gone_unreachable() -> None:
    async with bridge() as (driver, _, _, _):
        assert (await driver.set_mode([1], "low", 2.0)).unsupported == (1,)
    gone = ProtoFleetDriver(WRITTEN.groups[0], "http://127.41.0.2:4000", DEVICES, KEY, VirtualClock(START))
    assert (await gone.set_mode([1], "sleep", 0.5)).unreachable == (1,)
    assert np.isnan((await gone.read([1], 0.5)).watts).all()
    await gone.close()


async def test_the_simulated_server_holds_to_the_protocol() -> None:
    async with bridge() as _, httpx.AsyncClient(base_url=f"http://{HOST}:{PORT}") as http:
        service, headers = "/fleetmanagement.v1.FleetManagementService", {"Authorization": f"Bearer {KEY}"}
        assert (await http.post(f"{service}/ListMinerStateSnapshots", json={})).status_code == 401
        assert (await http.post(f"{service}/ListMinerStateSnapshots", content=b"{}", headers=headers)).status_code == 415
        assert (await http.post(f"{service}/Nothing", json={}, headers=headers)).status_code == 404
        too_many = await http.post(f"{service}/ListMinerStateSnapshots", json={"pageSize": 1001}, headers=headers)
        assert too_many.status_code == 400 and too_many.json()["code"] == "invalid_argument"
