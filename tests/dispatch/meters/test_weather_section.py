"""A site's own temperature sensor, by its section of the site file, over Modbus on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch.meters.weather_section import ModbusWeather
from dispatch.runtime.price_sources import archived, polled_sources
from dispatch.sim.meter import MeterBoard, metering
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from markets import Unreachable
from markets.facts import Temperature

NOW = datetime(2026, 8, 20, 17, 3, tzinfo=UTC)
HOST, PORT = "127.40.0.19", 5029
SECTION = f"""
[weather]
source = "modbus"
host = "{HOST}"
port = {PORT}
register = 0
scale = 0.1
unit_of_temperature = "f"
"""


async def test_a_sensor_that_counts_tenths_of_a_degree_fahrenheit(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(default_file(DEMO_SITE).read_text("utf-8") + SECTION, "utf-8")
    setup = load_site_file(file)
    assert isinstance(setup.weather, ModbusWeather)
    (source,) = [p.source for p in polled_sources(setup, lambda: NOW) if p.source.name.startswith("modbus")]
    async with metering(MeterBoard({1: lambda: 950.0}), HOST, PORT):
        (fact,) = await source.fetch(NOW - timedelta(hours=1), NOW)
    assert isinstance(fact, Temperature) and fact.celsius == 35.0
    silent = setup.weather.opened(setup, lambda: NOW)
    with pytest.raises(Unreachable):
        await silent.fetch(NOW - timedelta(hours=1), NOW)
    assert archived(file, tmp_path)["weather"] == {"source": "archive", "path": str(tmp_path.resolve())}
