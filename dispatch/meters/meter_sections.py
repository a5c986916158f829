"""The tables of a site file that name meters: `driver` of [[meters]], `feeder` of [[halls]], `pdu` of [[groups]].

`kind` chooses the class, an entry point of `dispatch.meters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from dispatch.power_meters import MeterId, MeterKind
from dispatch.site_file import plugins
from dispatch.site_file.setup import PluginSection, Setup
from optimizer.domain.site import Site

if TYPE_CHECKING:
    from dispatch.meters import PowerMeter
    from dispatch.meters.modbus import Register

Host = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Unit = Annotated[int, Field(ge=0, le=255)]
Address = Annotated[int, Field(ge=0, le=65535)]

FORMATS = Literal["float32", "float64", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
WATTS = {"w": 1.0, "kw": 1e3, "mw": 1e6}


class ModbusRegister(PluginSection):
    """The keys of a number in one register over Modbus TCP, counted from zero.

    format, word_order   how its registers hold a number; most devices send the high word first
    scale                what one count is worth
    input_register       function code 4 in place of 3
    """

    model_config = ConfigDict(**{**PluginSection.model_config, "populate_by_name": True})
    host: Host
    port: Port = 502
    unit: Unit = 1
    register_: Address = Field(alias="register")
    format: FORMATS = "float32"
    word_order: Literal["big", "little"] = "big"
    scale: float = 1.0
    input_register: bool = False

    def register_read(self) -> Register:
        """Where the number is, and how it is held."""
        from dispatch.meters.modbus import Register

        return Register(self.register_, self.format, self.word_order, self.input_register)


class MeterSettings(PluginSection):
    """A table that names a meter."""

    kind: str

    def opened(self) -> PowerMeter:
        """The meter; nothing is connected yet."""
        raise NotImplementedError


class ModbusMeter(ModbusRegister, MeterSettings):
    """A meter over Modbus TCP: active power in one register.

    unit_of_power   w, kw or mw, times `scale`: negative where the meter counts what is drawn as negative
    """

    kind: Literal["modbus"] = "modbus"
    unit_of_power: Literal["w", "kw", "mw"] = "kw"

    @property
    def mw_per_count(self) -> float:
        return self.scale * WATTS[self.unit_of_power] / 1e6

    def opened(self) -> PowerMeter:
        from dispatch.meters.modbus import ModbusPower

        return ModbusPower(self.host, self.port, self.unit, self.register_read(), self.mw_per_count)


def _made(table: Mapping[str, Any]) -> PowerMeter:
    settings: MeterSettings = plugins.installed(plugins.METERS)[str(table["kind"])].model_validate(table)
    return settings.opened()


def meter_tables(site: Site) -> dict[MeterId, Mapping[str, Any]]:
    """The table of each power meter of a site."""
    found = {MeterId(MeterKind.METER, m.id): m.driver for m in site.meters}
    found |= {MeterId(MeterKind.HALL, h.name): h.feeder for h in site.halls}
    found |= {MeterId(MeterKind.GROUP, g.name): g.pdu for g in site.groups}
    return {meter: table for meter, table in found.items() if table}


def meters_of(setup: Setup) -> dict[MeterId, PowerMeter]:
    """The power meters of a site."""
    return {meter: _made(table) for meter, table in meter_tables(setup.site).items()}
