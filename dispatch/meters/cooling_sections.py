"""The `cooling` tables of [[halls]]: the hall's pumps and fans, in the order in which they start.

`kind` chooses the class, an entry point of `dispatch.cooling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dispatch.clock import Clock
from dispatch.meters.meter_sections import Address, Host, Port, Unit
from dispatch.meters.order_fence import Fence, open_fence
from dispatch.site_file import plugins
from dispatch.site_file.setup import PluginSection, Setup
from optimizer.domain.site import NotNegative

if TYPE_CHECKING:
    from dispatch.meters import Switch
    from dispatch.meters.cooling import HallCooling


class CoolingSettings(PluginSection):
    """A table that names a pump or a fan.

    name                 what it is called in alerts
    lead_s               runs so long before the next of its hall is started, or the rigs, s
    run_on_s             runs on so long after the hall's rigs last drew power, s
    min_on_s, min_off_s  least time on and off, s
    """

    kind: str
    name: str = "cooling"
    lead_s: NotNegative = 10.0
    run_on_s: NotNegative = 300.0
    min_on_s: NotNegative = 0.0
    min_off_s: NotNegative = 0.0

    def opened(self) -> Switch:
        """What switches it; nothing is connected yet."""
        raise NotImplementedError


class ModbusCooling(CoolingSettings):
    """A pump or a fan behind one coil over Modbus TCP, counted from zero; read back after it was written."""

    kind: Literal["modbus"] = "modbus"
    host: Host
    port: Port = 502
    unit: Unit = 1
    coil: Address

    def opened(self) -> Switch:
        from dispatch.meters.modbus import ModbusCoil

        return ModbusCoil(self.host, self.port, self.unit, self.coil)


def cooling_of(setup: Setup, clock: Clock, fence: Fence = open_fence) -> dict[str, HallCooling]:
    """The pumps and fans of a site by hall; none is switched unless `fence` lets it."""
    from dispatch.meters.cooling import CoolingDevice, HallCooling
    from dispatch.meters.fenced_devices import FencedSwitch

    found: dict[str, HallCooling] = {}
    for hall in setup.site.halls:
        tables = [plugins.installed(plugins.COOLING)[str(table["kind"])].model_validate(table) for table in hall.cooling]
        devices = [CoolingDevice(t.name, FencedSwitch(t.opened(), fence), t.lead_s, t.run_on_s, t.min_on_s, t.min_off_s) for t in tables]
        if devices:
            found[hall.name] = HallCooling(hall.name, devices, clock)
    return found
