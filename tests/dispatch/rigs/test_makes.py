"""Our drivers over rigs of every make: the laws of a driver, faults judged by reading, and the hazards of the client libraries."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyasic import get_miner

from dispatch.clock import VirtualClock, WallClock
from dispatch.rigs import Ability, Driver, Identifies
from dispatch.rigs.asics import OF_DIALECT, PyasicDriver, scan
from dispatch.rigs.controller import RigController
from dispatch.rigs.guarded_driver import GuardedDriver
from dispatch.rigs.wire import PORTS, Dialect, antminer, http
from dispatch.rigs.wire.identity import mac_address
from dispatch.sim import antminer as simulated_antminer
from dispatch.sim import whatsminer as simulated_whatsminer
from dispatch.sim import whatsminer_v3 as simulated_v3
from dispatch.sim.addressed_fleet import AddressedFleet
from dispatch.sim.dry_run import dry_run_driver
from dispatch.sim.ports import OF_DIALECT as PORTS_OF
from dispatch.sim.ports import Port
from dispatch.sim.rig import POOLS, Rig
from dispatch.sim.spec import FleetSpec, GroupSpec, RigFault, ScheduledFault
from optimizer.domain.site import Mode
from tests.conformance.driver_kit import LAWS, Bench
from tests.dispatch.rigs.fakes import START, Sink, orders, outcomes, site
from tests.dispatch.rigs.makes import THROUGH_PYASIC, WIRE_MODELS, need_ports, served, through_pyasic, through_pyasic_rs

# Rigs with one awake mode, whatever their group has.
ONE_AWAKE_MODE = (Dialect.VNISH, Dialect.EPIC)

# Through which library, what it speaks, how many modes it can set.
WAYS: list[tuple[Callable[..., Driver], Dialect, int]] = [
    *(
        (through_pyasic, dialect, 2 if dialect in ONE_AWAKE_MODE else 3)
        for dialect in THROUGH_PYASIC
        if dialect is not Dialect.WHATSMINER_V2
    ),
    (through_pyasic_rs, Dialect.ANTMINER, 2),
    (through_pyasic_rs, Dialect.LUXOS, 2),
    (through_pyasic_rs, Dialect.AURADINE, 3),
    (through_pyasic_rs, Dialect.PROTO, 3),
    (through_pyasic_rs, Dialect.BRAIINS, 3),
    (through_pyasic_rs, Dialect.VNISH, 2),
    (through_pyasic_rs, Dialect.EPIC, 2),
]
SILENT = (ScheduledFault(RigFault.HANGS, "g0", (2,)), ScheduledFault(RigFault.UNREACHABLE, "g0", (5,)))


Way = tuple[Callable[..., Driver], Dialect, int]


def chosen(*dialects: Dialect) -> list[Any]:
    """Every way; those of other dialects in the long rounds only."""
    return [pytest.param(way, id=f"{way[0].__name__}-{way[1]}", marks=[] if way[1] in dialects else pytest.mark.slow) for way in WAYS]


def later(clock: VirtualClock) -> Callable[[float], Awaitable[None]]:
    async def pass_by(seconds: float) -> None:
        await clock.sleep_until(clock.now() + timedelta(seconds=seconds))

    return pass_by


async def met(driver: Driver, rigs: int) -> None:
    """A first look, which is when pyasic-rs gets to know its rigs."""
    await driver.read(range(rigs), 2.0)


@pytest.mark.parametrize("way", chosen(Dialect.LUXOS, Dialect.PROTO))
async def test_conformance(way: Way) -> None:
    """All laws on one set of rigs, put back in between: identification is slow, and no law depends on a fresh driver."""
    reach, dialect, modes = way
    clock = VirtualClock(START)
    subnet = f"127.32.{WAYS.index(way)}.0/24"
    async with served(dialect, subnet, 6, clock, *SILENT, modes=modes) as rigs, AsyncExitStack() as open_:
        driver = reach(rigs.group, rigs.ips, clock, dialect)
        open_.push_async_callback(driver.close)
        await met(driver, 6)
        for law in LAWS:
            rigs.addressed.fleet.place("g0", np.arange(6), "normal")
            await law(Bench(driver, rigs.group, (0, 1, 3, 4), (2, 5), later(clock)))


@asynccontextmanager
async def controller_over(
    way: Way, subnet: str, rigs: int, *faults: ScheduledFault
) -> AsyncIterator[tuple[RigController, AddressedFleet, WallClock]]:
    reach, dialect, modes = way
    clock = WallClock(START, 20.0)
    async with served(dialect, subnet, rigs, clock, *faults, modes=modes) as stand:
        driver = reach(stand.group, stand.ips, clock, dialect)
        written = site(rigs)
        controller = RigController(written.model_copy(update={"groups": (stand.group,)}), {"g0": driver}, clock, Sink())
        yield controller, stand.addressed, clock
        await controller.close()


FAULTY = {
    1: RigFault.REFUSES,
    2: RigFault.NO_EFFECT,
    3: RigFault.UNREACHABLE,
    4: RigFault.HANGS,
    5: RigFault.PARTIAL,
    6: RigFault.SLOW_ANSWERS,
}


@pytest.mark.parametrize("way", chosen(Dialect.AVALON, Dialect.AURADINE))
async def test_outcomes_of_faulty_rigs_come_from_readings(way: Way) -> None:
    faults = [ScheduledFault(fault, "g0", (rig,)) for rig, fault in FAULTY.items()]
    async with controller_over(way, f"127.33.{WAYS.index(way)}.0/24", 9, *faults) as (controller, addressed, clock):
        await controller.refresh()
        done = await controller.execute(orders(clock, ("g0", "sleep", range(9)), deadline_s=120.0))
        # pyasic-rs reads an Antminer back by itself, and calls one that lies one that refuses.
        found_out = way[:2] == (through_pyasic_rs, Dialect.ANTMINER)
        said_no = {"refused": [1, 2]} if found_out else {"refused": [1], "no_effect": [2]}
        assert outcomes(done) == {"reached": [0, 7, 8], "unreachable": [3, 4, 6], "partly": [5], **said_no}
        done = await controller.execute(orders(clock, ("g0", "normal", [0, 7]), deadline_s=120.0))
        assert outcomes(done) == {"reached": [0, 7]}
        addressed.advance()
        assert addressed.fleet.modes("g0", np.array([0, 7, 8])) == ["normal", "normal", "sleep"]


async def test_an_avalon_whose_clock_is_behind_stops_late_and_is_found_out() -> None:
    way = (through_pyasic, Dialect.AVALON, 3)
    async with controller_over(way, "127.34.1.0/24", 2, ScheduledFault(RigFault.WRONG_CLOCK, "g0", (1,))) as (controller, addressed, clock):
        await controller.refresh()
        done = await controller.execute(orders(clock, ("g0", "sleep", range(2)), deadline_s=60.0))
        assert outcomes(done) == {"reached": [0], "no_effect": [1]}
        assert [at_s - addressed.fleet.now_s > 3000 for at_s, _, _ in addressed._due] == [True] * 2


async def test_abilities_are_asked_for() -> None:
    group, clock = site(1).groups[0], VirtualClock(START)
    can = {dialect: through_pyasic(group, ("127.34.2.1",), clock, dialect).abilities for dialect in THROUGH_PYASIC}
    assert all({Ability.READ, Ability.SLEEP, Ability.WAKE} <= abilities for abilities in can.values())
    unlimited = {Dialect.ANTMINER, Dialect.AVALON, Dialect.VNISH, Dialect.EPIC}
    assert {d for d, abilities in can.items() if Ability.POWER_LIMIT not in abilities} == unlimited
    for dialect in (Dialect.ANTMINER, Dialect.AVALON):
        assert (await through_pyasic(group, ("127.34.2.1",), clock, dialect).limit([0], 2000, 1.0)).unsupported == (0,)  # type: ignore[attr-defined]


async def test_a_mode_a_make_has_not_is_unsupported_and_moves_nothing() -> None:
    odd = Mode(name="quiet", watts=1500, ths=90)
    for dialect in (Dialect.ANTMINER, Dialect.AVALON):
        clock = VirtualClock(START)
        async with served(dialect, "127.34.3.0/24", 1, clock) as rigs:
            group = rigs.group.model_copy(update={"modes": (rigs.group.modes[0], odd, rigs.group.modes[-1])})
            driver = through_pyasic(group, rigs.ips, clock, dialect)
            assert (await driver.set_mode([0], "quiet", 2.0)).unsupported == (0,)
            assert rigs.addressed.fleet.modes("g0", np.array([0])) == ["normal"]


# the hazards of the client libraries


@asynccontextmanager
async def answering(
    dialect: Dialect, ip: str, answer: Callable[[Rig, Port, bytes], bytes], *faults: ScheduledFault
) -> AsyncIterator[AddressedFleet]:
    """One rig whose answers go through `answer`."""
    need_ports(dialect)
    group = site(1).groups[0]
    spec = GroupSpec("g0", group.model, 1, group.modes, 10.0, dialect=dialect, wire_model=WIRE_MODELS[dialect])
    addressed = AddressedFleet(FleetSpec((spec,), faults), {"g0": [ip]}, VirtualClock(START))
    servers = [await asyncio.start_server(_talk(addressed.rigs[ip], port, answer), ip, port.number) for port in PORTS_OF[dialect]]
    try:
        yield addressed
    finally:
        for server in servers:
            server.close()


def _talk(rig: Rig, port: Port, answer: Callable[[Rig, Port, bytes], bytes]) -> Any:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        try:
            while more := await reader.read(65536):
                data += more
                while size := port.complete(data):
                    writer.write(answer(rig, port, data[:size]))
                    data = data[size:]
                    if not port.lasting:
                        return
        finally:
            writer.close()

    return talk


async def test_no_pool_is_wiped_when_a_stock_antminers_configuration_cannot_be_read() -> None:
    posted: list[bytes] = []

    def answer(rig: Rig, port: Port, message: bytes) -> bytes:
        if b"get_miner_conf" in message and b"authorization" in message.lower():
            return http.response(http.Response(500))
        if b"set_miner_conf" in message and b"authorization" in message.lower():
            posted.append(message)
        return port.answer(rig, message)

    async with answering(Dialect.ANTMINER, "127.35.1.1", answer) as addressed:
        rig = addressed.rigs["127.35.1.1"]
        driver = PyasicDriver(site(1).groups[0], (rig.address,), "Antminer S21", VirtualClock(START), dialect=Dialect.ANTMINER)
        for mode in ("sleep", "normal", "low"):
            assert (await driver.set_mode([0], mode, 3.0)).refused == (0,)
        assert not posted and rig.pools == POOLS
        # pyasic alone says that all went well, and the rig has no pools any more.
        assert await (await get_miner(rig.address)).stop_mining() is True
        assert posted and all(url == "" for url, _ in rig.pools)


async def test_a_stock_antminer_that_accepts_its_mode_as_text_only_is_stopped_and_resumed() -> None:
    """As the fake-antminer of Proto Fleet answers: 400 for a number, and {"success": true} when it accepts."""
    refused: list[bytes] = []

    def answer(rig: Rig, port: Port, message: bytes) -> bytes:
        if b"set_miner_conf" not in message or b"authorization" not in message.lower():
            return port.answer(rig, message)
        if b'"miner-mode":"' not in message.replace(b" ", b""):
            refused.append(message)
            return http.response(http.Response(400))
        port.answer(rig, message)
        return http.response(http.Response(200, b'{"success": true}'))

    async with answering(Dialect.ANTMINER, "127.35.9.1", answer) as addressed:
        driver = through_pyasic(site(1).groups[0], ("127.35.9.1",), VirtualClock(START), Dialect.ANTMINER)
        for mode in ("sleep", "normal", "sleep"):
            assert (await driver.set_mode([0], mode, 3.0)).sent == (0,)
        assert addressed.fleet.modes("g0", np.array([0])) == ["sleep"] and len(refused) == 1
        assert addressed.rigs["127.35.9.1"].pools == POOLS


async def test_pools_of_a_stock_antminer_stay_as_they_are_through_stops_and_starts() -> None:
    clock = VirtualClock(START)
    async with served(Dialect.ANTMINER, "127.35.2.0/24", 2, clock) as rigs:
        driver = through_pyasic(rigs.group, rigs.ips, clock, Dialect.ANTMINER)
        for mode in ("low", "sleep", "normal", "sleep"):
            assert (await driver.set_mode([0, 1], mode, 3.0)).sent == (0, 1)
        assert all(rig.pools is POOLS for rig in rigs.addressed.rigs.values())


async def test_a_stock_antminer_wakes_into_the_work_mode_it_was_put_to_sleep_in() -> None:
    clock = VirtualClock(START)
    async with served(Dialect.ANTMINER, "127.35.3.0/24", 1, clock) as rigs:
        one_mode = rigs.group.model_copy(update={"modes": (rigs.group.modes[0], rigs.group.modes[-1])})
        driver = through_pyasic(one_mode, rigs.ips, clock, Dialect.ANTMINER)
        rigs.addressed.fleet.place("g0", np.array([0]), "low")
        assert (await driver.set_mode([0], "sleep", 3.0)).sent and (await driver.set_mode([0], "normal", 3.0)).sent
        assert rigs.addressed.fleet.modes("g0", np.array([0])) == ["low"]


@pytest.mark.parametrize("dialect", [Dialect.WHATSMINER_V2, Dialect.WHATSMINER_V3])
async def test_the_write_interface_of_a_whatsminer_that_refuses_is_never_opened(dialect: Dialect) -> None:
    asked: list[bytes] = []

    def answer(rig: Rig, port: Port, message: bytes) -> bytes:
        asked.append(message)
        return port.answer(rig, message)

    async with answering(dialect, "127.35.4.1", answer, ScheduledFault(RigFault.REFUSES, "g0")):
        driver = through_pyasic(site(1).groups[0], ("127.35.4.1",), VirtualClock(START), dialect)
        assert (await driver.set_mode([0], "sleep", 3.0)).refused == (0,)
        assert (await driver.set_mode([0], "low", 3.0)).refused == (0,)
    assert asked and not [m for m in asked if b"open_write_api" in m or b"open_api" in m]


def test_nothing_of_ours_opens_a_write_interface_and_whatsminers_are_not_driven_through_pyasic_rs() -> None:
    """pyasic's open_api tells an outside host the rig's address; pyasic-rs opens the interface of a Whatsminer that refuses by itself."""
    root = Path(sys.modules["dispatch"].__file__ or "").parent
    calls = re.compile(r"open_api\(|open_write_api|\.send_config\(|update_pools\(|set_pools_config\(")
    assert [p.name for p in sorted((root / "rigs").rglob("*.py")) if calls.search(p.read_text("utf-8"))] == []
    for dialect in (Dialect.WHATSMINER_V2, Dialect.WHATSMINER_V3, Dialect.AVALON):
        with pytest.raises(ValueError, match="not driven through pyasic-rs"):
            through_pyasic_rs(site(1).groups[0], ("127.35.5.1",), VirtualClock(START), dialect)


CONNECTED: list[str] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        CONNECTED.append(str(args[1][0]))


async def test_no_host_but_the_rigs_is_ever_called() -> None:
    sys.addaudithook(_audit)
    for dialect in THROUGH_PYASIC:
        clock = VirtualClock(START)
        async with served(dialect, "127.35.6.0/24", 2, clock, ScheduledFault(RigFault.REFUSES, "g0", (1,))) as rigs:
            CONNECTED.clear()
            driver = through_pyasic(rigs.group, rigs.ips, clock, dialect)
            for mode in ("sleep", "low", "normal"):
                await driver.set_mode([0, 1], mode, 3.0)
            await driver.read([0, 1], 3.0)
            await driver.close()
            assert set(CONNECTED) == set(rigs.ips), dialect


IDENTIFYING = (b"devdetails", b"get_version", b'"version"', b"get_system_info", b"miner_type", b"GET / ")


@pytest.mark.parametrize("dialect", THROUGH_PYASIC)
async def test_no_rig_is_identified_again_for_an_order(dialect: Dialect) -> None:
    asked: list[bytes] = []

    def answer(rig: Rig, port: Port, message: bytes) -> bytes:
        asked.append(message)
        return port.answer(rig, message)

    async with answering(dialect, "127.35.7.1", answer):
        driver = through_pyasic(site(1).groups[0], ("127.35.7.1",), VirtualClock(START), dialect)
        for mode in ("sleep", "normal") if dialect in (Dialect.VNISH, Dialect.EPIC) else ("sleep", "low", "normal"):
            assert (await driver.set_mode([0], mode, 3.0)).sent == (0,)
        await driver.read([0], 3.0)
    assert asked and not [m for m in asked if any(word in m for word in IDENTIFYING)]


async def test_an_order_to_a_rig_that_pyasic_rs_never_met_is_not_sent() -> None:
    clock = VirtualClock(START)
    async with served(Dialect.LUXOS, "127.35.8.0/24", 1, clock, modes=2) as rigs:
        driver = through_pyasic_rs(rigs.group, rigs.ips, clock, Dialect.LUXOS)
        assert (await driver.set_mode([0], "sleep", 2.0)).unreachable == (0,)
        assert rigs.addressed.fleet.modes("g0", np.array([0])) == ["normal"]
        await driver.read([0], 2.0)
        assert (await driver.set_mode([0], "sleep", 2.0)).sent == (0,)
        await driver.close()


async def test_a_proto_rig_is_identified_without_either_library_knowing_it_and_by_pyasic_rs() -> None:
    pytest.importorskip("pyasic_rs", reason="pyasic-rs is an extra")
    from dispatch.rigs.pyasic_rs import identified

    async with served(Dialect.PROTO, "127.36.1.0/29", 1, VirtualClock(START)) as rigs:
        assert await identified(rigs.ips[0]) == {"make": "Proto", "model": "Rig", "firmware": "1.8.2", "dialect": "proto"}
    assert set((await identified("127.36.1.2")).values()) == {""}


async def test_limits_through_pyasic_rs() -> None:
    for dialect, ability in ((Dialect.PROTO, True), (Dialect.LUXOS, False)):
        clock = VirtualClock(START)
        async with served(dialect, "127.35.11.0/24", 1, clock, modes=2) as rigs:
            driver = through_pyasic_rs(rigs.group, rigs.ips, clock, dialect)
            await driver.read([0], 2.0)
            said = await driver.limit([0], 2500, 2.0)  # type: ignore[attr-defined]
            assert (said.sent, said.unsupported) == (((0,), ()) if ability else ((), (0,)))
            await clock.sleep_until(clock.now() + timedelta(minutes=3))
            assert bool((await driver.read([0], 2.0)).watts[0] < 2700) is ability
            await driver.close()


async def test_a_rig_that_is_off_is_silence_whatever_a_library_defaults_to() -> None:
    clock = VirtualClock(START)
    for dialect in THROUGH_PYASIC:
        driver = through_pyasic(site(2).groups[0], ("127.35.9.1", "127.35.9.2"), clock, dialect)
        readings = await driver.read([0, 1], 2.0)
        assert np.isnan(readings.watts).all() and np.isnan(readings.ths).all(), dialect
        assert (await driver.set_mode([0, 1], "sleep", 2.0)).unreachable == (0, 1), dialect


async def test_luxos_sessions_are_ended_and_somebody_elses_is_left_open() -> None:
    clock = VirtualClock(START)
    async with served(Dialect.LUXOS, "127.35.10.0/24", 1, clock) as rigs:
        driver, rig = through_pyasic(rigs.group, rigs.ips, clock, Dialect.LUXOS), rigs.addressed.rigs[rigs.ips[0]]
        assert (await driver.set_mode([0], "sleep", 2.0)).sent == (0,)
        assert "session" not in rig.memory
        person = await get_miner(rig.address)
        assert await person.rpc.auth()
        theirs = rig.memory["session"][0]
        assert (await driver.set_mode([0], "normal", 2.0)).sent == (0,)
        assert rig.memory["session"][0] == theirs


async def test_a_scan_is_bounded_and_finds_every_make() -> None:
    """With a bound of 4 no more than four rigs' worth of connections is ever open, and nobody is missed."""
    clock, most = VirtualClock(START), 0
    dialects = list(THROUGH_PYASIC)
    async with AsyncExitStack() as open_:
        for n, dialect in enumerate(dialects):
            await open_.enter_async_context(served(dialect, f"127.36.0.{8 * n}/29", 4, clock))
        before = len(os.listdir("/proc/self/fd"))
        scanning = asyncio.create_task(scan("127.36.0.0/25", at_once=4))
        while not scanning.done():
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
            await asyncio.sleep(0.005)
    found = scanning.result()
    assert [f.dialect for f in found] == [d for d in dialects for _ in range(4)]
    # The version of Braiins OS is behind its password.
    assert all(f.model and f.make and (f.firmware or f.dialect is Dialect.BRAIINS) for f in found)
    # Both ends of a connection are ours here, and identification asks a rig over at most eight at once.
    assert most <= 4 * 2 * 8


def test_every_port_of_a_dialect_is_served() -> None:
    assert {dialect: tuple(port.number for port in ports) for dialect, ports in PORTS_OF.items()} == PORTS
    assert (
        OF_DIALECT[Dialect.ANTMINER].password,
        "root",
        OF_DIALECT[Dialect.WHATSMINER_V2].password,
        OF_DIALECT[Dialect.WHATSMINER_V3].password,
    ) == (simulated_antminer.PASSWORD, antminer.USER, simulated_whatsminer.PASSWORD, simulated_v3.PASSWORD)


@pytest.mark.parametrize("reach", [through_pyasic, through_pyasic_rs], ids=["pyasic", "pyasic-rs"])
@pytest.mark.parametrize("dialect", list(Dialect))
async def test_rigs_of_every_make_say_what_they_are(reach: Callable[..., Driver], dialect: Dialect) -> None:
    if (reach, dialect) not in {way[:2] for way in WAYS} | {(through_pyasic, Dialect.WHATSMINER_V2)}:
        pytest.skip("not driven through this library")
    clock = VirtualClock(START)
    subnet = f"127.46.{list(Dialect).index(dialect) + 10 * (reach is through_pyasic)}.0/24"
    async with served(dialect, subnet, 2, clock, ScheduledFault(RigFault.UNREACHABLE, "g0", (1,))) as rigs:
        driver = reach(rigs.group, rigs.ips, clock, dialect)
        assert isinstance(driver, Identifies)
        found = await driver.identify([0, 1], 3.0)
        await driver.close()
    assert list(found) == [0]
    one, condition = found[0], rigs.addressed.rigs[rigs.ips[0]].condition()
    assert one.firmware and one.model and one.mac == mac_address(condition.mac) and one.serial in (condition.serial, "")


@pytest.mark.parametrize("dialect", [Dialect.WHATSMINER_V2, Dialect.WHATSMINER_V3, Dialect.LUXOS])
async def test_a_dry_run_asks_no_rig_for_a_token_or_a_session(dialect: Dialect) -> None:
    asked: list[bytes] = []

    def answer(rig: Rig, port: Port, message: bytes) -> bytes:
        asked.append(message)
        return port.answer(rig, message)

    async with answering(dialect, "127.35.12.1", answer):
        clock, group = VirtualClock(START), site(1).groups[0]
        guarded = GuardedDriver("g0", lambda: through_pyasic(group, ("127.35.12.1",), clock, dialect), lambda: 0.0)
        driver = dry_run_driver(group, guarded, clock)
        for _ in range(3):
            assert np.isfinite((await driver.read([0], 2.0)).watts).all()
            assert (await driver.set_mode([0], "sleep", 2.0)).sent == (0,)
            assert await driver.identify([0], 2.0)
            await asyncio.sleep(0.05)
        await driver.close()
    words = (b"get_token", b"logon", b"session", b"set.", b'"salt"')
    assert len(asked) > 5 and not [message for message in asked if any(word in message for word in words)]
