"""The table `controls` of an obligation that runs a generator: how it is started, stopped and metered.

`kind` chooses the class, an entry point of `dispatch.generators`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dispatch.clock import Clock
from dispatch.meters.meter_sections import Address, ModbusMeter
from dispatch.meters.order_fence import Fence, open_fence
from dispatch.site_file import plugins
from dispatch.site_file.setup import PluginSection, Setup
from optimizer.domain.site import NotNegative, Positive

if TYPE_CHECKING:
    from dispatch.meters import GeneratorControls
    from dispatch.meters.generator import GeneratorUnit


class GeneratorSettings(PluginSection):
    """A table that names a generator's controls.

    start_s    within which it must be seen running after an order to start, s
    retry_min  after which one that failed to start, or tripped, is planned and started again, minutes
    """

    kind: str
    start_s: Positive = 120.0
    retry_min: Positive = 60.0

    def opened(self) -> GeneratorControls:
        """What controls it; nothing is connected yet."""
        raise NotImplementedError


class ModbusGeneratorSettings(GeneratorSettings, ModbusMeter):
    """A generator over Modbus TCP, addresses counted from zero: metered as a meter is, ordered by `coil`, or by `command_register` with
    `start_value` and `stop_value`.

    running_coil  on while it runs; without it, it runs while it makes more than `idle_kw`
    """

    kind: Literal["modbus"] = "modbus"
    coil: Address | None = None
    command_register: Address | None = None
    start_value: int = Field(default=1, ge=0, le=65535)
    stop_value: int = Field(default=0, ge=0, le=65535)
    running_coil: Address | None = None
    idle_kw: NotNegative = 10.0

    @model_validator(mode="after")
    def _one_order(self) -> Self:
        if (self.coil is None) == (self.command_register is None):
            raise ValueError("needs one of coil and command_register: where it is started and stopped")
        return self

    def opened(self) -> GeneratorControls:
        from dispatch.meters.modbus import ModbusGenerator, StartStop

        if self.coil is not None:
            order = StartStop(self.coil)
        else:
            order = StartStop(self.command_register or 0, self.start_value, self.stop_value)
        metered = (self.register_read(), self.mw_per_count)
        return ModbusGenerator((self.host, self.port, self.unit), metered, order, self.running_coil, self.idle_kw / 1e3)


def generators_of(setup: Setup, clock: Clock, *, orders: bool, fence: Fence = open_fence) -> dict[str, GeneratorUnit]:
    """The generators of a site that are switched and metered, by contract; with `orders` False they are only read, and none is ordered
    unless `fence` lets it."""
    from dispatch.meters.fenced_devices import FencedGenerator
    from dispatch.meters.generator import GeneratorUnit

    found: dict[str, GeneratorUnit] = {}
    for contract in setup.book:
        table = contract.generator_controls()
        if table is not None:
            settings = plugins.installed(plugins.GENERATORS)[str(table["kind"])].model_validate(table)
            controls = FencedGenerator(settings.opened(), fence)
            found[contract.name] = GeneratorUnit(contract.name, controls, clock, settings.start_s, settings.retry_min * 60.0, orders)
    return found
