"""Meters and fans over Modbus TCP: real clients against a simulated meter on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator

import pytest

from dispatch.meters.modbus import ModbusCoil, ModbusPower, Register
from dispatch.sim.meter import MeterBoard, metering

HOST, PORT = "127.40.0.1", 5020


@pytest.fixture
async def board() -> AsyncIterator[MeterBoard]:
    kw = {1: 4321.5, 2: -10.0}
    made = MeterBoard({unit: (lambda unit=unit: kw[unit]) for unit in kw})  # type: ignore[misc]
    made.kw = kw  # type: ignore[attr-defined]
    async with metering(made, HOST, PORT):
        yield made


def power(unit: int = 1, **more: object) -> ModbusPower:
    return ModbusPower(HOST, PORT, unit, Register(0, "float32", **more), 1e-3)  # type: ignore[arg-type]


async def test_a_meter_is_read_again_and_again(board: MeterBoard) -> None:
    meter, other = power(1), power(2)
    assert await meter.read_mw(1.0) == pytest.approx(4.3215) and await other.read_mw(1.0) == pytest.approx(-0.01)
    board.kw[1] = 17.0  # type: ignore[attr-defined]
    assert await meter.read_mw(1.0) == pytest.approx(0.017)
    await meter.close()
    assert await meter.read_mw(1.0) == pytest.approx(0.017)  # a closed line is made anew
    await asyncio.gather(meter.close(), other.close())


async def test_a_meter_that_refuses_or_is_missing_reads_none(board: MeterBoard) -> None:
    meter = power(1)
    board.silent.add(1)
    assert await meter.read_mw(1.0) is None
    board.silent.clear()
    assert await meter.read_mw(1.0) == pytest.approx(4.3215)
    assert await power(9).read_mw(0.5) is None
    assert await ModbusPower("127.40.0.2", PORT, 1, Register(0, "float32"), 1e-3).read_mw(0.5) is None
    await meter.close()


async def test_no_frame_and_no_retry_of_a_device_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"\xde\xad\xbe\xef" * 16)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(rubbish, "127.40.0.3", PORT):
        for host in ("127.40.0.2", "127.40.0.3"):
            meter = ModbusPower(host, PORT, 1, Register(0, "float32"), 1e-3)
            assert await meter.read_mw(0.5) is None and await meter.read_mw(0.5) is None
            await meter.close()
    assert not caplog.records and capfd.readouterr().err == ""


async def test_a_wrong_word_order_is_no_reading_of_a_site(board: MeterBoard) -> None:
    """4,321.5 read low word first is a number no site can draw, or next to none."""
    meter = power(1, word_order="little")
    swapped = struct.unpack(">f", struct.pack(">HH", *reversed(struct.unpack(">HH", struct.pack(">f", 4321.5)))))[0]
    found = await meter.read_mw(1.0)
    assert found is None or found == pytest.approx(swapped / 1e3)
    await meter.close()


async def test_a_meter_that_hangs_costs_its_deadline(board: MeterBoard) -> None:
    with socket.create_server(("127.40.0.3", PORT)):
        hung, began = ModbusPower("127.40.0.3", PORT, 1, Register(0, "float32"), 1e-3), time.monotonic()
        readings = await asyncio.gather(hung.read_mw(0.3), power(1).read_mw(2.0))
        assert readings == [None, pytest.approx(4.3215)] and time.monotonic() - began < 10.0
        await hung.close()


async def test_fans_are_switched_and_read_back(board: MeterBoard) -> None:
    fans = ModbusCoil(HOST, PORT, 1, 3)
    assert await fans.run(True, 1.0) and board.coils[1][3]
    assert await fans.run(False, 1.0) and not board.coils[1][3]
    board.stuck_coils = True
    assert not await fans.run(True, 1.0)
    assert not await ModbusCoil("127.40.0.2", PORT, 1, 3).run(True, 0.5)
    await fans.close()
