"""The controller with pyasic over TCP: outcomes judged by reading, no rig held up by another, nothing left open, no pool ever written."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dispatch.clock import VirtualClock, WallClock, wall_s
from dispatch.rigs.asics import PyasicDriver, scan
from dispatch.rigs.controller import RigController
from dispatch.rigs.dialects import dialect_and_wire_model, wire_model
from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.roster import addresses, roster
from dispatch.rigs.secrets import secret
from dispatch.sim.addressed_fleet import AddressedFleet
from dispatch.sim.server import serving
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from dispatch.site_file.defaults import default_file
from dispatch.site_file.load import load_site_file
from tests.dispatch.rigs.fakes import START, Sink, orders, outcomes, site

SPEED = 20.0


@asynccontextmanager
async def controller_over_tcp(
    subnet: str, rigs: int, *faults: ScheduledFault, effects: Path | None = None, wake_min: float = 10.0
) -> AsyncIterator[tuple[RigController, AddressedFleet, WallClock, PyasicDriver]]:
    written, clock = site(rigs, wake_min=wake_min), WallClock(START, SPEED)
    ips = addresses(subnet, rigs)
    async with serving(spec_of(written.groups).with_faults(faults), {"g0": ips}, clock, effects) as addressed:
        driver = PyasicDriver(written.groups[0], ips, "M60S_VK30", clock)
        controller = RigController(written, {"g0": driver}, clock, Sink())
        yield controller, addressed, clock, driver
        await controller.close()


async def test_outcomes_of_orders_over_tcp_come_from_the_rigs_draw() -> None:
    faulty = {
        1: RigFault.REFUSES,
        2: RigFault.NO_EFFECT,
        3: RigFault.UNREACHABLE,
        4: RigFault.HANGS,
        5: RigFault.PARTIAL,
        6: RigFault.SLOW_ANSWERS,
    }
    async with controller_over_tcp("127.83.1.0/24", 12, *(ScheduledFault(f, "g0", (r,)) for r, f in faulty.items())) as (
        controller,
        addressed,
        clock,
        _,
    ):
        await controller.refresh()
        done = await controller.execute(orders(clock, ("g0", "sleep", range(12)), deadline_s=120.0))
        assert outcomes(done) == {
            "reached": [0, 7, 8, 9, 10, 11],
            "refused": [1],
            "no_effect": [2],
            "unreachable": [3, 4, 6],
            "partly": [5],
        }
        assert done.results[0].resent >= 1
        done = await controller.execute(orders(clock, ("g0", "low", [0]), ("g0", "normal", [7, 8]), deadline_s=120.0))
        assert outcomes(done) == {"reached": [0]} and outcomes(done, 1) == {"reached": [7, 8]}


async def test_a_hung_rig_does_not_hold_up_the_others() -> None:
    """The other rigs have moved, and are known to have, before the hung one's first answer was given up."""
    async with controller_over_tcp("127.83.2.0/24", 20, ScheduledFault(RigFault.HANGS, "g0", (0, 10))) as (controller, addressed, clock, _):
        sink = controller._telemetry
        began = clock.now().timestamp()
        done = await controller.execute(orders(clock, ("g0", "sleep", range(20)), deadline_s=300.0))
        assert outcomes(done)["unreachable"] == [0, 10] and len(outcomes(done)["reached"]) == 18
        moved = addressed.fleet
        assert all(moved.orders_of("g0", r)[0] == "sleep" for r in range(20) if r not in (0, 10))
        first_seen = {r: min(row[0] for row in sink.rows if row[2] == r and row[3] < 100) - began for r in range(20) if r not in (0, 10)}  # type: ignore[attr-defined]
        hung = [row[0] - began for row in sink.rows if row[2] == 0]  # type: ignore[attr-defined]
        assert max(first_seen.values()) < max(hung)


async def test_pools_are_never_written_and_every_order_moved_each_rig_once(tmp_path: Path) -> None:
    path = tmp_path / "effects.jsonl"
    async with controller_over_tcp("127.83.3.0/24", 8, ScheduledFault(RigFault.NO_EFFECT, "g0", (3,)), effects=path) as (
        controller,
        _,
        clock,
        _,
    ):
        await controller.refresh()
        for mode in ("sleep", "normal", "low"):
            await controller.execute(orders(clock, ("g0", mode, range(8)), deadline_s=120.0))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert not [r for r in rows if "pool" in r["verb"] or "pools" in r]
    for verb in ("power_off", "power_on"):
        effective = [r["rig"] for r in rows if r["verb"] == verb and r["effective"]]
        assert len(effective) == len(set(effective)) == 7


async def test_nothing_stays_open_and_no_more_than_allowed_is() -> None:
    async with controller_over_tcp("127.83.4.0/24", 40, ScheduledFault(RigFault.HANGS, "g0", tuple(range(0, 40, 4)))) as (
        controller,
        _,
        clock,
        driver,
    ):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await driver.read(range(40), 0.3)
        await controller.execute(orders(clock, ("g0", "sleep", range(40)), deadline_s=30.0))
        await controller.close()
        assert len(os.listdir("/proc/self/fd")) <= before + 2


async def test_a_token_that_ran_out_is_renewed_once_and_tokens_are_fetched_ahead() -> None:
    async with controller_over_tcp("127.83.5.0/24", 3) as (controller, addressed, clock, driver):
        await controller.refresh()
        assert driver._renewal is None and not any(m.rpc.token for m in driver._rigs)
        driver.prepare_orders()
        await controller.refresh()
        assert driver._renewal is not None
        await driver._renewal
        tokens = [m.rpc.token for m in driver._rigs]
        assert all(t is not None for t in tokens)
        driver._rigs[1].rpc.token.host_sign = "ran out"
        sent = await driver.set_mode([0, 1, 2], "sleep", 2.0)
        assert sent.sent == (0, 1, 2)
        assert driver._rigs[0].rpc.token is tokens[0] and driver._rigs[1].rpc.token is not tokens[1]


async def test_a_wrong_password_is_a_refusal() -> None:
    written, clock, ips = site(1), VirtualClock(START), addresses("127.83.6.0/24", 1)
    async with serving(spec_of(written.groups), {"g0": ips}, clock):
        driver = PyasicDriver(written.groups[0], ips, "M60S_VK30", clock, password="letmein")
        assert (await driver.set_mode([0], "sleep", 2.0)).refused == (0,)
        assert (await driver.read([0], 2.0)).watts[0] > 3000


async def test_a_power_limit_is_a_limit() -> None:
    written, clock, ips = site(2), VirtualClock(START), addresses("127.83.7.0/24", 2)
    async with serving(spec_of(written.groups), {"g0": ips}, clock):
        driver = PyasicDriver(written.groups[0], ips, "M60S_VK30", clock)
        assert (await driver.limit([1], 2000, 2.0)).sent == (1,)
        await clock.sleep_until(START.replace(minute=5))
        watts = (await driver.read([0, 1], 2.0)).watts
        assert watts[0] > 3200 and watts[1] == pytest.approx(2000, rel=0.06)


async def test_a_scan_finds_every_rig_and_names_it() -> None:
    written, clock, ips = site(5), VirtualClock(START), addresses("127.83.8.0/28", 5)
    async with serving(spec_of(written.groups), {"g0": ips}, clock):
        found = await scan("127.83.8.0/28", at_once=4)
    assert [f.ip for f in found] == list(ips)
    assert {(f.make, f.model, f.firmware, f.dialect) for f in found} == {("WhatsMiner", "M60S VK30", "20230803.11.REL", "whatsminer-v2")}
    with pytest.raises(ValueError):
        await scan("not a subnet")


async def test_rigs_that_are_not_there_are_silent_within_the_deadline() -> None:
    written, clock = site(3), VirtualClock(START)
    driver = PyasicDriver(written.groups[0], addresses("127.83.9.0/24", 3), "M60S_VK30", clock)
    began = wall_s()
    assert (await driver.set_mode([0, 1, 2], "sleep", 2.0)).unreachable == (0, 1, 2)
    assert all((await driver.read([0, 1, 2], 2.0)).watts != (await driver.read([0, 1, 2], 2.0)).watts)
    assert wall_s() - began < 20


async def test_the_demonstrations_drivers_come_from_its_file() -> None:
    setup = load_site_file(default_file("demo-site.toml"))
    group = setup.site.groups[0]
    driver = driver_settings(setup, group.name).reach(setup, group.name, VirtualClock(START))
    assert len(driver._rigs) == group.rigs


def test_rosters_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rigs.csv"
    file.write_text("name,ip\na,10.0.0.5\nb, 10.0.0.4\n")
    assert roster(file, "a") == ("10.0.0.5", "10.0.0.4")
    file.write_text("name,ip\na,10.0.0.5\nb,10.0.0.x\n")
    with pytest.raises(ValueError, match="line 3"):
        roster(file, "a")
    file.write_text("ip\n10.0.0.5\n10.0.0.5\n")
    with pytest.raises(ValueError, match="twice"):
        roster(file, "a")
    file.write_text("address\n10.0.0.5\n")
    with pytest.raises(ValueError, match="no column"):
        roster(file, "a")
    (tmp_path / "pw").write_text("geheim\n")
    monkeypatch.setenv("RIG_PASSWORD", "from the environment")
    assert secret("file:pw", lambda name: tmp_path / name) == "geheim"
    assert secret("env:RIG_PASSWORD", Path) == "from the environment"
    with pytest.raises(ValueError):
        secret("geheim", Path)
    assert wire_model("whatsminer-m60s++") == "M60S++_VL30"
    assert (
        dialect_and_wire_model("antminer-s21") == ("antminer", "Antminer S21")
        and dialect_and_wire_model("antminer-s21", "luxos")[0] == "luxos"
    )
    with pytest.raises(ValueError, match="speaks antminer, luxos, braiins, vnish or epic, not avalon"):
        dialect_and_wire_model("antminer-s21", "avalon")
    with pytest.raises(ValueError, match="the dialect of this model is not known"):
        wire_model("moonminer")
