"""Unmodified pyasic and unmodified pyasic-rs identify, read, stop and resume simulated rigs of every make they know."""

from __future__ import annotations

from typing import Any

import pytest
from pyasic import get_miner

from dispatch.clock import WallClock
from dispatch.rigs.wire import Dialect
from dispatch.sim.addressed_fleet import AddressedFleet
from tests.dispatch.rigs.makes import served
from tests.dispatch.sim.test_server import until

# These clients put the wall's time into orders for an instant, so the rigs' clock begins there.
SPEED = 120.0
NAMES = {
    Dialect.WHATSMINER_V2: ("BTMinerV2", "M60S VK30", "M60SVK30"),
    Dialect.WHATSMINER_V3: ("BTMinerV3", "M60S VK40", "M60SVK40"),
    Dialect.ANTMINER: ("AntminerModern", "S21", "S21"),
    Dialect.LUXOS: ("LUXMiner", "S19k Pro", "S19KPro"),
    Dialect.AVALON: ("AvalonMiner", "Avalon 1566", "Avalon15"),
    Dialect.AURADINE: ("Auradine", "AT2880", "AT2880"),
    Dialect.PROTO: ("", "", "Rig"),
    Dialect.BRAIINS: ("BOSer", "S19 XP", "S19XP"),
    Dialect.VNISH: ("VNish", "S19k Pro", "S19KPro"),
    Dialect.EPIC: ("ePIC", "S19k Pro", "S19KPro"),
}
# What pyasic can drive: it knows no Proto rig, and speaks to Braiins OS in gRPC.
PYASIC_DRIVES = tuple(dialect for dialect in Dialect if dialect not in (Dialect.PROTO, Dialect.BRAIINS))


def clock() -> WallClock:
    return WallClock(WallClock().now(), SPEED)


async def mode_of(addressed: AddressedFleet) -> str:
    addressed.advance()
    return addressed.fleet.modes("g0", [0])[0]  # type: ignore[arg-type]


async def settles(addressed: AddressedFleet, mode: str, least_w: float, most_w: float) -> None:
    async def there() -> bool:
        return await mode_of(addressed) == mode and least_w < addressed.fleet.truth("g0", [0])[0][0] < most_w  # type: ignore[arg-type]

    await until(there)


@pytest.mark.parametrize("dialect", PYASIC_DRIVES)
async def test_pyasic(dialect: Dialect) -> None:
    backend, model, _ = NAMES[dialect]
    async with served(dialect, f"127.31.{list(Dialect).index(dialect)}.0/24", 1, clock()) as rigs:
        miner = await get_miner(rigs.ips[0])
        assert backend in {kind.__name__ for kind in type(miner).__mro__} and str(miner.raw_model) == model
        # It cannot read all of an ePIC's configuration, and looks for another word in the answer to its order.
        epic = dialect is Dialect.EPIC
        data = await (miner.get_data(include=["hashrate", "wattage", "fw_ver"]) if epic else miner.get_data())
        assert float(data.hashrate) == pytest.approx(180, rel=0.04) and data.fw_ver
        # It does not read the watts of stock Antminers.
        assert data.wattage is None if dialect is Dialect.ANTMINER else data.wattage == pytest.approx(3400, rel=0.06)
        assert await miner.stop_mining() is not epic
        await settles(rigs.addressed, "sleep", 0, 20)
        assert float((await miner.get_hashrate()) or 0.0) == 0.0
        assert await miner.resume_mining() is not epic
        await settles(rigs.addressed, "normal", 3100, 3700)


@pytest.mark.parametrize("dialect", [Dialect.WHATSMINER_V2, Dialect.WHATSMINER_V3, Dialect.LUXOS, Dialect.AURADINE])
async def test_pyasic_sets_a_power_limit_where_rigs_have_one(dialect: Dialect) -> None:
    async with served(dialect, f"127.31.{10 + list(Dialect).index(dialect)}.0/24", 1, clock(), modes=2) as rigs:
        miner = await get_miner(rigs.ips[0])
        assert await miner.set_power_limit(2500) is True
        await settles(rigs.addressed, "normal", 2200, 2600)


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_pyasic_rs(dialect: Dialect) -> None:
    rust = pytest.importorskip("pyasic_rs", reason="pyasic-rs is an extra")
    async with served(dialect, f"127.31.{20 + list(Dialect).index(dialect)}.0/24", 1, clock()) as rigs:
        miner = await rust.MinerFactory().get_miner(rigs.ips[0])
        assert miner is not None and miner.model == NAMES[dialect][2]
        data = await miner.get_data()
        assert ths(data.hashrate) == pytest.approx(180, rel=0.04) and data.firmware_version
        assert data.wattage == pytest.approx(3400, rel=0.06)
        # It takes an Avalon's documented answer to an order, STATUS I, for a refusal; the rig does what it was told.
        taken = dialect is not Dialect.AVALON
        assert await miner.pause() is taken
        await settles(rigs.addressed, "sleep", 0, 20)
        assert await miner.resume() is taken
        await settles(rigs.addressed, "normal", 3100, 3700)


def ths(rate: Any) -> float:
    from pyasic_rs.data import HashRateUnit

    return float(rate.as_unit(HashRateUnit.TH).value)
