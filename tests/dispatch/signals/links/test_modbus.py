"""The Modbus link against pymodbus' client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from tests.conformance.link_kit import LAWS, Bench, Law, free_address, linked_site, listening

FLOAT = AsyncModbusTcpClient.DATATYPE.FLOAT32


class Counterparty:
    """A dispatch desk with pymodbus' client."""

    def __init__(self, client: AsyncModbusTcpClient) -> None:
        self.client, self.last = client, 0.0

    async def curtail(self, mw: float) -> bool:
        self.last = mw
        words = self.client.convert_to_registers(mw, FLOAT)
        return not (await self.client.write_registers(0, words, device_id=1)).isError()

    async def ask_for_the_impossible(self) -> bool:
        return await self.curtail(500.0)

    async def repeat(self) -> None:
        assert await self.curtail(self.last)

    async def release(self) -> None:
        assert not (await self.client.write_coil(0, False, device_id=1)).isError()

    async def numbers(self, count: int = 6) -> list[float]:
        """The floats of the input registers."""
        read = await self.client.read_input_registers(0, count=2 * count, device_id=1)
        return [float(self.client.convert_from_registers(read.registers[2 * n : 2 * n + 2], FLOAT)) for n in range(count)]  # type: ignore[arg-type]

    async def load_mw(self) -> float | None:
        return (await self.numbers())[0]

    async def fall_silent(self) -> None:
        self.client.close()


@asynccontextmanager
async def bench(data: Path) -> AsyncIterator[Bench]:
    address = free_address("127.41.0.1")
    host, _, port = address.rpartition(":")
    async with linked_site(data, {"kind": "modbus", "listen": address}) as site:
        await listening(address)
        client = AsyncModbusTcpClient(host, port=int(port), timeout=2.0)
        assert await client.connect()
        try:
            yield Bench(site, Counterparty(client))
        finally:
            client.close()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_the_modbus_link(law: Law, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await law(made)


async def test_the_points_are_fresh_and_half_a_set_point_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        desk = made.peer
        assert isinstance(desk, Counterparty)
        load, lowest, highest, ramp, standing, age_s = await desk.numbers()
        assert lowest < load <= highest * 1.05 and ramp > 0 and standing != standing and age_s <= 2.0
        bits = await desk.client.read_discrete_inputs(0, count=2, device_id=1)
        assert bits.bits[:2] == [True, False]
        assert (await desk.client.write_register(0, 17, device_id=1)).isError()
        assert await desk.curtail(0.1) and (await desk.numbers())[4] == pytest.approx(0.1)
        assert (await desk.client.read_discrete_inputs(0, count=2, device_id=1)).bits[:2] == [True, True]


async def test_telemetry_is_at_most_two_seconds_old(tmp_path: Path) -> None:
    """Meters are read every second, so that a desk that polls every two seconds always has a newer figure."""
    async with bench(tmp_path) as made:
        desk = made.peer
        assert isinstance(desk, Counterparty) and await desk.curtail(0.1)
        await made.site.until(lambda: made.site.load_mw() <= 0.1, "the load is below the set point")
        ages = []
        for _ in range(20):
            ages.append((await desk.numbers())[5])
            await asyncio.sleep(0.2)
        assert max(ages) <= 2.0 and max(ages) > 0.0, ages
