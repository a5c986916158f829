"""A desk that writes set points to the site's Modbus registers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pymodbus.client import AsyncModbusTcpClient

from dispatch.rehearsal.desk_protocols import Timed, ended, free_address, listening
from dispatch.rehearsal.scenarios import SET_POINTS
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.signals.links.modbus import FLOAT, ModbusServer

UNIT = 1


class ModbusDesk:
    """Set points as two registers, ended by a coil that is switched off."""

    name, carried, speaks = "Modbus", "Modbus TCP over a loopback socket", (SET_POINTS,)

    @asynccontextmanager
    async def reach(self, site: LinkedSite) -> AsyncIterator[_ModbusEnd]:
        """Serve the site's registers, and a client of them."""
        address = free_address()
        serving = asyncio.create_task(ModbusServer(address, UNIT).run(site))
        host, _, port = address.rpartition(":")
        client = AsyncModbusTcpClient(host, port=int(port), timeout=5.0)
        try:
            await listening(address, serving)
            await client.connect()
            yield _ModbusEnd(client)
        finally:
            client.close()
            await ended(serving)


@dataclass(slots=True)
class _ModbusEnd:
    client: AsyncModbusTcpClient

    async def send(self, timed: Timed) -> bool:
        if timed.message.kind == "release":
            return not (await self.client.write_coil(0, False, device_id=UNIT)).isError()
        if timed.mw is None:
            return False
        words = self.client.convert_to_registers(timed.mw, FLOAT)
        return not (await self.client.write_registers(0, words, device_id=UNIT)).isError()

    async def sign_of_life(self) -> None:
        await self.client.read_input_registers(0, count=12, device_id=UNIT)

    async def end_all(self) -> None:
        await self.client.write_coil(0, False, device_id=UNIT)
