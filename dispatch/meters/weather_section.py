"""The source `modbus` of the section [weather]: an outside temperature sensor of the site's own."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from dispatch.meters.meter_sections import FORMATS, Address, Host, Port, Unit
from dispatch.site_file.setup import Now, Setup, WeatherSettings
from markets.sources.source import Source

DEADLINE_S = 5.0


class ModbusWeather(WeatherSettings):
    """A temperature sensor over Modbus TCP: degrees in one register, counted from zero.

    format, word_order   how its registers hold a number
    scale, unit_of_temperature   degrees a count, 0.1 where the register holds tenths; Celsius or Fahrenheit
    input_register       function code 4 in place of 3
    """

    model_config = ConfigDict(**{**WeatherSettings.model_config, "populate_by_name": True})
    source: Literal["modbus"] = "modbus"
    live: ClassVar[bool] = True
    host: Host
    port: Port = 502
    unit: Unit = 1
    register_: Address = Field(alias="register")
    format: FORMATS = "float32"
    word_order: Literal["big", "little"] = "big"
    scale: float = 1.0
    unit_of_temperature: Literal["c", "f"] = "c"
    input_register: bool = False

    def opened(self, setup: Setup, now: Now) -> Source:
        from dispatch.meters.modbus import ModbusNumber, Register
        from markets.sources.weather import TemperatureSensor, celsius_of

        where = Register(self.register_, self.format, self.word_order, self.input_register)
        sensor = ModbusNumber(self.host, self.port, self.unit, where)

        async def read() -> float | None:
            count = await sensor.read(DEADLINE_S)
            return None if count is None else celsius_of(count * self.scale, self.unit_of_temperature)

        return TemperatureSensor(f"modbus {self.host}:{self.port}", read, sensor.close, now)
