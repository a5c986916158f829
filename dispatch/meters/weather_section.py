"""The source `modbus` of the section [weather]: an outside temperature sensor of the site's own."""

from __future__ import annotations

from typing import ClassVar, Literal

from dispatch.meters.meter_sections import ModbusRegister
from dispatch.site_file.setup import Now, Setup, WeatherSettings
from markets.sources.source import Source

DEADLINE_S = 5.0


class ModbusWeather(ModbusRegister, WeatherSettings):
    """A temperature sensor over Modbus TCP: degrees in one register; `scale` is 0.1 where it holds tenths.

    unit_of_temperature   Celsius or Fahrenheit
    """

    source: Literal["modbus"] = "modbus"
    live: ClassVar[bool] = True
    unit_of_temperature: Literal["c", "f"] = "c"

    def opened(self, setup: Setup, now: Now) -> Source:
        from dispatch.meters.modbus import ModbusNumber
        from markets.sources.weather import TemperatureSensor, celsius_of

        sensor = ModbusNumber(self.host, self.port, self.unit, self.register_read())

        async def read() -> float | None:
            count = await sensor.read(DEADLINE_S)
            return None if count is None else celsius_of(count * self.scale, self.unit_of_temperature)

        return TemperatureSensor(f"modbus {self.host}:{self.port}", read, sensor.close, now)
