"""A simulated meter that real Modbus TCP clients read: active power in kW as a float32 at a holding register, and coils for fans."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

POWER = 0
COILS = 16
READ_HOLDING, WRITE_COIL = 3, 5


class MeterBoard:
    """Devices of one Modbus server by unit: each reads what its `kw` returns. `silent` units answer with an error; `coils` holds the fans
    that were switched, by unit."""

    def __init__(self, kw: Mapping[int, Callable[[], float]]) -> None:
        self._kw = dict(kw)
        self.silent: set[int] = set()
        self.coils: dict[int, list[bool]] = {unit: [False] * COILS for unit in self._kw}
        self.stuck_coils = False

    def devices(self) -> list[SimDevice]:
        """What a server serves."""
        return [self._device(unit) for unit in self._kw]

    def _device(self, unit: int) -> SimDevice:
        async def action(code: int, start: int, address: int, count: int, registers: list[int], values: Any) -> ExcCodes | None:
            if unit in self.silent:
                return ExcCodes.DEVICE_BUSY
            if code == READ_HOLDING:
                words = AsyncModbusTcpClient.convert_to_registers(self._kw[unit](), AsyncModbusTcpClient.DATATYPE.FLOAT32)
                registers[POWER - start : POWER - start + 2] = words
            elif code == WRITE_COIL and values is not None:
                if self.stuck_coils:
                    values[0] = False
                self.coils[unit][address] = bool(values[0])
            return None

        blocks = (
            [SimData(0, values=[False] * COILS, datatype=DataType.BITS)],
            [SimData(0, values=[False] * COILS, datatype=DataType.BITS)],
            [SimData(POWER, values=[0, 0], datatype=DataType.REGISTERS)],
            [SimData(POWER, values=[0, 0], datatype=DataType.REGISTERS)],
        )
        return SimDevice(id=unit, simdata=blocks, action=action)


@asynccontextmanager
async def metering(board: MeterBoard, host: str, port: int) -> AsyncIterator[None]:
    """Serve a board as long as the context is open. Raises OSError when the address cannot be listened on."""
    server = ModbusTcpServer(board.devices(), address=(host, port))
    if not await server.listen():
        raise OSError(f"{host}:{port} cannot be listened on")
    try:
        yield
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
