"""Meters, pumps, fans and generators over Modbus TCP, through pymodbus. The only file that knows its client.

Registers and coils count from zero. A device that is silent costs its deadline and nobody else's; the connection is made when it is first
needed and again after it broke.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from dispatch.meters.order_fence import check_fence

T = TypeVar("T")

# pymodbus logs each failed connection, with the last frames. An alert says which meter is silent.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

# No site is larger: a reading beyond it comes from a wrong register or a wrong format.
MOST_MW = 5000.0


@dataclass(frozen=True, slots=True)
class Register:
    """The address of a number and its format: `format` as in the site file, high word first where `word_order` is big."""

    address: int
    format: str
    word_order: Literal["big", "little"] = "big"
    input: bool = False

    @property
    def kind(self) -> Any:
        """The data type of pymodbus for `format`."""
        return AsyncModbusTcpClient.DATATYPE[self.format.upper()]


class _Device:
    """One device behind a host and port."""

    def __init__(self, host: str, port: int, unit: int) -> None:
        self._where, self._unit = (host, port), unit
        self._client: Any = None
        # Devices answer one request at a time.
        self._one_at_a_time = asyncio.Lock()

    async def write(self, request: Callable[[Any, int], Awaitable[T]], deadline_s: float) -> T | None:
        """The device's answer to a write, which is not sent where the fence of orders is closed: see `ask`."""

        async def unless_fenced(client: Any, unit: int) -> T:
            check_fence()  # after the connection was made, which may take as long as another process needs to take the lead
            return await request(client, unit)

        return await self.ask(unless_fenced, deadline_s)

    async def ask(self, request: Callable[[Any, int], Awaitable[T]], deadline_s: float) -> T | None:
        """The device's answer; None when there was none within `deadline_s`, or it was an error."""
        try:
            async with asyncio.timeout(deadline_s), self._one_at_a_time:
                if self._client is None or not self._client.connected:
                    await self._connect(deadline_s)
                answer: Any = await request(self._client, self._unit)
                return None if answer.isError() else answer
        except (TimeoutError, OSError, ModbusException):
            # A late answer would be taken for the next request's: connect anew.
            await self.close()
            return None

    async def _connect(self, deadline_s: float) -> None:
        await self.close()
        host, port = self._where
        self._client = AsyncModbusTcpClient(host, port=port, timeout=deadline_s, retries=0, reconnect_delay=0)
        if not await self._client.connect():
            raise OSError(f"{host}:{port} does not accept the connection")

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class ModbusNumber:
    """A number in one register."""

    def __init__(self, host: str, port: int, unit: int, register: Register) -> None:
        self._device, self._register = _Device(host, port, unit), register

    async def read(self, deadline_s: float) -> float | None:
        """The number now, as it is counted; None when the register cannot be read or holds no number."""
        register = self._register

        async def request(client: Any, unit: int) -> Any:
            read = client.read_input_registers if register.input else client.read_holding_registers
            return await read(register.address, count=register.kind.value[1], device_id=unit)

        answer = await self._device.ask(request, deadline_s)
        if answer is None or len(answer.registers) != register.kind.value[1]:
            return None
        count = AsyncModbusTcpClient.convert_from_registers(answer.registers, register.kind, word_order=register.word_order)
        return float(count) if isinstance(count, int | float) and math.isfinite(count) else None

    async def close(self) -> None:
        """Close the connection."""
        await self._device.close()


class ModbusPower(ModbusNumber):
    """Active power in one register; `mw_per_count` turns its number into MW."""

    def __init__(self, host: str, port: int, unit: int, register: Register, mw_per_count: float) -> None:
        super().__init__(host, port, unit, register)
        self._mw = mw_per_count

    async def read_mw(self, deadline_s: float) -> float | None:
        """The load now, MW; None when the register cannot be read, or beyond MOST_MW."""
        count = await self.read(deadline_s)
        return count * self._mw if count is not None and abs(count * self._mw) <= MOST_MW else None


class ModbusCoil:
    """A pump or a fan behind one coil: written, then read back."""

    def __init__(self, host: str, port: int, unit: int, coil: int) -> None:
        self._device, self._coil = _Device(host, port, unit), coil

    async def run(self, on: bool, deadline_s: float) -> bool:
        """Write the coil, then read it back. Returns whether it is as written."""
        written = await self._device.write(lambda client, unit: client.write_coil(self._coil, on, device_id=unit), deadline_s)
        return written is not None and await self.is_on(deadline_s) is on

    async def is_on(self, deadline_s: float) -> bool | None:
        """The coil; None when it cannot be read."""
        read = await self._device.ask(lambda client, unit: client.read_coils(self._coil, count=1, device_id=unit), deadline_s)
        return None if read is None else bool(read.bits[0])

    async def close(self) -> None:
        """Close the connection."""
        await self._device.close()


@dataclass(frozen=True, slots=True)
class StartStop:
    """Where a generator is ordered: a coil, or a register with a value each for start and stop."""

    address: int
    start: int | None = None
    stop: int | None = None


class ModbusGenerator(ModbusPower):
    """A generator behind one device: ordered by a coil or a register, metered by a register. It runs while the coil `running` is on, or,
    where there is none, while it makes more than `idle_mw`."""

    def __init__(
        self, at: tuple[str, int, int], power: tuple[Register, float], order: StartStop, running: int | None, idle_mw: float
    ) -> None:
        super().__init__(*at, *power)
        self._order, self._running, self._idle_mw = order, running, idle_mw

    async def command(self, run: bool, deadline_s: float) -> bool:
        """Write the coil or the register. Returns whether the device took it."""
        order = self._order
        value = order.start if run else order.stop

        async def request(client: Any, unit: int) -> Any:
            if value is None:
                return await client.write_coil(order.address, run, device_id=unit)
            return await client.write_register(order.address, value, device_id=unit)

        return await self._device.write(request, deadline_s) is not None

    async def is_running(self, deadline_s: float) -> bool | None:
        """Whether it runs; None when that cannot be read."""
        if self._running is None:
            mw = await self.read_mw(deadline_s)
            return None if mw is None else mw > self._idle_mw
        running = self._running
        read = await self._device.ask(lambda client, unit: client.read_coils(running, count=1, device_id=unit), deadline_s)
        return None if read is None else bool(read.bits[0])
