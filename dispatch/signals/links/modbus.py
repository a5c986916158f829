"""A Modbus TCP server for the dispatch desk, through pymodbus.

Numbers are float32, high word first, counted from register 0; every request is a sign of life.

    input registers    0 load MW · 2 lowest MW · 4 highest MW · 6 ramp MW/min · 8 set point in force MW (NaN: none) ·
                       10 age of the telemetry s · 12, 14, ... capability MW of each product, in the contract's order
    discrete inputs    0 the site responds · 1 a set point is in force
    holding registers  0 set point MW, written by the desk
    coil               0 follow the set point; off ends it
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from dispatch.signals.links.link import LinkFault, SiteSide, SiteTelemetry

logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

NAN = float("nan")
FLOAT = AsyncModbusTcpClient.DATATYPE.FLOAT32
# Function codes of the Modbus application protocol.
READ_INPUTS, READ_REGISTERS, WRITE_COILS, WRITE_REGISTERS = 2, 4, (5, 15), (6, 16)
REGISTERS, COILS, SET_POINT_WORDS = 64, 16, 2


def input_registers(telemetry: SiteTelemetry | None, standing_mw: float | None, age_s: float) -> list[int]:
    """The words of the input registers; NaN for what is not known."""
    known = telemetry or SiteTelemetry(at=None, load_mw=NAN, lowest_mw=NAN, highest_mw=NAN, ramp_mw_per_min=NAN)  # type: ignore[arg-type]
    numbers = [known.load_mw, known.lowest_mw, known.highest_mw, known.ramp_mw_per_min, NAN if standing_mw is None else standing_mw, age_s]
    numbers += known.capability_mw.values()
    words = [word for number in numbers for word in AsyncModbusTcpClient.convert_to_registers(number, FLOAT)]
    return [*words, *[0] * REGISTERS][:REGISTERS]


def written_mw(words: Sequence[int]) -> float:
    """The number in the two words of the set point."""
    return float(AsyncModbusTcpClient.convert_from_registers(list(words), FLOAT))  # type: ignore[arg-type]


class ModbusServer:
    """Listens at HOST:PORT and answers as one unit."""

    def __init__(self, listen: str, unit: int) -> None:
        host, _, port = listen.rpartition(":")
        self._address, self._unit = (host, int(port)), unit

    async def run(self, site: SiteSide) -> None:
        """Serve until cancelled. Raises LinkFault where the address cannot be listened on."""
        server = ModbusTcpServer([self._device(site)], address=self._address)
        try:
            if not await server.listen():
                raise LinkFault(f"{self._address[0]}:{self._address[1]} cannot be listened on: is it in use?")
            await asyncio.Event().wait()
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]

    def _device(self, site: SiteSide) -> SimDevice:
        async def action(code: int, start: int, address: int, count: int, registers: list[int], values: Any) -> ExcCodes | None:
            site.heard()
            if values is None and code in (*WRITE_COILS, *WRITE_REGISTERS):  # read back after it was written
                return None
            if code == READ_REGISTERS:
                registers[: len(registers)] = input_registers(site.telemetry(), site.standing_mw(), _age_s(site))[: len(registers)]
            elif code == READ_INPUTS:
                telemetry = site.telemetry()
                bits = [telemetry is not None and telemetry.responding, site.standing_mw() is not None]
                registers[0] = sum(1 << n for n, bit in enumerate(bits) if bit)
            elif code in WRITE_REGISTERS:
                return self._write_set_point(site, address, values)
            elif code in WRITE_COILS:
                if address != 0:
                    return ExcCodes.ILLEGAL_ADDRESS
                # A coil that is set follows what the registers hold; the register alone does so too.
                return None if values[0] or site.release().accepted else ExcCodes.DEVICE_FAILURE
            return None

        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        blocks = (
            bits,
            [SimData(0, values=[False] * COILS, datatype=DataType.BITS)],
            [SimData(0, values=[0] * SET_POINT_WORDS, datatype=DataType.REGISTERS)],
            [SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)],
        )
        return SimDevice(id=self._unit, simdata=blocks, action=action)

    def _write_set_point(self, site: SiteSide, address: int, values: Sequence[int]) -> ExcCodes | None:
        """Both words at once: half a number is none."""
        if address != 0 or len(values) != SET_POINT_WORDS:
            return ExcCodes.ILLEGAL_ADDRESS
        return None if site.set_point(written_mw(values)).accepted else ExcCodes.ILLEGAL_VALUE


def _age_s(site: SiteSide) -> float:
    age_s = site.telemetry_age_s()
    return NAN if age_s is None else age_s
