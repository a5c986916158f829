"""The site that is simulated: two halls, two groups of rigs, an hourly price. Small, so that a month takes half a minute."""

from __future__ import annotations

from typing import Any

from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from tests.sites import document, group

POINT = "LZ_WEST"
CONTRACT = "plant"  # the limit of the whole site, which every site file has
METER = {"kind": "modbus", "host": "meter.invalid", "register": 0}


def site_document() -> dict[str, Any]:
    """The site file. Prices count by the hour, so that a day has 24 plans; the site is looked at every half hour, every minute
    while a call is in force, and every five seconds while orders are under way."""
    groups = [
        group("a-old", "a", watts=3000.0, ths=100.0, rigs=8, min_on_min=15, min_off_min=10),
        group("b-new", "b", watts=3500.0, ths=200.0, rigs=8, min_on_min=15, min_off_min=10),
    ]
    made = document(groups=groups, meters=[{"id": "main", "driver": METER}])
    made["site"] |= {"market": "tariff", "interconnect_mw": 0.06, "tick_s": 1800, "control_interval_min": 60, "horizon_h": 2}
    return made


def simulated_setup() -> Setup:
    """The site file, read."""
    return setup_from_document(site_document())
