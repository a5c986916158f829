"""A process that lost the lead switches no pump, no fan and no generator: the lease is asked before each write, after the connection."""

from __future__ import annotations

from typing import Any

from dispatch.clock import VirtualClock
from dispatch.meters.cooling_sections import cooling_of
from dispatch.meters.generator_sections import generators_of
from dispatch.meters.modbus import ModbusCoil
from dispatch.meters.order_fence import fenced
from dispatch.sim.meter import MeterBoard, metering
from tests.dispatch.rigs.fakes import START
from tests.sites import small

HOST, PORT, COIL = "127.40.0.9", 5023, 1
LOST = "another process leads the site now"


class Lead:
    """Leads until it is told otherwise; `asked` counts how often somebody asked."""

    def __init__(self) -> None:
        self.why, self.asked = "", 0

    def __call__(self, mode: str) -> str:
        self.asked += 1
        return self.why


def site_with_devices() -> Any:
    wire = {"kind": "modbus", "host": HOST, "port": PORT}
    fan = {**wire, "name": "fan", "coil": COIL, "lead_s": 0.0, "run_on_s": 0.0}
    genset = {"type": "generation", "name": "genset", "mw": 0.2, "fuel_usd_per_mmbtu": 2.0, "heat_rate_mmbtu_per_mwh": 10.0}
    controls = {**wire, "register": 0, "coil": 2}
    halls = [{"name": "a", "meter": "main", "limit_mw": 0.5, "cooling": [fan]}, {"name": "b", "meter": "main", "limit_mw": 0.5}]
    return small(halls=halls, obligations=[{"type": "power"}, {**genset, "controls": controls}], meters=[{"id": "main", "import_mw": 0.1}])


async def test_a_process_that_lost_the_lead_switches_no_fan_and_no_generator() -> None:
    clock, lead, setup = VirtualClock(START), Lead(), site_with_devices()
    board = MeterBoard({1: lambda: 0.0})
    async with metering(board, HOST, PORT):
        cooling, genset = cooling_of(setup, clock, lead)["a"], generators_of(setup, clock, orders=True, fence=lead)["genset"]
        await cooling.tend(None)
        await genset.tend()
        lead.why = LOST
        genset.wanted = True
        assert "did not start" in await cooling.start()
        await genset.tend()
        assert not board.coils[1][COIL] and not board.coils[1][2], "nothing was written"
        assert lead.asked >= 2
        lead.why, genset.state = "", type(genset.state)("stopped")
        assert await cooling.start() == ""
        await genset.tend()
        assert board.coils[1][COIL] and board.coils[1][2]
        lead.why = LOST
        await cooling.tend(False)
        genset.wanted = False
        await genset.tend()
        assert board.coils[1][COIL] and board.coils[1][2], "nor stopped"
        await cooling.close()
        await genset.controls.close()


async def test_a_lead_lost_while_the_connection_is_made_keeps_the_write_back() -> None:
    lead = Lead()
    board = MeterBoard({1: lambda: 0.0})
    async with metering(board, HOST, PORT):
        coil = ModbusCoil(HOST, PORT, 1, COIL)
        connect = coil._device._connect

        async def slow(deadline_s: float) -> None:
            await connect(deadline_s)
            lead.why = LOST

        coil._device._connect = slow  # type: ignore[method-assign]
        with fenced(lead, "sleep"):
            assert not await coil.run(True, 1.0)
        assert not board.coils[1][COIL]
        lead.why = ""
        assert await coil.run(True, 1.0) and board.coils[1][COIL]
        await coil.close()
