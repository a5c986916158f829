"""Unmodified pyasic against the simulated rigs; faults on the wire; kill -9 and start again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyasic import get_miner
from pyasic.network import MinerNetwork

from dispatch.clock import VirtualClock, WallClock, wall_s
from dispatch.rigs.roster import addresses
from dispatch.rigs.wire import whatsminer as wire
from dispatch.sim import whatsminer
from dispatch.sim.addressed_fleet import AddressedFleet
from dispatch.sim.models import ServeFault, model_fleet
from dispatch.sim.server import serve_models, serving
from dispatch.sim.spec import RigFault, ScheduledFault, spec_to_json
from tests.dispatch.rigs.fakes import START

MODELS = ["whatsminer-m60s", "whatsminer-m50s", "whatsminer-m60s++"]


@asynccontextmanager
async def rigs(
    subnet: str, count: int, *faults: ScheduledFault, speed: float = 60.0, models: list[str] | None = None
) -> AsyncIterator[AddressedFleet]:
    """`count` rigs, the first ones M60S, on a clock that runs a minute a second."""
    spec = model_fleet(count, models or MODELS[:1], faults)
    everywhere = iter(addresses(subnet, count))
    places = {g.name: [next(everywhere) for _ in range(g.rigs)] for g in spec.groups}
    async with serving(spec, places, WallClock(START, speed), None) as addressed:
        yield addressed


async def until(proof: Any, timeout_s: float = 20.0) -> Any:
    """Wait until `proof()` is true; physics takes time."""
    end = wall_s() + timeout_s
    while wall_s() < end:
        if value := await proof():
            return value
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


async def test_pyasic_identifies_every_model_of_the_demonstration() -> None:
    async with rigs("127.81.1.0/24", 6, models=MODELS) as addressed:
        found = [await get_miner(ip) for ip in addressed.rigs]
        assert [str(m.raw_model) for m in found] == ["M60S VK30"] * 2 + ["M50S VH30"] * 2 + ["M60S++ VL30"] * 2
        assert {type(m).__mro__[1].__name__ for m in found} == {"BTMinerV2"}


async def test_pyasic_scans_reads_stops_limits_and_resumes_a_rig() -> None:
    async with rigs("127.81.2.0/29", 3) as addressed:
        scanned = await MinerNetwork.from_subnet("127.81.2.0/29").scan()
        assert sorted(str(m.ip) for m in scanned) == sorted(addressed.rigs)
        miner = await get_miner("127.81.2.1")
        data = await miner.get_data()
        assert data.wattage == pytest.approx(3441, rel=0.06) and float(data.hashrate) == pytest.approx(186, rel=0.04)
        assert data.is_mining is True and data.fw_ver == "20230803.11.REL" and data.errors == [] and len(data.pools) == 3
        assert await miner.stop_mining() is True
        await until(lambda: _watts_under(miner, 20))
        assert await miner.is_mining() is False and float(await miner.get_hashrate()) == 0.0
        assert await miner.set_power_limit(2000) is True
        assert await miner.resume_mining() is True
        await until(lambda: _watts_between(miner, 1800, 2200))
        assert await miner.set_power_limit(99999) is True
        await until(lambda: _watts_between(miner, 3200, 3700))
        assert [str(p.url) for p in (await miner.get_config()).pools.groups[0].pools] == [
            f"stratum+tcp://pool{n}.invalid:3333" for n in (1, 2, 3)
        ]
        assert (await miner.rpc.set_power_pct(50))["Code"] == 131
        assert await miner.reboot() is True and await miner.restart_backend() is True


async def _watts_under(miner: Any, most: float) -> bool:
    return float(await miner.get_wattage()) < most


async def _watts_between(miner: Any, least: float, most: float) -> bool:
    return least < float(await miner.get_wattage()) < most


async def ask(ip: str, data: bytes, timeout_s: float = 3.0) -> bytes:
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(ip, wire.PORT)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()


async def keys_of(ip: str, password: str = "admin") -> wire.Keys:
    message = wire.parse_reply(await ask(ip, wire.read_request("get_token")))["Msg"]
    return wire.keys(password, message["time"], message["salt"], message["newsalt"])


async def test_faults_show_on_the_wire() -> None:
    kinds = [RigFault.HANGS, RigFault.SLOW_ANSWERS, RigFault.UNREACHABLE, RigFault.REFUSES, RigFault.NO_EFFECT]
    async with rigs("127.81.3.0/24", 6, *(ScheduledFault(f, MODELS[0], (n,)) for n, f in enumerate(kinds))) as addressed:
        hangs, drips, gone, refuses, lies, healthy = addressed.rigs
        summary = wire.read_request("summary")
        with pytest.raises(TimeoutError):
            await ask(hangs, summary, 0.5)
        with pytest.raises(TimeoutError):
            await ask(drips, summary, 0.5)
        try:
            assert await ask(gone, summary) == b""
        except ConnectionError:
            pass
        known = await keys_of(refuses)
        assert wire.parse_reply(await ask(refuses, wire.write_request(known, "power_off", respbefore="true")), known)["Code"] == 45
        assert wire.parse_reply(await ask(lies, wire.write_request(known, "power_off")), known)["Code"] == 131
        assert wire.parse_reply(await ask(healthy, wire.write_request(known, "power_off")), known)["Code"] == 131
        assert addressed.fleet.modes(MODELS[0], np.arange(6)) == ["normal"] * 5 + ["sleep"]


async def test_what_is_not_the_protocol_moves_nothing() -> None:
    async with rigs("127.81.4.0/24", 1) as addressed:
        (ip,) = addressed.rigs
        known, wrong = await keys_of(ip), await keys_of(ip, "letmein")
        assert wire.parse_reply(await ask(ip, b'{"cmd":"power_off"}'))["Code"] == 45
        assert wire.parse_reply(await ask(ip, wire.write_request(wrong, "power_off")))["Code"] == 136
        forged = wire.Keys("nonsense", known.key)
        assert wire.parse_reply(await ask(ip, wire.write_request(forged, "power_off")))["Code"] == 136
        assert wire.parse_reply(await ask(ip, wire.write_request(known, "self_destruct")), known)["Code"] == 14
        assert wire.parse_reply(await ask(ip, wire.write_request(known, "adjust_power_limit", power_limit="lots")), known)["Code"] == 14
        assert wire.parse_reply(await ask(ip, wire.write_request(known, "set_low_power")), known)["Code"] == 14
        assert wire.parse_reply(await ask(ip, b'{"cmd":"nothing"}'))["Code"] == 14
        for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"[1]", b"{" * 70_000):
            try:
                assert await ask(ip, rubbish) == b""
            except ConnectionError:
                pass
        assert addressed.fleet.modes(MODELS[0], np.arange(1)) == ["normal"]
        assert set(wire.parse_reply(await ask(ip, b'{"command":"summary+pools"}'))) == {"summary", "pools", "id"}


def test_effects_are_logged_and_a_new_fleet_goes_on_from_there(tmp_path: Path) -> None:
    path, clock = tmp_path / "effects.jsonl", VirtualClock(START)
    spec = model_fleet(2, MODELS[:1], [ScheduledFault(RigFault.NO_EFFECT, MODELS[0], (1,))])
    places = {MODELS[0]: ["127.0.1.1", "127.0.1.2"]}
    addressed = AddressedFleet(spec, places, clock, path)
    message = wire.parse_reply(whatsminer.answer(addressed.rigs["127.0.1.1"], wire.read_request("get_token")))["Msg"]
    known = wire.keys("admin", message["time"], message["salt"], message["newsalt"])
    for ip, verb, params in [
        ("127.0.1.1", "power_off", {}),
        ("127.0.1.1", "power_off", {}),
        ("127.0.1.2", "power_off", {}),
        ("127.0.1.1", "adjust_power_limit", {"power_limit": "2000"}),
        ("127.0.1.1", "update_pools", {"pool1": "x", "worker1": "y"}),
    ]:
        whatsminer.answer(addressed.rigs[ip], wire.write_request(known, verb, **params))
    addressed.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(r["rig"], r["verb"], r["effective"]) for r in rows] == [
        ("127.0.1.1", "power_off", True),
        ("127.0.1.1", "power_off", False),
        ("127.0.1.2", "power_off", False),
        ("127.0.1.1", "adjust_power_limit", True),
        ("127.0.1.1", "update_pools", True),
    ]
    with path.open("a") as file:
        file.write('{"at": 17, "rig": "127.0')
    again = AddressedFleet(spec, places, clock, path)
    assert again.fleet.orders_of(MODELS[0], 0) == ("sleep", "normal", 2000.0)
    assert again.fleet.orders_of(MODELS[0], 1)[0] == "normal"
    assert wire.parse_reply(whatsminer.answer(again.rigs["127.0.1.1"], wire.read_request("pools")))["POOLS"][0]["URL"] == "x"
    again.close()
    assert path.read_text().count("\n") == 5 and path.read_text().endswith("\n")


async def start(told: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatch.sim.server", "--spec", str(told), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert (await asyncio.wait_for(process.stdout.readline(), 30)) == b"ready\n"
    return process


async def test_rigs_stay_where_they_were_when_the_server_is_killed(tmp_path: Path) -> None:
    spec = model_fleet(5, MODELS[:1])
    told = tmp_path / "told.json"
    places = {MODELS[0]: addresses("127.81.5.0/24", 5)}
    told.write_text(json.dumps({"spec": spec_to_json(spec), "places": places, "speed": 1.0, "effects": str(tmp_path / "effects.jsonl")}))
    process = await start(told)
    known = await keys_of("127.81.5.1")
    for ip in ("127.81.5.2", "127.81.5.4"):
        assert wire.parse_reply(await ask(ip, wire.write_request(known, "power_off")), known)["Code"] == 131
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    process = await start(told)
    off = [wire.parse_reply(await ask(ip, wire.read_request("status")))["Msg"]["mineroff"] for ip in places[MODELS[0]]]
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert off == ["false", "true", "false", "true", "false"]


async def test_what_cannot_be_served_is_refused_with_the_reason(tmp_path: Path) -> None:
    clock = WallClock()
    faults = tmp_path / "faults.json"
    faults.write_text('[{"fault": "no_effect", "group": "nobody"}]')
    for asked, says in [
        ({"count": 300, "subnet": "127.81.6.0/24", "models": MODELS[:1]}, "254 addresses"),
        ({"count": 3, "subnet": "10.0.0.0/24", "models": MODELS[:1]}, "not a loopback"),
        (
            {"count": 3, "subnet": "127.81.6.0/24", "models": ["antminer-s21:avalon"]},
            "speaks antminer, luxos, braiins, vnish or epic, not avalon",
        ),
        ({"count": 3, "subnet": "127.81.6.0/24", "models": ["antminer-s21=heavy"]}, "a weight is a number"),
        ({"count": 3, "subnet": "127.81.6.0/24", "models": ["moonminer"]}, "not in the catalogue"),
        ({"count": 3, "subnet": "127.81.6.0/24", "models": MODELS[:1], "faults": faults}, r"\[0\].group: 'nobody'"),
    ]:
        with pytest.raises(ServeFault, match=says):
            await serve_models(clock=clock, **asked)  # type: ignore[arg-type]
